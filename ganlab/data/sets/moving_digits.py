"""Clips of handwritten digits that move by a known law, made on the fly, so that motion can be judged."""

from __future__ import annotations

from functools import cached_property, partial
from math import pi
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from ganlab import bounds
from ganlab.data.order import Batch, Blocks, FiniteItems
from ganlab.data.sets.digits import Digits
from ganlab.data.stream import Split, StreamData
from ganlab.errors import Refused
from ganlab.media import Labels, Medium, Video
from ganlab.seeds import seed_for

BLOCK = 256  # clips that are made at once
HELD_OUT = 1_000  # clips of digits that are never trained on
STEPS = 16  # places and speeds are whole sixteenths of a pixel: then pixels are the same on every machine
MOST_FRAMES, MOST_PIXELS = 1_000, 512
VERSION = 1  # to be raised by every change of the clips


class MovingDigits(StreamData):
    """Grey clips of a digit each, which moves uniformly and is thrown back by the walls; its label is known.

    An endless stream: clip i of a seed is a function of both. Digits are scikit-learn's, as in `Digits`,
    whose held-out ones move in the held-out clips. A place between pixels is drawn by linear interpolation,
    so that the centre of what is drawn moves uniformly, too.

    Args:
        frames: Of a clip.
        size: Height and width.
        digit: Height and width of the digits.
        slowest: Pixels a frame, at least.
        fastest: Pixels a frame, at most.
        rate: Frames a second, where clips are shown.
    """

    classes = 10

    def __init__(
        self,
        *,
        frames: int = 16,
        size: int = 32,
        digit: int = 16,
        slowest: float = 0.5,
        fastest: float = 2.5,
        rate: float = 10,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        bounds.between(2, MOST_FRAMES, self, frames=frames)
        bounds.between(2, MOST_PIXELS, self, size=size)
        bounds.between(1, size - 1, self, digit=digit)
        bounds.between(0, size - digit, self, slowest=slowest, fastest=fastest)
        if slowest > fastest:
            raise Refused(f"MovingDigits: slowest is {slowest}, above fastest, {fastest}.")
        self.digits = Digits(size=digit)
        self.room, self.speeds = size - digit, (slowest, fastest)
        self.video = Video((frames, 1, size, size), rate)
        self.shape = self.video.shape

    @cached_property
    def media(self) -> tuple[Medium, ...]:
        return self.video, Labels(self.classes)

    def load(self) -> tuple[Blocks, FiniteItems]:
        train, held_out = (Blocks(BLOCK, partial(self._block, split)) for split in ("train", "held_out"))
        return train, TensorDataset(*held_out[torch.arange(HELD_OUT)])

    def identity(self, split: Split) -> tuple[Any, ...]:
        # Clips follow from what they are made by; to make thousands of them for it would take seconds.
        return VERSION, *self.shape, *self.speeds, self.digits.fingerprint_of(split)

    def _block(self, split: Split, number: int) -> Batch:
        source = torch.Generator().manual_seed(seed_for("moving digits", split, number))
        items: Any = getattr(self.digits.splits, split)
        digits, labels = items[torch.randint(len(items), (BLOCK,), generator=source)]
        return drawn(digits, self._paths(source), self.shape[-1]), labels

    def _paths(self, source: torch.Generator) -> Tensor:
        """The upper left corners of digits, in sixteenths of a pixel: (clips, frames, rows and columns)."""
        first = torch.randint(STEPS * self.room + 1, (BLOCK, 1, 2), generator=source)
        angles = 2 * pi * torch.rand(BLOCK, generator=source, dtype=torch.float64)
        slowest, fastest = self.speeds
        speeds = slowest + (fastest - slowest) * torch.rand(BLOCK, generator=source, dtype=torch.float64)
        each_frame = (STEPS * speeds[:, None] * torch.stack([angles.sin(), angles.cos()], 1)).round().long()
        times = torch.arange(self.shape[0])[:, None]
        return thrown_back(first + each_frame[:, None] * times, STEPS * self.room)


def thrown_back(places: Tensor, room: int) -> Tensor:
    """Where that which moves freely to these places is if it is mirrored at 0 and at `room`."""
    return room - (places.remainder(2 * room) - room).abs()


def drawn(digits: Tensor, paths: Tensor, size: int) -> Tensor:
    """Bytes (clips, frames, 1, size, size) of digits whose upper left corners are at paths."""
    rows, columns = _shares(paths, digits.shape[-1], size).unbind(2)
    frames = rows.transpose(-1, -2) @ digits[:, None, 0].float() @ columns
    # Whole numbers of shares squared, which float32 holds without an error.
    return (frames / STEPS**2).round().to(torch.uint8)[:, :, None]


def _shares(places: Tensor, length: int, size: int) -> Tensor:
    """By how many sixteenths each pixel of a digit's side lies on each of a frame's: (..., length, size)."""
    distance = STEPS * (torch.arange(size) - torch.arange(length)[:, None]) - places[..., None, None]
    return (STEPS - distance.abs()).clamp(min=0).float()
