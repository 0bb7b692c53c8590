"""What becomes of a picture that is to be restored: it is made smaller, gets a hole, or is spoilt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from io import BytesIO
from math import ceil, sqrt
from typing import Any, Literal, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, pad

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media import Medium, Pictures, PicturesWithHoles
from ganlab.media.holes import Fill, with_hole
from ganlab.media.pictures import quantise
from ganlab.seeds import seed_for

Kernel = Literal["bicubic", "bilinear", "area", "nearest"]
Hole = Literal["centre", "boxes", "strokes"]
# The middle of each square; with "nearest" torch takes its corner, which moves the picture.
MODES: dict[str, dict[str, Any]] = {
    "bicubic": {"mode": "bicubic", "antialias": True},
    "bilinear": {"mode": "bilinear", "antialias": True},
    "area": {"mode": "area"},
    "nearest": {"mode": "nearest-exact"},
}
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: BT.601
MOST_SCALE = 64
MOST_BLUR = 64.0  # pixels
SHAPES = 4  # boxes or strokes of a hole
BENDS = 4  # of a stroke
WIDTHS = 0.5, 2.0  # of one shape beside the others


class Draws(Protocol):
    """Random numbers, of any shape for each picture."""

    def normal(self, *shape: int) -> Tensor: ...

    def uniform(self, *shape: int) -> Tensor: ...


class DrawsOfItems:
    """Random numbers of each item that follow from a draw and the item's number, wherever it is asked for."""

    def __init__(self, draw: int, split: str, numbers: Tensor) -> None:
        seeds = (seed_for("degradation", draw, split, number) for number in numbers.tolist())
        self._sources = [torch.Generator().manual_seed(seed) for seed in seeds]

    def normal(self, *shape: int) -> Tensor:
        drawn = [torch.randn(shape, generator=source) for source in self._sources]
        return torch.stack(drawn) if drawn else torch.empty(0, *shape)

    def uniform(self, *shape: int) -> Tensor:
        drawn = [torch.rand(shape, generator=source) for source in self._sources]
        return torch.stack(drawn) if drawn else torch.empty(0, *shape)


class Degradation(ABC):
    """From pictures, or lines, as networks play with them to what is left of them.

    Attributes:
        medium: Of what is left.
    """

    medium: Medium

    @abstractmethod
    def degraded(self, pictures: Tensor, draws: Draws) -> Tensor:
        """What is left, as numbers; each picture's depends on it and its own draws alone."""

    def stored(self, pictures: Tensor, draws: Draws) -> Tensor:
        """What is left, as data store it."""
        return self.medium.stored(self.degraded(pictures.contiguous(), draws))

    def complete(self, batch: tuple[Tensor, ...], draws: Draws) -> tuple[Tensor, ...]:
        """A batch of pictures alone, with what is left of them; rounded as held-out items and files are."""
        if len(batch) > 1:
            return batch
        (pictures,) = batch
        with torch.autocast(pictures.device.type, enabled=False):
            return pictures, self.played(pictures, draws)

    def played(self, pictures: Tensor, draws: Draws) -> Tensor:
        """What is left as networks play with it, after it was stored."""
        return self.medium.played(self.stored(pictures, draws), pictures.dtype)


