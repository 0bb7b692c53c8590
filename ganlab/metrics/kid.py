"""The kernel inception distance, KID, of features: over subsets, as it is published, and over all samples."""

from __future__ import annotations

from itertools import product
from math import nan
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganlab.metrics.scores import Spread, blocks, flaw, triangle
from ganlab.metrics.statistics import BLOCK

SUBSETS = 100


class Estimate(NamedTuple):
    """An estimate and its standard error."""

    value: float
    error: float


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """Bińkowski et al. 2018, arXiv:1801.01401, section 4: (xᵀy / width + 1)³."""
    return (x.double() @ y.double().T).div_(x.shape[1]).add_(1).pow_(3)


def kid_subsets(
    real: Tensor, fake: Tensor, subsets: int = SUBSETS, size: int = 1000, seed: int = 2020
) -> Spread:
    """Bińkowski et al. 2018, arXiv:1801.01401, section 4: `kid_all` of subsets of both sides.

    torch-fidelity's subsets, the fakes being its first input: RandomState(2020) chooses fakes, then reals.
    """
    if flaw(real, size) or flaw(fake, size):
        return Spread(nan, nan)
    generator = np.random.RandomState(seed)
    estimates = []
    for _ in range(subsets):
        chosen_fake, chosen_real = (
            torch.from_numpy(generator.choice(len(side), size, replace=False)) for side in (fake, real)
        )
        estimates.append(kid_all(real[chosen_real], fake[chosen_fake]).value)
    return Spread(float(np.mean(estimates)), float(np.std(estimates)))


def kid_all(real: Tensor, fake: Tensor) -> Estimate:
    """Gretton et al. 2012, JMLR 13, eq. 3: the unbiased estimate of MMD², over all samples.

    Its error is the jackknife's, which leaves out one sample at a time and on average is never too small
    (Efron & Stein 1981, Annals of Statistics 9, theorem 2); nan for fewer than three samples of a side.
    """
    if flaw(real) or flaw(fake):
        return Estimate(nan, nan)
    n, m = len(real), len(fake)
    across = _sums_across(real, fake)
    within = _sums_within(real), _sums_within(fake)
    means = [sums.sum() / (len(sums) * (len(sums) - 1)) for sums in within]
    value = float(means[0] + means[1] - 2 * across[0].sum() / (n * m))
    if min(n, m) < 3:
        return Estimate(value, nan)
    variance = sum(map(_jackknife_variance, within, across, (m, n)))
    return Estimate(value, float(variance) ** 0.5)


def _jackknife_variance(within: Tensor, across: Tensor, others: int) -> Tensor:
    """The share of one side: each of its samples' sums of kernels with its own side and the other."""
    size = len(within)
    without = (within.sum() - 2 * within) / ((size - 1) * (size - 2))
    without -= 2 * (across.sum() - across) / ((size - 1) * others)
    return (size - 1) / size * (without - without.mean()).square().sum()


def _sums_across(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row of x the sum of its kernel with all rows of y, and the other way round."""
    sums = torch.zeros(len(x), dtype=torch.float64), torch.zeros(len(y), dtype=torch.float64)
    for rows, columns in product(blocks(len(x)), blocks(len(y))):
        values = kernel(x[rows], y[columns])
        sums[0][rows] += values.sum(1)
        sums[1][columns] += values.sum(0)
    return sums


def _sums_within(x: Tensor) -> Tensor:
    """Of each row the sum of its kernel with all other rows."""
    sums = torch.cat([-((row.double() ** 2).sum(1) / x.shape[1] + 1).pow(3) for row in x.split(BLOCK)])
    for rows, columns in triangle(len(x)):
        values = kernel(x[rows], x[columns])
        sums[rows] += values.sum(1)
        if rows != columns:
            sums[columns] += values.sum(0)
    return sums
