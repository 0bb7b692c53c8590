"""A generator of what belongs into a picture's hole, and a critic that looks there."""

from __future__ import annotations

from math import sqrt
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media import Medium, PicturesWithHoles
from ganlab.networks.conditioning import required, source_channels
from ganlab.networks.layers import picture
from ganlab.networks.several import Factory, told

HALVINGS = 2
GAIN = 2.2  # of weights, with which gated maps nearly keep the scale of their inputs
DILATIONS = (2, 4, 8, 16)  # as far as the coarsest map is four times as large


class AroundHole(nn.Module):
    """A critic of the square around a hole's middle: the local one of Iizuka et al. 2017, section 3.2.

    ACM Transactions on Graphics 36 (4), 107. Beside one of whole pictures, which is told the same condition,
    `Several` makes a pair of the two, of which each has a logit of its own.

    Args:
        network: What makes the critic, which takes smaller pictures, and is told nothing.
        shape: Of a picture.
        condition: Pictures with holes, as `Masked` data have them.
        share: Of the picture's sides, that those of the square are.
    """

    def __init__(
        self,
        *,
        network: Factory,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        share: float = 0.5,
    ) -> None:
        super().__init__()
        _refuse_without_holes(self, condition, shape)
        bounds.between(0.01, 1, self, share=share)
        channels, height, width = picture(shape)
        self.shape, self.sides = tuple(shape), (round(share * height), round(share * width))
        self.network = told(network, {"shape": (channels, *self.sides)})

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        hole = 1 - required(condition)[:, -1]
        height, width = self.sides
        rows, columns = _around(hole.sum(2), height), _around(hole.sum(1), width)
        count, channels = images.shape[:2]
        band = images.gather(2, rows[:, None, :, None].expand(count, channels, height, images.shape[3]))
        return self.network(band.gather(3, columns[:, None, None].expand(count, channels, height, width)))


def _around(hole: Tensor, size: int) -> Tensor:
    """The `size` places around the middle of what each row has, as far as there are any."""
    places = torch.arange(hole.shape[1], device=hole.device, dtype=hole.dtype)
    middle = (hole * places).sum(1) / hole.sum(1).clamp(min=1)
    first = (middle - (size - 1) / 2).round().long().clamp(0, hole.shape[1] - size)
    return first[:, None] + torch.arange(size, device=hole.device)


def _refuse_without_holes(network: nn.Module, condition: Medium | None, shape: tuple[int, ...]) -> None:
    if not isinstance(condition, PicturesWithHoles) or condition.shape[1:] != tuple(shape[1:]):
        raise Refused(
            f"{type(network).__name__} takes pictures with holes as its condition, of the size of others:\n"
            "it needs conditional: true in the model, data such as Masked, and to be told (tells)."
        )


class GatedConvolution(nn.Module):
    """A convolution that says for each place and channel how much of it counts.

    Yu et al. 2019, arXiv:1806.03589, eq. 2, with ELU. It is a known place's neighbours that make a hole's
    edge: the gate learns where these are.
    """

    def __init__(
        self, inputs: int, outputs: int, size: int = 3, *, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        padding = dilation * (size // 2)
        self.both = nn.Conv2d(inputs, 2 * outputs, size, stride, padding, dilation)
        nn.init.zeros_(cast(Tensor, self.both.bias))
        nn.init.normal_(self.both.weight, std=GAIN / sqrt(self.both.weight[0].numel()))

    def forward(self, maps: Tensor) -> Tensor:
        features, gates = self.both(maps).chunk(2, 1)
        return elu(features) * gates.sigmoid()


class GatedGenerator(nn.Module):
    """The first of the two networks of Yu et al. 2019, arXiv:1806.03589, figure 3: gated convolutions.

    Maps are halved twice, see far by convolutions with gaps, and are doubled twice. `width` is the channels
    of the finest map, which double as a map halves; the paper has 48. The condition is a picture of the same
    size.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 0,
        width: int = 48,
    ) -> None:
        super().__init__()
        bounds.at_least(0, self, latent_size=latent_size)
        bounds.at_least(1, self, width=width)
        channels, *sides = picture(shape)
        if any(side % 2**HALVINGS for side in sides):
            raise Refused(
                f"shape is {tuple(shape)}: GatedGenerator halves height and width twice.\n"
                f"Choose sides that are multiples of {2**HALVINGS}."
            )
        inputs = source_channels(self, condition, shape) + latent_size
        self.shape, self.latent_size = tuple(shape), latent_size
        dilations = [each for each in DILATIONS if 4 * each <= min(sides) // 2**HALVINGS]
        fine, middle, coarse = width, 2 * width, 4 * width
        self.layers = nn.Sequential(
            GatedConvolution(inputs, fine, 5),
            GatedConvolution(fine, middle, stride=2),
            GatedConvolution(middle, middle),
            GatedConvolution(middle, coarse, stride=2),
            GatedConvolution(coarse, coarse),
            *(GatedConvolution(coarse, coarse, dilation=dilation) for dilation in dilations),
            GatedConvolution(coarse, coarse),
            nn.Upsample(scale_factor=2),
            GatedConvolution(coarse, middle),
            nn.Upsample(scale_factor=2),
            GatedConvolution(middle, fine),
        )
        self.image = nn.Sequential(nn.Conv2d(fine, channels, 3, padding=1), nn.Tanh())

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        source = required(condition)
        levels = latent[:, :, None, None].expand(-1, -1, *source.shape[2:])
        return self.image(self.layers(torch.cat([source, levels.to(source.dtype)], 1)))
