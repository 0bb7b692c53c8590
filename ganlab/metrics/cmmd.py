"""The distance of CLIP's features that is called CMMD."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from math import nan

from torch import Tensor
from torch.nn.functional import normalize

from ganlab.metrics.scores import blocks, flaw, squared, triangle


def cmmd(real: Tensor, fake: Tensor, sigma: float = 10, scale: float = 1000) -> float:
    """Jayasumana et al. 2024, arXiv:2401.09603, section 4: MMD² with a Gaussian kernel, features of length 1.

    As in its code it is the estimate that counts pairs of a sample with itself and is never negative, x 1000.
    """
    if flaw(real) or flaw(fake):
        return nan
    real, fake = (normalize(side.double()) for side in (real, fake))

    def mean(x: Tensor, y: Tensor, pairs: Iterable[tuple[slice, slice]]) -> float:
        sums = (float(squared(x[i], y[j]).div_(-2 * sigma**2).exp_().sum()) for i, j in pairs)
        return sum(sums) / (len(x) * len(y))

    def within(x: Tensor) -> float:
        pairs = list(triangle(len(x)))
        return mean(x, x, pairs) + mean(x, x, [(i, j) for i, j in pairs if i != j])

    between = mean(real, fake, product(blocks(len(real)), blocks(len(fake))))
    return scale * (within(real) + within(fake) - 2 * between)
