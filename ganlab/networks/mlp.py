"""Fully connected networks: images of any shape, and points in the plane."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media import Medium
from ganlab.networks.batch_statistics import BATCH_STATISTICS, BatchStatisticsKind
from ganlab.networks.conditioning import (
    DiscriminatorConditioning,
    discriminator_conditioning,
    generator_conditioning,
)
from ganlab.networks.layers import SLOPE, choose, unchanged

ActivationKind = Literal["leaky_relu", "relu", "tanh", "elu", "silu", "gelu", "softplus"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu": partial(nn.LeakyReLU, SLOPE),
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
}


def _size(shape: tuple[int, ...]) -> int:
    if not shape or min(shape) < 1:
        raise Refused(
            f"shape is {tuple(shape)}; it needs at least one entry, each at least 1.\n"
            "For example (1, 28, 28) for images or (2,) for points in the plane."
        )
    return math.prod(shape)


def _check(network: nn.Module, hidden: tuple[int, ...]) -> None:
    bounds.at_least(1, network, **{f"hidden[{index}]": size for index, size in enumerate(hidden)})


def _layers(sizes: list[int], activation: str) -> list[nn.Module]:
    activate = choose(ACTIVATIONS, name="activation", value=activation)
    return [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), activate())]


class MLPGenerator(nn.Module):
    """The fully connected generator of Goodfellow et al. 2014, arXiv:1406.2661.

    `bounded` ends it in a tanh, for images in [-1, 1]; points in the plane have no such bounds.

    Labels lie beside the latent.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 128,
        hidden: tuple[int, ...] = (256, 256),
        activation: ActivationKind = "relu",
        bounded: bool = True,
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, latent_size=latent_size)
        _check(self, hidden)
        self.shape = tuple(shape)
        self.latent_size = latent_size
        self.conditioning = generator_conditioning(self, condition, latent_size)
        sizes = [latent_size + self.conditioning.added, *hidden]
        self.layers = nn.Sequential(
            *_layers(sizes, activation),
            nn.Linear(sizes[-1], _size(shape)),
            nn.Unflatten(1, self.shape),
            nn.Tanh() if bounded else nn.Identity(),
        )

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(self.conditioning.inputs(latent, condition))


class MLPDiscriminator(nn.Module):
    """The fully connected discriminator of Goodfellow et al. 2014, arXiv:1406.2661.

    Its default activation is the leaky ReLU of later work, where the paper has maxout with twice the weights.

    Labels are projected on the features, or lie beside the samples as more numbers.

    Args:
        batch_statistics: What the logit sees of a batch's other samples; but for `none` it couples samples.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        hidden: tuple[int, ...] = (256, 256),
        activation: ActivationKind = "leaky_relu",
        conditioning: DiscriminatorConditioning = "projection",
        batch_statistics: BatchStatisticsKind = "none",
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        _check(self, hidden)
        size = _size(shape)
        features = hidden[-1] if hidden else size
        self.conditioning = discriminator_conditioning(self, condition, conditioning, features=features)
        sizes = [size + self.conditioning.added, *hidden]
        self.features = nn.Sequential(nn.Flatten(), *_layers(sizes, activation))
        add = choose(BATCH_STATISTICS, name="batch_statistics", value=batch_statistics)
        self.statistics = add(sizes[-1], unchanged)
        self.logit = nn.Linear(sizes[-1] + self.statistics.added, 1)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.features(self.conditioning.inputs(images.flatten(1), condition))
        logits = self.logit(self.statistics(features)).squeeze(1)
        return self.conditioning.logits(logits, features, condition)
