"""Parts of several networks: sizes and widths of maps, kinds of normalisation, the residual sum."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganlab.errors import Refused
from ganlab.networks.random_layers import Dropout as Dropout
from ganlab.networks.random_layers import Noise as Noise

Choice = TypeVar("Choice")

# Of leaky ReLUs, from the DCGAN paper; nearly every discriminator since has it.
SLOPE = 0.2

# With a coarsest map of 4 to 7 pixels a side, powers of two work as well as 28, 48, 96, ...
COARSEST_SIDE = 7


def choose(table: Mapping[str, Choice], *, name: str, value: str) -> Choice:
    """The table's entry for an argument's value; a misspelt one is refused with the names that exist."""
    if value not in table:
        raise Refused(f"{name} is {value!r}, which does not exist.\nKnown: {', '.join(table)}.")
    return table[value]


def picture(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width of a picture; any other shape is refused."""
    if len(shape) != 3 or min(shape) < 1:
        raise Refused(
            f"shape is {tuple(shape)}, but this network needs (channels, height, width), from 1 on.\n"
            "For any other shape, such as points in the plane, take MLPGenerator and MLPDiscriminator."
        )
    channels, height, width = shape
    return channels, height, width


@dataclass(frozen=True, kw_only=True)
class Pyramid:
    """The sizes of a network's maps: that of the coarsest, and how often it doubles up to the image."""

    channels: int
    coarsest: tuple[int, int]
    doublings: int

    @classmethod
    def of(cls, shape: tuple[int, ...], *, enough: int = COARSEST_SIDE) -> "Pyramid":
        """The pyramid of an image's shape; a side of `enough` pixels is not halved any more."""
        channels, height, width = picture(shape)
        doublings = 0
        while min(height, width) > enough and height % 2 == width % 2 == 0:
            height, width, doublings = height // 2, width // 2, doublings + 1
        if doublings == 0 or min(height, width) > COARSEST_SIDE:
            raise Refused(
                f"shape is {tuple(shape)}: its height and width do not halve down to 4, 5, 6 or 7 pixels.\n"
                "Sides that work: 8, 16, 32, 64, 128, 256, ... and 28, 48, 56, 80, 96, 112, 192, 224, ...\n"
                "The order is (channels, height, width); resize, crop or pad the images in the data."
            )
        return cls(channels=channels, coarsest=(height, width), doublings=doublings)

    @property
    def sides(self) -> list[int]:
        """The shorter side of each map in pixels, from the image's to the coarsest."""
        return [min(self.coarsest) * 2**level for level in reversed(range(self.doublings + 1))]


def widths(levels: int, *, width: int, max_width: int) -> list[int]:
    """Channels of each map, finest first: they double as the map halves, up to a cap."""
    if max_width < width:
        raise Refused(f"max_width is {max_width}, below width, {width}.\nRaise max_width or lower width.")
    return [min(width * 2**level, max_width) for level in range(levels)]


NormalizationKind = Literal["batch", "spectral", "spectral_batch", "instance", "none"]


def unchanged(layer: nn.Module) -> nn.Module:
    return layer


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """What a kind of normalisation does to a layer's weight, and to the channels that the layer gives."""

    weight: Callable[[nn.Module], nn.Module] = unchanged
    channels: Callable[..., nn.Module] = nn.Identity
    # A bias before a layer that subtracts the mean would be subtracted again: it would have no gradient.
    subtracts_mean: bool = False


# Spectral norm estimates the singular vectors when it is applied: initialise the weight first. Alone it
# bounds how far a generator can spread its samples, so that Zhang et al. 2018 (SAGAN, arXiv:1805.08318) give
# the generator batch norm as well. Instance norm is for batches of one or a few pictures: it takes the
# statistics of each by itself, in evaluation too, where batch norm takes the training's average.
NORMALIZATIONS: dict[str, Normalization] = {
    "batch": Normalization(channels=nn.BatchNorm2d, subtracts_mean=True),
    "spectral": Normalization(weight=spectral_norm),
    "spectral_batch": Normalization(weight=spectral_norm, channels=nn.BatchNorm2d, subtracts_mean=True),
    "instance": Normalization(channels=nn.InstanceNorm2d, subtracts_mean=True),
    "none": Normalization(),
}


# Of weights alone, for networks whose maps are not those of pictures.
WeightNormalization = Literal["none", "spectral"]
WEIGHT_NORMALIZATIONS = {name: NORMALIZATIONS[name] for name in get_args(WeightNormalization)}


class Conditional(nn.Module):
    """A layer that is given the condition of a network as well; None where that has none."""


class Layers(nn.Sequential, Conditional):
    """Layers in order; those that are given the condition as well get it."""

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        for layer in self:
            inputs = layer(inputs, condition) if isinstance(layer, Conditional) else layer(inputs)
        return inputs


class Residual(Conditional):
    """Sum of two paths."""

    def __init__(self, *, branch: Layers, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.shortcut(images) + self.branch(images, condition)
