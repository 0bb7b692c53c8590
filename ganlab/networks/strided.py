"""Strided convolutions, which halve and double maps, and the weights that networks of them start with."""

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from torch import nn

from ganlab.networks.layers import NORMALIZATIONS

Weighted: TypeAlias = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d


def _paper_std(layer: Weighted) -> float:
    return 0.02


def _he_std(layer: Weighted) -> float:
    if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d):
        # torch's fan-in of a transposed convolution counts outputs, and the taps that a stride skips.
        return math.sqrt(2 * math.prod(layer.stride) / layer.weight[:, 0].numel())
    return math.sqrt(2 / layer.weight[0].numel())


# The norms set the scale themselves. Without one, DCGAN's 0.02 would shrink the signal and the gradients up
# to fourfold a layer; the scale of He et al. 2015 (arXiv:1502.01852) does not.
INITIAL_STD: dict[str, Callable[[Weighted], float]] = {
    "batch": _paper_std,
    "spectral": _paper_std,
    "spectral_batch": _paper_std,
    "instance": _paper_std,
    "none": _he_std,
}

# DCGAN has 5x5 kernels. A stride that divides the kernel's size avoids checkerboard patterns, because all
# outputs then have as many taps.
Halving = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1)
Doubling = partial(nn.ConvTranspose2d, kernel_size=4, stride=2, padding=1)


def weighted(layer: Weighted, normalization: str) -> nn.Module:
    """The layer with its first weights, normalised."""
    nn.init.normal_(layer.weight, std=INITIAL_STD[normalization](layer))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return NORMALIZATIONS[normalization].weight(layer)
