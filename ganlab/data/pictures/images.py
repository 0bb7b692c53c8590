"""Finite sets of pictures, and how they are mirrored, and cut out of larger ones, as augmentation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganlab.data.order import Batch, Stream
from ganlab.data.pictures.placed import Placed
from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.media import Pictures
from ganlab.seeds import seed_for
from ganlab.system.untrusted import reason

MOST_PIXELS = 2**16  # a side


def data_folder(root: str | None) -> Path:
    """The folder that is named, else $GANLAB_DATA, else ./data."""
    if root and "\0" in root:
        raise Refused("root holds a zero byte, which no path does.")
    return Path(root or os.environ.get("GANLAB_DATA") or "data").expanduser()


@contextmanager
def fetching(name: str, by_hand: str) -> Iterator[None]:
    """Around a download: if it fails, it is refused with what to do by hand instead."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise Refused(f"{name} could not be downloaded: {reason(error)}\n{by_hand}") from error


class Images(Placed):
    """The base class of sets whose pictures all have one size.

    Args:
        flip: Mirror half of the training images, left to right.
    """

    load_size: int | None = None  # of larger images that training cuts these out of

    def __init__(self, *, flip: bool = False, **base: Any) -> None:
        super().__init__(**base)
        self.flip = flip

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        columns = super().on_after_batch_transfer(batch, dataloader_idx)
        # A picture and the picture that it is made from are mirrored and cut out together.
        known = [
            self.augmented(column, self, self.seed) if isinstance(medium, Pictures) else column
            for medium, column in zip(self.media, columns, strict=False)
        ]
        return *known, *columns[len(known) :]

    def augmented(self, images: Tensor, data: StreamData, *seed: int | str) -> Tensor:
        """Images of a batch as training shows them, by these seeds and the batch's place in the data."""
        larger, size = images.shape[-1], self.shape[-1]
        if not ((self.flip or larger > size) and data.trainer and data.trainer.training):
            return images
        stream = data._stream()
        if self.flip:
            images = mirrored(images, flips(stream, *seed).to(images.device, non_blocking=True))
        if larger > size:
            corners = (drawn("cut", stream, *seed, shape=(2,)) * (larger - size + 1)).long()
            images = cut(images, corners.to(images.device, non_blocking=True), size)
        return images


def flips(stream: Stream, *seed: int | str) -> Tensor:
    """Which images of this step are mirrored."""
    return drawn("flip", stream, *seed) < 0.5


def drawn(what: str, stream: Stream, *seed: int | str, shape: tuple[int, ...] = ()) -> Tensor:
    """Uniform numbers of this shape for each image of this step; a function of its position in the stream."""
    step, total = stream.start(), stream.turns * stream.world * stream.batch_size
    source = torch.Generator().manual_seed(seed_for(what, *seed, step))
    return torch.rand(total, *shape, generator=source)[stream.positions(step) - step * total]


def mirrored(images: Tensor, which: Tensor) -> Tensor:
    return torch.where(which[:, None, None, None], images.flip(-1), images)


def cut(images: Tensor, corners: Tensor, size: int) -> Tensor:
    """A square of each image, of which its upper left corner is given."""
    down, across = (corner[:, None] + torch.arange(size, device=images.device) for corner in corners.T)
    number = torch.arange(len(images), device=images.device)[:, None, None]
    return images[number, :, down[:, :, None], across[:, None, :]].movedim(-1, 1).contiguous()
