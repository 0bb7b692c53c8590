"""BigGAN's networks: residual blocks, each told a part of the latent, with orthogonal first weights."""

import math
from dataclasses import replace
from itertools import pairwise

from torch import Tensor, nn

from ganlab import bounds
from ganlab.media import Medium
from ganlab.networks.attention import with_attention
from ganlab.networks.conditioning import (
    DiscriminatorConditioning,
    ModulatedNorm,
    generator_conditioning,
)
from ganlab.networks.layers import NORMALIZATIONS, Normalization, Pyramid, widths
from ganlab.networks.residual import activation, doubling, orthogonal, weighted
from ganlab.networks.resnet import ResNetDiscriminator

SPECTRAL = orthogonal(NORMALIZATIONS["spectral"])
SPECTRAL_BATCH = orthogonal(NORMALIZATIONS["spectral_batch"])


def parts(latent_size: int, count: int) -> list[int]:
    """Sizes of the parts that a latent is cut into: as equal as can be, the longer ones first."""
    size, longer = divmod(latent_size, count)
    return [size + (index < longer) for index in range(count)]


class BigGANGenerator(nn.Module):
    """The generator of Brock et al. 2019 (BigGAN), arXiv:1809.11096, appendix B, figure 15.

    The latent is cut into parts. Of the first the coarsest map is made; each of the others, beside the
    embedding of labels that all blocks share, scales and shifts the normalised maps of one block. Without
    labels the parts do so alone. `width` is the channels of the finest map; they double toward the coarsest,
    up to `max_width`.

    Args:
        embedding_size: Numbers in the embedding of labels.
        attention: Shorter sides of the maps that self-attention follows, in pixels.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 128,
        width: int = 64,
        max_width: int = 1024,
        embedding_size: int = 128,
        attention: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        pyramid = Pyramid.of(shape)
        bounds.at_least(1, self, width=width, embedding_size=embedding_size)
        bounds.at_least(pyramid.doublings + 1, self, latent_size=latent_size)
        self.shape, self.latent_size = tuple(shape), latent_size
        self.parts = parts(latent_size, pyramid.doublings + 1)
        channels = widths(pyramid.doublings + 1, width=width, max_width=max_width)[::-1]
        coarsest = (channels[0], *pyramid.coarsest)
        start = SPECTRAL.weight(nn.Linear(self.parts[0], math.prod(coarsest)))
        self.conditioning = generator_conditioning(self, condition, embedding_size)
        self.project = nn.Sequential(start, nn.Unflatten(1, coarsest))
        blocks = [
            doubling(*pair, _modulated(size + self.conditioning.added))
            for size, pair in zip(self.parts[1:], pairwise(channels), strict=True)
        ]
        self.upsample = nn.ModuleList(
            with_attention(
                blocks,
                at=attention,
                sides=pyramid.sides[-2::-1],
                channels=channels[1:],
                weight=SPECTRAL.weight,
            )
        )
        last = nn.Conv2d(channels[-1], pyramid.channels, 3, padding=1)
        self.image = nn.Sequential(
            *activation(channels[-1], SPECTRAL_BATCH), weighted(last, SPECTRAL), nn.Tanh()
        )

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        first, *others = latent.split(self.parts, 1)
        maps = self.project(first)
        for stage, part in zip(self.upsample, others, strict=True):
            maps = stage(maps, self.conditioning.inputs(part, condition))
        return self.image(maps)


class BigGANDiscriminator(ResNetDiscriminator):
    """The discriminator of Brock et al. 2019 (BigGAN), arXiv:1809.11096, appendix B, figure 15.

    That is SNGAN's with weights that start orthogonal. `width` is the channels after the first halving; they
    double toward the coarsest map, up to `max_width`. Labels are projected on the features.

    Args:
        attention: Shorter sides of the maps that self-attention follows, in pixels.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        width: int = 64,
        max_width: int = 1024,
        conditioning: DiscriminatorConditioning = "projection",
        attention: tuple[int, ...] = (),
    ) -> None:
        super().__init__(
            shape=shape,
            condition=condition,
            width=width,
            max_width=max_width,
            conditioning=conditioning,
            attention=attention,
            initialization="orthogonal",
        )


def _modulated(size: int) -> Normalization:
    """Spectral and batch norm; scales and shifts are linear in a vector of `size` numbers."""

    def norm(channels: int) -> nn.Module:
        linear = SPECTRAL.weight(nn.Linear(size, 2 * channels, bias=False))
        return ModulatedNorm(linear, nn.BatchNorm2d, channels)

    return replace(SPECTRAL_BATCH, channels=norm)
