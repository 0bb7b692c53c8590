"""SNGAN's networks: residual blocks that double or halve the image."""

import math
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from ganlab import bounds
from ganlab.media import Medium
from ganlab.networks.attention import with_attention
from ganlab.networks.conditioning import (
    DiscriminatorConditioning,
    GeneratorConditioning,
    discriminator_conditioning,
    generator_conditioning,
)
from ganlab.networks.layers import (
    NORMALIZATIONS,
    Layers,
    NormalizationKind,
    Pyramid,
    Residual,
    choose,
    widths,
)
from ganlab.networks.residual import (
    INITIALIZATIONS,
    InitializationKind,
    activation,
    doubling,
    halving,
    two_convolutions,
    weighted,
)


class ResNetGenerator(nn.Module):
    """The generator of Miyato et al. 2018, arXiv:1802.05957, after Gulrajani et al. 2017, arXiv:1704.00028.

    `width` is the channels of the finest map; they double toward the coarsest, up to `max_width`.

    Labels lie beside the latent, or, with the conditioning `normalization`, scale and shift each normalised
    map, from which they are learned more slowly.

    Args:
        attention: Shorter sides of the maps that self-attention follows, in pixels.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 128,
        width: int = 64,
        max_width: int = 512,
        normalization: NormalizationKind = "batch",
        conditioning: GeneratorConditioning = "concatenation",
        attention: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, latent_size=latent_size, width=width)
        pyramid = Pyramid.of(shape)
        self.conditioning = generator_conditioning(self, condition, latent_size, conditioning)
        norm = self.conditioning.norm(choose(NORMALIZATIONS, name="normalization", value=normalization))
        channels = widths(pyramid.doublings + 1, width=width, max_width=max_width)[::-1]
        self.shape = tuple(shape)
        self.latent_size = latent_size
        start = nn.Linear(latent_size + self.conditioning.added, channels[0] * math.prod(pyramid.coarsest))
        unflatten = nn.Unflatten(1, (channels[0], *pyramid.coarsest))
        self.project = nn.Sequential(weighted(start, norm), unflatten)
        stages = with_attention(
            [doubling(*pair, norm) for pair in pairwise(channels)],
            at=attention,
            sides=pyramid.sides[-2::-1],
            channels=channels[1:],
            weight=partial(weighted, norm=norm),
        )
        self.upsample = Layers(*stages)
        last = nn.Conv2d(channels[-1], pyramid.channels, 3, padding=1)
        self.image = Layers(*activation(channels[-1], norm), weighted(last, norm), nn.Tanh())

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        maps = self.project(self.conditioning.inputs(latent, condition))
        return self.image(self.upsample(maps, condition), condition)


class ResNetDiscriminator(nn.Module):
    """The discriminator of Miyato et al. 2018, arXiv:1802.05957 (blocks: Gulrajani et al., arXiv:1704.00028).

    Its first block, without an activation before it, is the papers' optimised one; a block that keeps the
    size and a sum over all positions precede the logit. `width` is the channels after the first halving; they
    double toward the coarsest map, up to `max_width`.

    Labels are projected on the features, or lie beside the images as one more channel.

    Args:
        attention: Shorter sides of the maps that self-attention follows, in pixels.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        width: int = 64,
        max_width: int = 512,
        normalization: NormalizationKind = "spectral",
        conditioning: DiscriminatorConditioning = "projection",
        attention: tuple[int, ...] = (),
        initialization: InitializationKind = "xavier",
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, width=width)
        pyramid = Pyramid.of(shape)
        norm = choose(NORMALIZATIONS, name="normalization", value=normalization)
        norm = choose(INITIALIZATIONS, name="initialization", value=initialization)(norm)
        channels = widths(pyramid.doublings, width=width, max_width=max_width)
        last = channels[-1]
        self.conditioning = discriminator_conditioning(
            self, condition, conditioning, inputs=(1, *shape[1:]), features=last, weight=norm.weight
        )
        self.shape = tuple(shape)
        inputs = pyramid.channels + self.conditioning.added
        blocks: list[nn.Module] = [halving(inputs, channels[0], norm, before=[])]
        for fine, coarse in pairwise(channels):
            blocks.append(halving(fine, coarse, norm, before=activation(fine, norm)))
        blocks = with_attention(
            blocks,
            at=attention,
            sides=pyramid.sides[1:],
            channels=channels,
            weight=partial(weighted, norm=norm),
        )
        same_size = Layers(*activation(last, norm), *two_convolutions(last, last, norm))
        blocks.append(Residual(branch=same_size, shortcut=nn.Identity()))
        self.features = nn.Sequential(*blocks, *activation(last, norm))
        self.logit = weighted(nn.Linear(last, 1), norm)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.features(self.conditioning.inputs(images, condition)).sum(dim=(2, 3))
        return self.conditioning.logits(self.logit(features).squeeze(1), features, condition)
