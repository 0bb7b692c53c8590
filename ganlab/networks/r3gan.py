"""R3GAN's networks: residual, without normalisation, of inverted bottlenecks with grouped convolutions."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media import Medium
from ganlab.networks.conditioning import (
    DiscriminatorConditioning,
    discriminator_conditioning,
    generator_conditioning,
)
from ganlab.networks.layers import SLOPE, Layers, Pyramid, Residual, widths

MOST_BLOCKS = 1000  # of a map


def _linear_map(layer: nn.Linear | nn.Conv2d) -> nn.Module:
    # No activation follows such a layer, so a gain of one keeps the variance.
    nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _pointwise(inputs: int, outputs: int) -> nn.Module:
    return _linear_map(nn.Conv2d(inputs, outputs, 1, bias=False))


def _initialise_branch(layers: list[nn.Conv2d], *, branches: int) -> None:
    """Start a branch at zero, its other layers so small that depth does not enlarge the first updates.

    Fixup, Zhang et al. 2019, arXiv:1901.09321, section 3: scaled by L^(-1/(2m-2)), L branches of m layers.
    """
    scale = branches ** (-1 / (2 * len(layers) - 2))
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, a=SLOPE)
        with torch.no_grad():
            layer.weight *= scale
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    nn.init.zeros_(layers[-1].weight)


class _Blocks:
    """Makes the residual blocks of one network; their initialisation depends on how many there are in all."""

    def __init__(
        self, network: nn.Module, *, maps: int, blocks: int, group_size: int, expansion: int
    ) -> None:
        bounds.between(1, MOST_BLOCKS, network, blocks=blocks)
        bounds.at_least(1, network, group_size=group_size, expansion=expansion)
        self.blocks = blocks
        self.branches = maps * blocks
        self.group_size = group_size
        self.expansion = expansion

    def at(self, channels: int) -> list[nn.Module]:
        """The blocks of one map."""
        return [self._block(channels) for _ in range(self.blocks)]

    def _block(self, channels: int) -> nn.Module:
        inner = channels * self.expansion
        if inner % self.group_size:
            raise Refused(
                f"group_size is {self.group_size}, which does not divide {inner}: "
                f"{channels} channels times expansion {self.expansion}.\n"
                "Both width * expansion and max_width * expansion must be multiples of group_size."
            )
        widen = nn.Conv2d(channels, inner, 1)
        mix = nn.Conv2d(inner, inner, 3, padding=1, groups=inner // self.group_size)
        narrow = nn.Conv2d(inner, channels, 1)
        _initialise_branch([widen, mix, narrow], branches=self.branches)
        branch = Layers(widen, nn.LeakyReLU(SLOPE), mix, nn.LeakyReLU(SLOPE), narrow)
        return Residual(branch=branch, shortcut=nn.Identity())


class R3GANGenerator(nn.Module):
    """The generator of Huang et al. 2024 (R3GAN), arXiv:2501.05441, and a tanh, which the paper has not.

    It starts from a learned map, each channel scaled by a linear map of the latent. `width` is the channels
    of the finest map; they double toward the coarsest, up to `max_width`. Each map has `blocks` residual
    blocks, whose inner channels are `expansion` times the map's, in groups of `group_size`.

    Labels lie beside the latent.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 128,
        width: int = 32,
        max_width: int = 512,
        blocks: int = 2,
        group_size: int = 16,
        expansion: int = 2,
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, latent_size=latent_size, width=width)
        pyramid = Pyramid.of(shape)
        channels = widths(pyramid.doublings + 1, width=width, max_width=max_width)[::-1]
        residual = _Blocks(
            self, maps=len(channels), blocks=blocks, group_size=group_size, expansion=expansion
        )

        def stage(coarse: int, fine: int) -> nn.Module:
            # A 1x1 convolution and an interpolation commute: this order does a quarter of the work.
            double = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            return nn.Sequential(_pointwise(coarse, fine), double, *residual.at(fine))

        self.shape = tuple(shape)
        self.latent_size = latent_size
        self.basis = nn.Parameter(torch.randn(channels[0], *pyramid.coarsest))
        self.conditioning = generator_conditioning(self, condition, latent_size)
        scales = nn.Linear(latent_size + self.conditioning.added, channels[0], bias=False)
        self.modulation = _linear_map(scales)
        self.upsample = nn.Sequential(
            nn.Sequential(*residual.at(channels[0])), *(stage(*pair) for pair in pairwise(channels))
        )
        self.image = nn.Sequential(_linear_map(nn.Conv2d(channels[-1], pyramid.channels, 1)), nn.Tanh())

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        scales = self.modulation(self.conditioning.inputs(latent, condition))
        return self.image(self.upsample(self.basis * scales[:, :, None, None]))


class R3GANDiscriminator(nn.Module):
    """The discriminator of Huang et al. 2024 (R3GAN), arXiv:2501.05441: the mirror image of its generator.

    It ends in a depthwise convolution over the whole coarsest map and a linear map to the logit. `width` is
    the channels of the finest map; they double toward the coarsest, up to `max_width`. Each map has `blocks`
    residual blocks, whose inner channels are `expansion` times the map's, in groups of `group_size`.

    Labels are projected on the features, or lie beside the images as one more channel.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        width: int = 32,
        max_width: int = 512,
        blocks: int = 2,
        group_size: int = 16,
        expansion: int = 2,
        conditioning: DiscriminatorConditioning = "projection",
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, width=width)
        pyramid = Pyramid.of(shape)
        channels = widths(pyramid.doublings + 1, width=width, max_width=max_width)
        residual = _Blocks(
            self, maps=len(channels), blocks=blocks, group_size=group_size, expansion=expansion
        )

        def stage(fine: int, coarse: int) -> nn.Module:
            # At a factor of two the mean of 2x2 pixels *is* bilinear interpolation. It is as fast on CPUs,
            # second derivatives included, and faster on GPUs that must be deterministic.
            return nn.Sequential(nn.AvgPool2d(2), _pointwise(fine, coarse), *residual.at(coarse))

        coarse = channels[-1]
        self.conditioning = discriminator_conditioning(
            self, condition, conditioning, inputs=(1, *shape[1:]), features=coarse
        )
        whole_map = nn.Conv2d(coarse, coarse, pyramid.coarsest, groups=coarse, bias=False)
        first = _linear_map(nn.Conv2d(pyramid.channels + self.conditioning.added, channels[0], 1))
        self.shape = tuple(shape)
        self.features = nn.Sequential(
            nn.Sequential(first, *residual.at(channels[0])),
            *(stage(*pair) for pair in pairwise(channels)),
            nn.Sequential(_linear_map(whole_map), nn.Flatten()),
        )
        self.logit = _linear_map(nn.Linear(coarse, 1))

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.features(self.conditioning.inputs(images, condition))
        return self.conditioning.logits(self.logit(features).squeeze(1), features, condition)
