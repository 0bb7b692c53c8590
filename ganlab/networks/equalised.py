"""Layers with an equalised learning rate: weights start alike, and are scaled where they are used.

Karras et al. 2018, arXiv:1710.10196, section 4.1: the weight w of a layer of f inputs counts as w / sqrt(f),
so that an optimizer that divides by a gradient's size, such as Adam, moves all layers equally fast.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, linear

from ganlab import bounds
from ganlab.networks.layers import SLOPE


class Equalised:
    """The base of layers whose weights count times a number.

    Attributes:
        scale: That number.
    """

    weight: Tensor
    scale: float

    @property
    def scaled_weight(self) -> Tensor:
        """The weights as the layer uses them."""
        return self.weight * self.scale


def weight_in_use(layer: Any) -> Tensor:
    """The weights of a linear layer or a convolution, as it uses them."""
    return layer.scaled_weight if isinstance(layer, Equalised) else layer.weight


class EqualisedLinear(Equalised, nn.Linear):
    """A linear map whose weights start normal, and whose biases start at `bias`.

    Args:
        rate: The layer learns so many times as fast as others.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        bounds.above(0, self, rate=rate)
        super().__init__(inputs, outputs)
        self.rate, self.scale = rate, rate / math.sqrt(inputs)
        nn.init.normal_(self.weight, std=1 / rate)
        nn.init.constant_(self.bias, bias / rate)

    def forward(self, inputs: Tensor) -> Tensor:
        return linear(inputs, self.scaled_weight, self.bias * self.rate)


class EqualisedConv2d(Equalised, nn.Conv2d):
    """A convolution whose weights start normal, and whose biases start at 0."""

    def __init__(self, inputs: int, outputs: int, size: int, **how: Any) -> None:
        super().__init__(inputs, outputs, size, **how)
        self.scale = 1 / math.sqrt(inputs * size**2)
        nn.init.normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        return conv2d(inputs, self.scaled_weight, self.bias, self.stride, self.padding)


class Activation(nn.Module):
    """A leaky ReLU, times sqrt(2), so that it about keeps the mean square of what is normal."""

    def forward(self, inputs: Tensor) -> Tensor:
        return leaky_relu(inputs, SLOPE) * math.sqrt(2)


def mean_square_one(latents: Tensor) -> Tensor:
    """Over their root mean square along the last axis (Karras et al. 2018, arXiv:1710.10196, section 4.2)."""
    return latents * (latents.square().mean(-1, keepdim=True) + 1e-8).rsqrt()


class RunningMean(nn.Module):
    """Gives back what it is given: vectors, of which it keeps a running mean in training.

    As those of batch norm, the mean is a buffer that each process moves by its own batches, and that moves in
    each pass in training, also in turns of the other side.

    Args:
        keep: The share of the old mean that stays in a step.
    """

    mean: Tensor

    def __init__(self, size: int, *, keep: float = 0.998) -> None:
        super().__init__()
        bounds.between(0, 1, self, keep=keep)
        self.keep = keep
        self.register_buffer("mean", torch.zeros(size))

    def forward(self, vectors: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(vectors.flatten(0, -2).mean(0).to(self.mean.dtype), 1 - self.keep)
        return vectors
