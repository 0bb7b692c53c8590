"""Finite sets of pictures: in which memory they are kept, and mirroring as augmentation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ganlab.data.pictures.arrays import array_file
from ganlab.data.rows import Rows
from ganlab.data.stream import Batch, Split, Splits, StreamData
from ganlab.errors import Refused
from ganlab.media import Pictures
from ganlab.seeds import seed_for
from ganlab.system.hardware import free_memory
from ganlab.system.untrusted import reason

MOST_PIXELS = 2**16  # a side

Placement = Literal["auto", "device", "memory", "disk"]


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


class Images(StreamData):
    """The base class of sets whose pictures all have one size.

    Args:
        flip: Mirror half of the training images, left to right.
        placement: Where the images are kept: in the memory of the device that trains, in the machine's, or on
            disk. With auto on the device, if a quarter of its free memory is enough.
    """

    def __init__(self, *, flip: bool = False, placement: Placement = "auto", **base: Any) -> None:
        super().__init__(**base)
        self.flip, self.placement = flip, placement
        if placement == "device" and self.workers:
            raise Refused(
                "data.placement device keeps all images where they are used: leave data.workers at 0."
            )

    def setup(self, stage: str) -> None:
        super().setup(stage)
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        train, held_out = self.splits
        self.splits = Splits(self._placed("train", train, device), self._placed("held_out", held_out, device))

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        columns = super().on_after_batch_transfer(batch, dataloader_idx)
        if not (self.flip and self.trainer is not None and self.trainer.training):
            return columns
        flips = self._flips().to(columns[0].device, non_blocking=True)
        # A picture and the picture that it is made from are mirrored together.
        known = [
            mirrored(column, flips) if isinstance(medium, Pictures) else column
            for medium, column in zip(self.media, columns, strict=False)
        ]
        return *known, *columns[len(known) :]

    @property
    def _pin_memory(self) -> bool:
        on_host = isinstance(self.splits.train, Rows) and self.splits.train.images.device.type == "cpu"
        return on_host and super()._pin_memory

    def _flips(self) -> Tensor:
        """Which images of this step are mirrored; a function of their positions in the stream."""
        stream = self._stream()
        step = stream.start()
        source = torch.Generator().manual_seed(seed_for("flip", self.seed, step))
        flips = torch.rand(stream.turns * stream.world * stream.batch_size, generator=source) < 0.5
        return flips[stream.positions(step) - step * len(flips)]

    def _placed(self, split: Split, items: Any, device: torch.device) -> Any:
        """The same items, with their images where `placement` says."""
        if not isinstance(items, Rows):
            return items
        placement, host = self.placement, torch.device("cpu")
        if placement == "disk" and not items.path:
            return items.mapped_from(*array_file(items.images, self.fingerprint_of(split)))
        if placement == "device" or (placement == "auto" and not self.workers and self._fits(items, device)):
            return items.in_memory(device)
        return items.in_memory(host) if placement == "memory" else items

    def _fits(self, items: Rows, device: torch.device) -> bool:
        copies = 1 if device.type == "cuda" or not self.trainer else self.trainer.world_size
        return items.images.nbytes * copies <= free_memory(device) // 4


def mirrored(images: Tensor, which: Tensor) -> Tensor:
    return torch.where(which[:, None, None, None], images.flip(-1), images)
