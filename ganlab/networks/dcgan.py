"""DCGAN's networks: strided convolutions, one for each halving or doubling of the image."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import TypeAlias

from torch import Tensor, nn

from ganlab import bounds
from ganlab.networks.layers import (
    NORMALIZATIONS,
    SLOPE,
    NormalizationKind,
    Pyramid,
    choose,
    widths,
)

Weighted: TypeAlias = nn.Linear | nn.Conv2d | nn.ConvTranspose2d


def _paper_std(layer: Weighted) -> float:
    return 0.02


def _he_std(layer: Weighted) -> float:
    if isinstance(layer, nn.ConvTranspose2d):
        # torch's fan-in of a transposed convolution counts outputs, and the taps that a stride skips.
        return math.sqrt(2 * math.prod(layer.stride) / layer.weight[:, 0].numel())
    return math.sqrt(2 / layer.weight[0].numel())


# Batch and spectral norm set the scale themselves. Without either, 0.02 would shrink the signal and the
# gradients up to fourfold a layer; the scale of He et al. 2015 (arXiv:1502.01852) does not.
INITIAL_STD: dict[str, Callable[[Weighted], float]] = {
    "batch": _paper_std,
    "spectral": _paper_std,
    "spectral_batch": _paper_std,
    "none": _he_std,
}

# The paper has 5x5 kernels. A stride that divides the kernel's size avoids checkerboard patterns, because all
# outputs then have as many taps.
_Halving = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1)
_Doubling = partial(nn.ConvTranspose2d, kernel_size=4, stride=2, padding=1)


def _weighted(layer: Weighted, normalization: str) -> nn.Module:
    nn.init.normal_(layer.weight, std=INITIAL_STD[normalization](layer))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return NORMALIZATIONS[normalization].weight(layer)


class DCGANGenerator(nn.Module):
    """The generator of Radford et al. 2015, arXiv:1511.06434: a linear map, then transposed convolutions.

    `width` is the channels of the finest hidden map, half the image's size; they double toward the coarsest,
    up to `max_width`.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        latent_size: int = 128,
        width: int = 64,
        max_width: int = 512,
        normalization: NormalizationKind = "batch",
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, latent_size=latent_size, width=width)
        pyramid = Pyramid.of(shape)
        norm = choose(NORMALIZATIONS, name="normalization", value=normalization)
        bias = not norm.subtracts_mean

        def stage(layer: Weighted, channels: int, *reshape: nn.Module) -> nn.Module:
            weighted = _weighted(layer, normalization)
            return nn.Sequential(weighted, *reshape, norm.channels(channels), nn.ReLU())

        channels = widths(pyramid.doublings, width=width, max_width=max_width)[::-1]
        coarsest = (channels[0], *pyramid.coarsest)
        start = nn.Linear(latent_size, math.prod(coarsest), bias=bias)
        last = _Doubling(channels[-1], pyramid.channels)
        self.shape = tuple(shape)
        self.latent_size = latent_size
        self.project = stage(start, channels[0], nn.Unflatten(1, coarsest))
        self.upsample = nn.Sequential(
            *(stage(_Doubling(coarse, fine, bias=bias), fine) for coarse, fine in pairwise(channels))
        )
        self.image = nn.Sequential(_weighted(last, normalization), nn.Tanh())

    def forward(self, latent: Tensor) -> Tensor:
        return self.image(self.upsample(self.project(latent)))


class DCGANDiscriminator(nn.Module):
    """The discriminator of Radford et al. 2015, arXiv:1511.06434: strided convolutions, then a linear map.

    `width` is the channels of the finest hidden map, half the image's size; they double toward the coarsest,
    up to `max_width`. Batch norm leaves out the first and the last layer, as in the paper.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        width: int = 64,
        max_width: int = 512,
        normalization: NormalizationKind = "batch",
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, width=width)
        pyramid = Pyramid.of(shape)
        norm = choose(NORMALIZATIONS, name="normalization", value=normalization)
        channels = widths(pyramid.doublings, width=width, max_width=max_width)

        def stage(fine: int, coarse: int) -> nn.Module:
            weighted = _weighted(_Halving(fine, coarse, bias=not norm.subtracts_mean), normalization)
            return nn.Sequential(weighted, norm.channels(coarse), nn.LeakyReLU(SLOPE))

        first = _weighted(_Halving(pyramid.channels, channels[0]), normalization)
        self.shape = tuple(shape)
        self.features = nn.Sequential(
            nn.Sequential(first, nn.LeakyReLU(SLOPE)),
            *(stage(fine, coarse) for fine, coarse in pairwise(channels)),
            nn.Flatten(),
        )
        self.logit = _weighted(nn.Linear(channels[-1] * math.prod(pyramid.coarsest), 1), normalization)

    def forward(self, images: Tensor) -> Tensor:
        return self.logit(self.features(images)).squeeze(1)