class Downscaling(Degradation):
    def __init__(self, shape: tuple[int, ...], scale: int, kernel: Kernel) -> None:
        bounds.between(2, MOST_SCALE, self, scale=scale)
        if kernel not in MODES:
            raise Refused(f"kernel is {kernel!r}, which does not exist. Known: {', '.join(MODES)}.")
        channels, height, width = shape
        if height % scale or width % scale:
            raise Refused(
                f"Pictures of {width} x {height} pixels are no whole multiple of scale {scale}:\n"
                "choose another size in the data, or another scale."
            )
        self.medium = Pictures((channels, height // scale, width // scale))
        self.how = MODES[kernel]

    def degraded(self, pictures: Tensor, draws: Draws) -> Tensor:
        return interpolate(pictures, self.medium.shape[1:], **self.how)


class Masking(Degradation):
    def __init__(self, shape: tuple[int, ...], kind: Hole, share: float, fill: Fill = "mean") -> None:
        bounds.between(0.01, 0.9, self, share=share)
        shapes = {"centre": _square, "boxes": _boxes, "strokes": _strokes}
        if kind not in shapes:
            raise Refused(f"kind is {kind!r}, which does not exist. Known: {', '.join(shapes)}.")
        channels, *self.size = shape
        self.medium: PicturesWithHoles = PicturesWithHoles((channels + 1, *self.size), fill)
        self.shape_of_hole, self.share = shapes[kind], share

    def degraded(self, pictures: Tensor, draws: Draws) -> Tensor:
        return with_hole(pictures, self.known(draws).to(pictures), self.medium.fill)

    def played(self, pictures: Tensor, draws: Draws) -> Tensor:
        """The same, without filling holes before it is stored, which would be done again."""
        stored = self.medium.stored(torch.cat([pictures, self.known(draws).to(pictures)], 1))
        return self.medium.played(stored, pictures.dtype)

    def known(self, draws: Draws) -> Tensor:
        """1 where a picture is known, 0 in its hole: the share of places that are nearest to its shapes."""
        height, width = self.size
        distance = self.shape_of_hole(draws, height, width).flatten(1)
        rank = ceil(self.share * height * width)
        hole = distance <= distance.sort(dim=1).values[:, rank - 1 : rank]
        return (~hole).unflatten(1, (1, height, width))


class Spoiling(Degradation):
    def __init__(
        self, shape: tuple[int, ...], noise: float, blur: float, jpeg: int | None, grey: bool
    ) -> None:
        bounds.between(0, 255, self, noise=noise)
        bounds.between(0, MOST_BLUR, self, blur=blur)
        bounds.between(1, 100, self, jpeg=jpeg)
        channels, *size = shape
        if not (noise or blur or jpeg or grey):
            raise Refused(
                "Degraded leaves pictures as they are: give it noise, blur, jpeg or grey (data.init_args)."
            )
        if grey and channels != len(LUMA):
            raise Refused(f"grey needs pictures in colour, and these have {channels} channels: leave it out.")
        self.noise, self.blur, self.jpeg, self.grey = noise, blur, jpeg, grey
        self.medium = Pictures((1 if grey else channels, *size))
        if jpeg and self.medium.shape[0] not in (1, 3):
            raise Refused(f"jpeg knows pictures of 1 or 3 channels, not of {channels}: leave it out.")

    def degraded(self, pictures: Tensor, draws: Draws) -> Tensor:
        """Grey, then blurred, then with noise: as a camera sees; written as JPEG afterwards."""
        if self.grey:
            pictures = (pictures * pictures.new_tensor(LUMA).view(-1, 1, 1)).sum(1, keepdim=True)
        if self.blur:
            pictures = blurred(pictures, self.blur)
        if self.noise:
            pictures = pictures + draws.normal(*pictures.shape[1:]).to(pictures) * (self.noise / 127.5)
        return pictures

    def stored(self, pictures: Tensor, draws: Draws) -> Tensor:
        """JPEG is written and read by the real encoder, on the CPU, in training too."""
        stored = super().stored(pictures, draws)
        return jpegs(stored, self.jpeg) if self.jpeg else stored


def blurred(pictures: Tensor, deviation: float) -> Tensor:
    """The mean around each place, weighted by a Gaussian; beyond the border lie the pixels at the border."""
    radius = ceil(3 * deviation)
    places = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = torch.exp(-(places**2) / (2 * deviation**2))
    weights = weights / weights.sum()
    # Convolutions of GPUs would round to fewer bits.
    for dim in (2, 3):
        padded = pad(
            pictures, [0, 0, radius, radius] if dim == 2 else [radius, radius, 0, 0], mode="replicate"
        )
        size = pictures.shape[dim]
        sums = torch.zeros_like(pictures)
        for start, weight in enumerate(weights.tolist()):
            sums += weight * padded.narrow(dim, start, size)
        pictures = sums
    return pictures


def jpegs(stored: Tensor, quality: int) -> Tensor:
    """Pictures as they come back from JPEG files of this quality."""
    read = []
    for pixels in stored.movedim(1, -1).cpu().numpy():
        content = BytesIO()
        Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(
            content, "JPEG", quality=quality
        )
        with Image.open(content, formats=["JPEG"]) as file:
            read.append(torch.from_numpy(np.array(file).reshape(pixels.shape)))
    return torch.stack(read).movedim(-1, 1).to(stored.device) if read else stored


def fitted(source: Tensor, shape: tuple[int, ...]) -> Tensor:
    """What is left of pictures, as bytes, as a picture of this shape that nobody has restored.

    The smaller is enlarged (bicubic), what is grey has equal channels, and a hole is filled.
    """
    channels, *size = shape
    colours = source[:, :-1] if source.shape[1] == channels + 1 else source
    if tuple(colours.shape[2:]) != tuple(size):
        enlarged = interpolate(colours.float() / 127.5 - 1, tuple(size), mode="bicubic", antialias=True)
        colours = quantise(enlarged)
    return colours.expand(-1, channels, -1, -1)


# How far each place of a picture is from the shapes of its hole: n x height x width.


def _grid(like: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Each place's distance from the upper and from the left border, of a picture whose sides are 1."""
    down = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
    across = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
    return down[:, None], across


def _square(draws: Draws, height: int, width: int) -> Tensor:
    """From the middle; the rectangle has the picture's proportions."""
    centre = draws.uniform(1)  # of which only the number of pictures matters
    down, across = _grid(centre, height, width)
    distance = torch.maximum((down - 0.5).abs(), (across - 0.5).abs())
    return distance.expand(len(centre), -1, -1)


def _boxes(draws: Draws, height: int, width: int) -> Tensor:
    """From the nearest of some centres, in proportions of their own."""
    drawn = draws.uniform(SHAPES, 4)[..., None, None]
    top, left, tall, wide = drawn.unbind(2)
    down, across = _grid(drawn, height, width)
    return torch.maximum((down - top).abs() / _width(tall), (across - left).abs() / _width(wide)).amin(1)


def _strokes(draws: Draws, height: int, width: int) -> Tensor:
    """From the nearest of some bent lines, in widths of their own."""
    drawn = draws.uniform(SHAPES, 2 * BENDS + 3)
    start, turns = drawn[..., :2].unsqueeze(2), drawn[..., 2 : 2 * BENDS + 2].unflatten(2, (BENDS, 2))
    steps = (turns - 0.5) / sqrt(BENDS)
    # cumsum would do, but on GPUs has no form that is deterministic.
    ends = start + torch.stack([steps[:, :, : bend + 1].sum(2) for bend in range(BENDS)], 2)
    begins = torch.cat([start, ends[:, :, :-1]], 2)
    down, across = _grid(drawn, height, width)
    places = torch.stack(torch.broadcast_tensors(down, across), -1)
    along = (ends - begins)[:, :, :, None, None]
    offset = places - begins[:, :, :, None, None]
    share = ((offset * along).sum(-1) / along.square().sum(-1).clamp(min=1e-12)).clamp(0, 1)
    distance = (offset - share.unsqueeze(-1) * along).square().sum(-1).sqrt().amin(2)
    return (distance / _width(drawn[..., -1:, None])).amin(1)


def _width(uniform: Tensor) -> Tensor:
    """From a number in [0, 1): equally likely wider and narrower by the same factor."""
    narrowest, widest = WIDTHS
    return narrowest * (widest / narrowest) ** uniform
