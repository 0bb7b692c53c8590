"""Residual blocks that double or halve maps, of ResNet's and BigGAN's networks."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, cast

from torch import Tensor, nn

from ganlab.networks.layers import Layers, Normalization, Residual


def weighted(layer: nn.Linear | nn.Conv2d, norm: Normalization, *, gain: float = 1.0) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return norm.weight(layer)


def orthogonal(norm: Normalization) -> Normalization:
    """The same normalisation, of weights that start orthogonal (Saxe et al. 2014, arXiv:1312.6120)."""

    def weight(layer: nn.Module) -> nn.Module:
        nn.init.orthogonal_(cast(Tensor, layer.weight))
        return norm.weight(layer)

    return replace(norm, weight=weight)


InitializationKind = Literal["xavier", "orthogonal"]

INITIALIZATIONS: dict[str, Callable[[Normalization], Normalization]] = {
    "xavier": lambda norm: norm,  # as `weighted` has made the weights
    "orthogonal": orthogonal,
}


def pointwise(inputs: int, outputs: int, norm: Normalization) -> nn.Module:
    return weighted(nn.Conv2d(inputs, outputs, 1, bias=not norm.subtracts_mean), norm)


def activation(channels: int, norm: Normalization) -> list[nn.Module]:
    # A ReLU in place would overwrite the map that the shortcut reads.
    return [norm.channels(channels), nn.ReLU()]


def two_convolutions(inputs: int, outputs: int, norm: Normalization) -> list[nn.Module]:
    # What follows the second layer, in the next blocks and at the end, subtracts the mean of its bias too.
    bias = not norm.subtracts_mean
    first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
    second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=bias)
    gain = math.sqrt(2)
    return [
        weighted(first, norm, gain=gain),
        *activation(outputs, norm),
        weighted(second, norm, gain=gain),
    ]


def doubling(inputs: int, outputs: int, norm: Normalization) -> Residual:
    before, after = activation(inputs, norm), two_convolutions(inputs, outputs, norm)
    return Residual(
        branch=Layers(*before, nn.Upsample(scale_factor=2), *after),
        # A 1x1 convolution and a nearest-neighbour doubling commute: this order does a quarter of the work.
        shortcut=nn.Sequential(pointwise(inputs, outputs, norm), nn.Upsample(scale_factor=2)),
    )


def halving(inputs: int, outputs: int, norm: Normalization, before: list[nn.Module]) -> Residual:
    return Residual(
        branch=Layers(*before, *two_convolutions(inputs, outputs, norm), nn.AvgPool2d(2)),
        shortcut=nn.Sequential(nn.AvgPool2d(2), pointwise(inputs, outputs, norm)),
    )
