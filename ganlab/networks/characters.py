"""Parts of networks for text: what characters are made of logits, and how networks are told what is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media import Medium, Text
from ganlab.networks.conditioning import (
    Conditioning,
    discriminator_conditioning,
    generator_conditioning,
    required,
)
from ganlab.networks.layers import unchanged
from ganlab.networks.random_layers import uniform_like

Distribution = Literal["softmax", "gumbel", "straight_through"]
DISTRIBUTIONS = ("softmax", "gumbel", "straight_through")
LEAST = 1e-30  # of a uniform number whose logarithm is taken


def line(network: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """The channels and the length of a text; any other shape is refused."""
    if len(shape) != 2 or min(shape) < 1:
        raise Refused(
            f"shape is {tuple(shape)}; {type(network).__name__} needs (characters, length), as text has.\n"
            "For pictures take DCGAN or ResNet, for points in the plane MLPGenerator and MLPDiscriminator."
        )
    channels, length = shape
    return channels, length


class Characters(nn.Module):
    """From logits of characters to what a generator makes of them: shares of 1 at each place.

    `softmax` are the shares that the logits say. `gumbel` draws a character of these shares, softened by the
    temperature: Jang et al. 2017, arXiv:1611.01144, eq. 2. `straight_through` draws the same, which is
    passed on as one whole character, with the gradient of the softened one (section 2.2). Outside of training
    what is drawn is a whole character for both.

    Args:
        temperature: Of the softened draw, from which the regulariser `Temperature` may move it.
    """

    temperature: Tensor

    def __init__(self, distribution: Distribution = "softmax", temperature: float = 1.0) -> None:
        super().__init__()
        if distribution not in DISTRIBUTIONS:
            known = ", ".join(DISTRIBUTIONS)
            raise Refused(f"distribution is {distribution!r}, which does not exist.\nKnown: {known}.")
        bounds.above(0, self, temperature=temperature)
        self.distribution = distribution
        self.register_buffer("temperature", torch.tensor(float(temperature)))

    @property
    def draws(self) -> bool:
        """Whether characters are drawn, by noise and a temperature."""
        return self.distribution != "softmax"

    def noise(self, logits: Tensor) -> Tensor:
        """What is added to logits of this shape."""
        if not self.draws:
            return torch.zeros_like(logits)
        return -(-uniform_like(logits).clamp(min=LEAST).log()).log()

    def forward(self, logits: Tensor, noise: Tensor | None = None) -> Tensor:
        """Shares over the second dimension; of several calls for one text the noise is drawn beforehand."""
        if not self.draws:
            return logits.softmax(1)
        drawn = logits + (self.noise(logits) if noise is None else noise)
        if self.training and self.distribution == "gumbel":
            return (drawn / self.temperature).softmax(1)
        whole = one_hot(drawn.argmax(1), drawn.shape[1]).movedim(-1, 1).to(drawn.dtype)
        if not self.training:
            return whole
        soft = (drawn / self.temperature).softmax(1)
        return whole + soft - soft.detach()


class Start(nn.Module):
    """From latents, and labels or a text that is known, to so many numbers for each place of a line."""

    def __init__(
        self, network: nn.Module, condition: Medium | None, latent_size: int, width: int, length: int
    ) -> None:
        super().__init__()
        bounds.at_least(1, network, latent_size=latent_size, width=width)
        text = condition if isinstance(condition, Text) else None
        self.conditioning = generator_conditioning(network, None if text else condition, latent_size)
        self.known = nn.Conv1d(known_channels(network, text, length), width, 1) if text else None
        added = self.conditioning.added
        self.latents = nn.Sequential(
            nn.Linear(latent_size + added, width * length), nn.Unflatten(1, (width, length))
        )

    def forward(self, latent: Tensor, condition: Tensor | None) -> Tensor:
        if self.known is None:
            return self.latents(self.conditioning.inputs(latent, condition))
        return self.latents(latent) + self.known(required(condition))


def known_channels(network: nn.Module, condition: Text, length: int) -> int:
    """The channels of a text that a network is told; it must be as long as its lines."""
    if condition.shape[1:] != (length,):
        raise Refused(
            f"{type(network).__name__}: the condition is a text of the shape {condition.shape}, and\n"
            f"lines have {length} places. Both need the same length: say it in the data."
        )
    return condition.shape[0]


class KnownText(Conditioning):
    """A text of the same length as more channels of the inputs."""

    def __init__(self, network: nn.Module, condition: Text, length: int) -> None:
        super().__init__()
        self.added = known_channels(network, condition, length)

    def inputs(self, inputs: Tensor, condition: Tensor | None) -> Tensor:
        return torch.cat([inputs, required(condition).to(inputs.dtype)], 1)


def critic_conditioning(
    network: nn.Module,
    condition: Medium | None,
    kind: str,
    *,
    length: int,
    features: int,
    weight: Callable[[nn.Module], nn.Module] = unchanged,
) -> Conditioning:
    """How a critic of text takes labels, as others do, or a text, beside the characters."""
    if isinstance(condition, Text):
        return KnownText(network, condition, length)
    return discriminator_conditioning(
        network, condition, kind, inputs=(1, length), features=features, weight=weight
    )
