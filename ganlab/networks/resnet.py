"""SNGAN's networks: residual blocks that double or halve the image."""

import math
from itertools import pairwise

from torch import Tensor, nn

from ganlab import bounds
from ganlab.media import Medium
from ganlab.networks.conditioning import (
    DiscriminatorConditioning,
    GeneratorConditioning,
    discriminator_conditioning,
    generator_conditioning,
)
from ganlab.networks.layers import (
    NORMALIZATIONS,
    Layers,
    Normalization,
    NormalizationKind,
    Pyramid,
    Residual,
    choose,
    widths,
)


def _weighted(layer: nn.Linear | nn.Conv2d, norm: Normalization, *, gain: float = 1.0) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return norm.weight(layer)


def _pointwise(inputs: int, outputs: int, norm: Normalization) -> nn.Module:
    return _weighted(nn.Conv2d(inputs, outputs, 1, bias=not norm.subtracts_mean), norm)


def _activation(channels: int, norm: Normalization) -> list[nn.Module]:
    # A ReLU in place would overwrite the map that the shortcut reads.
    return [norm.channels(channels), nn.ReLU()]


def _two_convolutions(inputs: int, outputs: int, norm: Normalization) -> list[nn.Module]:
    # What follows the second layer, in the next blocks and at the end, subtracts the mean of its bias too.
    bias = not norm.subtracts_mean
    first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
    second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=bias)
    gain = math.sqrt(2)
    return [
        _weighted(first, norm, gain=gain),
        *_activation(outputs, norm),
        _weighted(second, norm, gain=gain),
    ]


def _doubling(inputs: int, outputs: int, norm: Normalization) -> Residual:
    before, after = _activation(inputs, norm), _two_convolutions(inputs, outputs, norm)
    return Residual(
        branch=Layers(*before, nn.Upsample(scale_factor=2), *after),
        # A 1x1 convolution and a nearest-neighbour doubling commute: this order does a quarter of the work.
        shortcut=nn.Sequential(_pointwise(inputs, outputs, norm), nn.Upsample(scale_factor=2)),
    )


def _halving(inputs: int, outputs: int, norm: Normalization, before: list[nn.Module]) -> Residual:
    return Residual(
        branch=Layers(*before, *_two_convolutions(inputs, outputs, norm), nn.AvgPool2d(2)),
        shortcut=nn.Sequential(nn.AvgPool2d(2), _pointwise(inputs, outputs, norm)),
    )


class ResNetGenerator(nn.Module):
    """The generator of Miyato et al. 2018, arXiv:1802.05957, after Gulrajani et al. 2017, arXiv:1704.00028.

    `width` is the channels of the finest map; they double toward the coarsest, up to `max_width`.

    Labels lie beside the latent, or, with the conditioning `normalization`, scale and shift each normalised
    map, from which they are learned more slowly.
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
        self.project = nn.Sequential(_weighted(start, norm), unflatten)
        self.upsample = Layers(*(_doubling(*pair, norm) for pair in pairwise(channels)))
        last = nn.Conv2d(channels[-1], pyramid.channels, 3, padding=1)
        self.image = Layers(*_activation(channels[-1], norm), _weighted(last, norm), nn.Tanh())

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        maps = self.project(self.conditioning.inputs(latent, condition))
        return self.image(self.upsample(maps, condition), condition)


class ResNetDiscriminator(nn.Module):
    """The discriminator of Miyato et al. 2018, arXiv:1802.05957 (blocks: Gulrajani et al., arXiv:1704.00028).

    Its first block, without an activation before it, is the papers' optimised one; a block that keeps the
    size and a sum over all positions precede the logit. `width` is the channels after the first halving; they
    double toward the coarsest map, up to `max_width`.

    Labels are projected on the features, or lie beside the images as one more channel.
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
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, width=width)
        pyramid = Pyramid.of(shape)
        norm = choose(NORMALIZATIONS, name="normalization", value=normalization)
        channels = widths(pyramid.doublings, width=width, max_width=max_width)
        last = channels[-1]
        self.conditioning = discriminator_conditioning(
            self, condition, conditioning, inputs=(1, *shape[1:]), features=last, weight=norm.weight
        )
        self.shape = tuple(shape)
        blocks = [_halving(pyramid.channels + self.conditioning.added, channels[0], norm, before=[])]
        for fine, coarse in pairwise(channels):
            blocks.append(_halving(fine, coarse, norm, before=_activation(fine, norm)))
        same_size = Layers(*_activation(last, norm), *_two_convolutions(last, last, norm))
        blocks.append(Residual(branch=same_size, shortcut=nn.Identity()))
        self.features = nn.Sequential(*blocks, *_activation(last, norm))
        self.logit = _weighted(nn.Linear(last, 1), norm)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.features(self.conditioning.inputs(images, condition)).sum(dim=(2, 3))
        return self.conditioning.logits(self.logit(features).squeeze(1), features, condition)
