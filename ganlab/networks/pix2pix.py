"""pix2pix's networks: from pictures to pictures, and from pictures to a logit for each patch."""

from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media import Medium
from ganlab.networks.conditioning import patch_conditioning, required, source_channels
from ganlab.networks.layers import (
    NORMALIZATIONS,
    SLOPE,
    Dropout,
    NormalizationKind,
    Pyramid,
    choose,
    picture,
    widths,
)
from ganlab.networks.strided import Doubling, Halving, weighted

DROPPED = 3  # maps on the way up, from the coarsest on
Convolution: TypeAlias = nn.Conv2d | nn.ConvTranspose2d


def _stage(layer: Convolution, normalization: str, *before: nn.Module) -> nn.Sequential:
    norm = NORMALIZATIONS[normalization].channels(layer.out_channels)
    return nn.Sequential(*before, weighted(layer, normalization), norm)


class UNetGenerator(nn.Module):
    """The U-Net of Isola et al. 2017 (pix2pix), arXiv:1611.07004, from pictures to pictures.

    The condition, pictures of the same height and width, is halved to 2 or 3 pixels a side (5 or 7 where no
    halving is left), then taken to one. On the way back up each map lies beside the one of its size on the
    way down. The latent enters at the bottom; without one, a source makes one picture. `width` is the
    channels of the finest hidden map; they double toward the bottom, up to `max_width`. With `dropout`, 0.5
    in the paper, that share of the three coarsest maps on the way up is dropped, in sampling too: it is the
    paper's only source of noise.

    The paper samples with batches of one that are normalised by their own statistics: that is instance norm.
    Batch norm takes the average of training in evaluation; after training with small batches its pictures
    are worse there.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 0,
        width: int = 64,
        max_width: int = 512,
        normalization: NormalizationKind = "instance",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        bounds.at_least(0, self, latent_size=latent_size)
        bounds.at_least(1, self, width=width)
        pyramid = Pyramid.of(shape, enough=3)
        bias = not choose(NORMALIZATIONS, name="normalization", value=normalization).subtracts_mean
        *channels, bottom = widths(pyramid.doublings + 1, width=width, max_width=max_width)
        source = Halving(source_channels(self, condition, shape), channels[0])
        halvings = [Halving(*pair, bias=bias) for pair in pairwise(channels)]
        narrow = nn.Conv2d(channels[-1], bottom, pyramid.coarsest)
        size = pyramid.coarsest
        widen = nn.ConvTranspose2d(bottom + latent_size, channels[-1], size, stride=size, bias=bias)
        doublings = [Doubling(2 * coarse, fine, bias=bias) for coarse, fine in pairwise(channels[::-1])]
        last = Doubling(2 * channels[0], pyramid.channels)
        self.shape = tuple(shape)
        self.latent_size = latent_size
        self.down = nn.ModuleList([weighted(source, normalization)])
        self.down += [_stage(layer, normalization, nn.LeakyReLU(SLOPE)) for layer in halvings]
        self.bottom = nn.Sequential(nn.LeakyReLU(SLOPE), weighted(narrow, normalization), nn.ReLU())
        up = [_stage(widen, normalization)]
        up += [_stage(layer, normalization, nn.ReLU()) for layer in doublings]
        for stage in up[:DROPPED] if dropout else ():
            stage.append(Dropout(dropout))
        self.up = nn.ModuleList(up)
        self.image = nn.Sequential(nn.ReLU(), weighted(last, normalization), nn.Tanh())

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        maps, skips = required(condition), []
        for halve in self.down:
            maps = halve(maps)
            skips.append(maps)
        maps = torch.cat([self.bottom(maps), latent[:, :, None, None]], 1)
        for enlarge, skip in zip(self.up, reversed(skips), strict=True):
            maps = torch.cat([enlarge(maps), skip], 1)
        return self.image(maps)


class PatchGANDiscriminator(nn.Module):
    """The discriminator of Isola et al. 2017 (pix2pix), arXiv:1611.07004: a logit for each patch.

    Of `layers` halvings, three let a logit see 70x70 pixels, two 34x34, one 16x16. The condition, pictures of
    the same height and width or labels, lies beside the images as more channels. `width` is the channels of
    the finest hidden map; they double from one to the next, up to `max_width`.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        width: int = 64,
        max_width: int = 512,
        layers: int = 3,
        normalization: NormalizationKind = "instance",
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, width=width, layers=layers)
        _check_layers(shape, layers)
        bias = not choose(NORMALIZATIONS, name="normalization", value=normalization).subtracts_mean
        channels = widths(layers + 1, width=width, max_width=max_width)
        self.shape = tuple(shape)
        self.conditioning = patch_conditioning(self, condition, shape)
        first = Halving(shape[0] + self.conditioning.added, channels[0])
        halvings = [Halving(*pair, bias=bias) for pair in pairwise(channels[:-1])]
        same_size = nn.Conv2d(channels[-2], channels[-1], 4, padding=1, bias=bias)
        self.features = nn.Sequential(
            weighted(first, normalization),
            *(_stage(layer, normalization, nn.LeakyReLU(SLOPE)) for layer in (*halvings, same_size)),
            nn.LeakyReLU(SLOPE),
        )
        self.logit = weighted(nn.Conv2d(channels[-1], 1, 4, padding=1), normalization)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.logit(self.features(self.conditioning.inputs(images, condition))).squeeze(1)


def _check_layers(shape: tuple[int, ...], layers: int) -> None:
    _, height, width = picture(shape)
    most = (min(height, width) // 3).bit_length() - 1
    if most < 1:
        raise Refused(f"shape is {tuple(shape)}; PatchGANDiscriminator needs at least 6 pixels a side.")
    if layers > most:
        raise Refused(
            f"layers is {layers}, too many for images of {tuple(shape)}: no logit would be left.\n"
            f"Take at most {most}, or larger images."
        )
