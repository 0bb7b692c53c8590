"""How certain a score is, by the moments of the evaluation that gave it."""

from __future__ import annotations

from math import sqrt

import torch

from ganlab.metrics.observed import Reals
from ganlab.metrics.statistics import Gaussian


def fid_noise(real: Reals, fake: Gaussian) -> float:
    """The standard error of a Fréchet distance by the choice of fakes, of normal features.

    It is the delta method: the distance's gradient is 2 (f - r) for the fakes' mean f and I - T for their
    covariance F, where T = F^(-1/2) M F^(-1/2) carries F to the reals' R, with M = (F^(1/2) R F^(1/2))^(1/2).
    Neither T nor an inverse is needed. Costs two or three times the distance itself.
    """
    shift = fake.mean - real.moments.mean
    values, vectors = torch.linalg.eigh(fake.covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    left, singular, _ = torch.linalg.svd(root @ real.factor, full_matrices=False)
    between = ((left * singular) * (fake.covariance @ left)).sum()
    spread = (fake.covariance**2).sum() - 2 * between + (singular**2).sum()
    variance = 4 * shift @ fake.covariance @ shift + 2 * spread.clamp(min=0)
    return sqrt(float(variance) / fake.count)
