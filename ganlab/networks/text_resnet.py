"""WGAN-GP's networks for text: residual blocks along the line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from ganlab import bounds
from ganlab.media import Medium
from ganlab.networks.characters import Characters, Distribution, Start, critic_conditioning, line
from ganlab.networks.conditioning import DiscriminatorConditioning
from ganlab.networks.layers import NORMALIZATIONS, choose, unchanged

KERNEL = 5  # places that a convolution sees
SHARE = 0.3  # of a block's branch beside its input, as in the paper's code


class _Block(nn.Module):
    def __init__(self, width: int, weight: Callable[[nn.Module], nn.Module] = unchanged) -> None:
        super().__init__()
        convolutions = (weight(nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2)) for _ in range(2))
        self.branch = nn.Sequential(*(layer for each in convolutions for layer in (nn.ReLU(), each)))

    def forward(self, maps: Tensor) -> Tensor:
        return maps + SHARE * self.branch(maps)


class TextResNetGenerator(nn.Module):
    """The text generator of Gulrajani et al. 2017, arXiv:1704.00028, section 5 and its code.

    Labels lie beside the latent. A text that is known, such as one with blanks, enters at each place.

    Args:
        width: Channels.
        blocks: Residual blocks, each of which sees 9 places.
        distribution: What is made of the logits: softmax, or drawn characters (gumbel, straight_through).
        temperature: Of drawn characters at the start.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 128,
        width: int = 128,
        blocks: int = 5,
        distribution: Distribution = "softmax",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, blocks=blocks)
        channels, length = line(self, shape)
        self.shape, self.latent_size = tuple(shape), latent_size
        self.start = Start(self, condition, latent_size, width, length)
        self.blocks = nn.Sequential(*(_Block(width) for _ in range(blocks)))
        self.logits = nn.Conv1d(width, channels, 1)
        self.characters = Characters(distribution, temperature)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.characters(self.logits(self.blocks(self.start(latent, condition))))


class TextResNetDiscriminator(nn.Module):
    """The critic of Gulrajani et al. 2017, arXiv:1704.00028, section 5 and its code.

    Labels are projected on the features, or lie beside the characters as one more channel; so does a text.

    Args:
        width: Channels.
        blocks: Residual blocks, each of which sees 9 places.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        width: int = 128,
        blocks: int = 5,
        normalization: Literal["none", "spectral"] = "none",
        conditioning: DiscriminatorConditioning = "projection",
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, width=width, blocks=blocks)
        kinds = {name: NORMALIZATIONS[name] for name in ("none", "spectral")}
        weight = choose(kinds, name="normalization", value=normalization).weight
        channels, length = line(self, shape)
        self.shape = tuple(shape)
        self.conditioning = critic_conditioning(
            self, condition, conditioning, length=length, features=width * length, weight=weight
        )
        inputs = channels + self.conditioning.added
        self.features = nn.Sequential(
            weight(nn.Conv1d(inputs, width, 1)), *(_Block(width, weight) for _ in range(blocks)), nn.Flatten()
        )
        self.logit = weight(nn.Linear(width * length, 1))

    def forward(self, texts: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.features(self.conditioning.inputs(texts, condition))
        return self.conditioning.logits(self.logit(features).squeeze(1), features, condition)
