"""DCGAN's networks: strided convolutions, one for each halving or doubling of the image."""

import math
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from ganlab import bounds
from ganlab.media import Medium
from ganlab.networks.attention import with_attention
from ganlab.networks.batch_statistics import BATCH_STATISTICS, BatchStatisticsKind
from ganlab.networks.conditioning import (
    DiscriminatorConditioning,
    GeneratorConditioning,
    discriminator_conditioning,
    generator_conditioning,
)
from ganlab.networks.layers import (
    NORMALIZATIONS,
    SLOPE,
    Layers,
    NormalizationKind,
    Pyramid,
    choose,
    widths,
)
from ganlab.networks.strided import Doubling, Halving, Weighted, weighted


class DCGANGenerator(nn.Module):
    """The generator of Radford et al. 2015, arXiv:1511.06434: a linear map, then transposed convolutions.

    `width` is the channels of the finest hidden map, half the image's size; they double toward the coarsest,
    up to `max_width`.

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
        bias = not norm.subtracts_mean

        def stage(layer: Weighted, channels: int, *reshape: nn.Module) -> nn.Module:
            return Layers(weighted(layer, normalization), *reshape, norm.channels(channels), nn.ReLU())

        channels = widths(pyramid.doublings, width=width, max_width=max_width)[::-1]
        coarsest = (channels[0], *pyramid.coarsest)
        start = nn.Linear(latent_size + self.conditioning.added, math.prod(coarsest), bias=bias)
        last = Doubling(channels[-1], pyramid.channels)
        self.shape = tuple(shape)
        self.latent_size = latent_size
        self.project = stage(start, channels[0], nn.Unflatten(1, coarsest))
        stages = with_attention(
            [stage(Doubling(coarse, fine, bias=bias), fine) for coarse, fine in pairwise(channels)],
            at=attention,
            sides=pyramid.sides[-2:0:-1],
            channels=channels[1:],
            weight=partial(weighted, normalization=normalization),
        )
        self.upsample = Layers(*stages)
        self.image = nn.Sequential(weighted(last, normalization), nn.Tanh())

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        maps = self.project(self.conditioning.inputs(latent, condition), condition)
        return self.image(self.upsample(maps, condition))


class DCGANDiscriminator(nn.Module):
    """The discriminator of Radford et al. 2015, arXiv:1511.06434: strided convolutions, then a linear map.

    `width` is the channels of the finest hidden map, half the image's size; they double toward the coarsest,
    up to `max_width`. Batch norm leaves out the first and the last layer, as in the paper.

    Labels are projected on the features, or lie beside the images as one more channel.

    Args:
        attention: Shorter sides of the maps that self-attention follows, in pixels.
        batch_statistics: What the logit sees of a batch's other samples; but for `none` it couples samples.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        width: int = 64,
        max_width: int = 512,
        normalization: NormalizationKind = "batch",
        conditioning: DiscriminatorConditioning = "projection",
        attention: tuple[int, ...] = (),
        batch_statistics: BatchStatisticsKind = "none",
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, width=width)
        pyramid = Pyramid.of(shape)
        norm = choose(NORMALIZATIONS, name="normalization", value=normalization)
        channels = widths(pyramid.doublings, width=width, max_width=max_width)
        features = channels[-1] * math.prod(pyramid.coarsest)
        self.conditioning = discriminator_conditioning(
            self, condition, conditioning, inputs=(1, *shape[1:]), features=features, weight=norm.weight
        )

        def stage(fine: int, coarse: int) -> nn.Module:
            halving = weighted(Halving(fine, coarse, bias=not norm.subtracts_mean), normalization)
            return nn.Sequential(halving, norm.channels(coarse), nn.LeakyReLU(SLOPE))

        first = weighted(Halving(pyramid.channels + self.conditioning.added, channels[0]), normalization)
        self.shape = tuple(shape)
        halved = nn.Sequential(first, nn.LeakyReLU(SLOPE))
        stages = with_attention(
            [halved, *(stage(fine, coarse) for fine, coarse in pairwise(channels))],
            at=attention,
            sides=pyramid.sides[1:],
            channels=channels,
            weight=partial(weighted, normalization=normalization),
        )
        self.features = nn.Sequential(*stages, nn.Flatten())
        add = choose(BATCH_STATISTICS, name="batch_statistics", value=batch_statistics)
        self.statistics = add(features, norm.weight)
        self.logit = weighted(nn.Linear(features + self.statistics.added, 1), normalization)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.features(self.conditioning.inputs(images, condition))
        logits = self.logit(self.statistics(features)).squeeze(1)
        return self.conditioning.logits(logits, features, condition)
