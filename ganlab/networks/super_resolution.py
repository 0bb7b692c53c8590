"""Generators of pictures from smaller pictures, or from spoilt ones of the same size."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import cast

import torch
from torch import Tensor, nn

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media import Medium, Pictures
from ganlab.networks.conditioning import required
from ganlab.networks.layers import NORMALIZATIONS, SLOPE, NormalizationKind, choose, picture

MOST_SCALE = 64
GROWTH = 5  # convolutions of a dense block
KEPT = 0.2  # of what a block adds: Wang et al. 2018, arXiv:1809.00219, section 3.1
FIRST = 0.1  # of He's weights, which a network of many blocks starts with: the same, section 3.1

Convolution = partial(nn.Conv2d, kernel_size=3, padding=1)


class SubPixel(nn.Sequential):
    """Maps that are larger: each place becomes a square of places, with channels of its own.

    After Shi et al. 2016, arXiv:1609.05158, section 3.2. At the start the places of a square are equal, so
    that no chequerboard is there to be unlearnt (Aitken et al. 2017, arXiv:1707.02937, section 3.2).
    """

    def __init__(self, channels: int, times: int) -> None:
        widen = Convolution(channels, channels * times**2)
        with torch.no_grad():
            one = widen.weight[:: times**2]
            widen.weight.copy_(one.repeat_interleave(times**2, 0))
            nn.init.zeros_(cast(Tensor, widen.bias))
        super().__init__(widen, nn.PixelShuffle(times))


class FromSmaller(nn.Module):
    """The base class: the condition, a picture so many times smaller as its shape says, or of the same size.

    A latent, where there is one, lies beside it as more channels.
    """

    def __init__(self, shape: tuple[int, ...], condition: Medium | None, latent_size: int) -> None:
        super().__init__()
        bounds.at_least(0, self, latent_size=latent_size)
        self.shape, self.latent_size = tuple(shape), latent_size
        self.factors = factors(self, condition, shape)
        self.inputs = cast(Pictures, condition).shape[0] + latent_size

    def source(self, latent: Tensor, condition: Tensor | None) -> Tensor:
        smaller = required(condition)
        levels = latent[:, :, None, None].expand(-1, -1, *smaller.shape[2:])
        return torch.cat([smaller, levels.to(smaller.dtype)], 1)


class SRResNetGenerator(FromSmaller):
    """SRResNet, the generator of SRGAN: Ledig et al. 2017, arXiv:1609.04802, figure 4.

    `width` is the channels of all hidden maps; the paper has 64, and 16 blocks. The condition is a picture,
    smaller by a whole factor, or of the same size.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 0,
        width: int = 64,
        blocks: int = 16,
        normalization: NormalizationKind = "batch",
    ) -> None:
        super().__init__(shape, condition, latent_size)
        bounds.at_least(1, self, width=width, blocks=blocks)
        norm = choose(NORMALIZATIONS, name="normalization", value=normalization)

        def stage() -> list[nn.Module]:
            layer = Convolution(width, width, bias=not norm.subtracts_mean)
            return [norm.weight(layer), norm.channels(width)]

        self.first = nn.Sequential(norm.weight(nn.Conv2d(self.inputs, width, 9, padding=4)), nn.PReLU())
        body = [_Sum(nn.Sequential(*stage(), nn.PReLU(), *stage())) for _ in range(blocks)]
        self.body = _Sum(nn.Sequential(*body, *stage()))
        self.larger = nn.Sequential(
            *(nn.Sequential(SubPixel(width, times), nn.PReLU()) for times in self.factors)
        )
        self.image = nn.Sequential(nn.Conv2d(width, shape[0], 9, padding=4), nn.Tanh())

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        maps = self.body(self.first(self.source(latent, condition)))
        return self.image(self.larger(maps))


class RRDBGenerator(FromSmaller):
    """RRDB, the generator of ESRGAN: Wang et al. 2018, arXiv:1809.00219, figures 3 and 4.

    `width` is the channels of the hidden maps, `growth` those that each convolution of a dense block adds;
    the paper has 64, 32 and 23 blocks, without any normalisation. Maps become larger by sub-pixel layers.
    The condition is that of SRResNet.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 0,
        width: int = 64,
        growth: int = 32,
        blocks: int = 23,
    ) -> None:
        super().__init__(shape, condition, latent_size)
        bounds.at_least(1, self, width=width, growth=growth, blocks=blocks)
        self.first = Convolution(self.inputs, width)
        body = [_Sum(nn.Sequential(*(_Dense(width, growth) for _ in range(3))), KEPT) for _ in range(blocks)]
        self.body = _Sum(nn.Sequential(*body, _started(Convolution(width, width))))
        activation = partial(nn.LeakyReLU, SLOPE)
        self.larger = nn.Sequential(
            *(nn.Sequential(SubPixel(width, times), activation()) for times in self.factors)
        )
        self.image = nn.Sequential(
            Convolution(width, width), activation(), Convolution(width, shape[0]), nn.Tanh()
        )

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        maps = self.body(self.first(self.source(latent, condition)))
        return self.image(self.larger(maps))


class _Sum(nn.Module):
    """Maps, and so much of what layers make of them."""

    def __init__(self, layers: nn.Module, kept: float = 1.0) -> None:
        super().__init__()
        self.layers, self.kept = layers, kept

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.kept * self.layers(maps)


class _Dense(nn.Module):
    """Convolutions each of which sees all maps before it (figure 4)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        seen = [width + number * growth for number in range(GROWTH)]
        self.layers = nn.ModuleList(_started(Convolution(inputs, growth)) for inputs in seen[:-1])
        self.last = _started(Convolution(seen[-1], width))

    def forward(self, maps: Tensor) -> Tensor:
        seen = maps
        for layer in self.layers:
            seen = torch.cat([seen, nn.functional.leaky_relu(layer(seen), SLOPE)], 1)
        return maps + KEPT * self.last(seen)


def _started(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.kaiming_normal_(layer.weight)
    with torch.no_grad():
        layer.weight.mul_(FIRST)
        nn.init.zeros_(cast(Tensor, layer.bias))
    return layer


def factors(network: nn.Module, source: Medium | None, shape: tuple[int, ...]) -> list[int]:
    """By how much each sub-pixel layer enlarges maps, from the condition's size to that of this shape."""
    name, (_, height, width) = type(network).__name__, picture(shape)
    if not isinstance(source, Pictures) or len(source.shape) != 3:
        raise Refused(
            f"{name} takes pictures as its condition, not {source and type(source).__name__}.\n"
            "It needs conditional: true in the model, and data whose second column is pictures."
        )
    scale = height // source.shape[1]
    if (scale * source.shape[1], scale * source.shape[2]) != (height, width) or scale > MOST_SCALE:
        raise Refused(
            f"{name}: the condition is of the shape {source.shape}, the images are of {tuple(shape)}.\n"
            "Both sides of the images need to be the same whole multiple of its sides."
        )
    found: list[int] = []
    while (left := scale // prod(found)) > 1:
        found.append(next(factor for factor in range(2, left + 1) if left % factor == 0))
    return found
