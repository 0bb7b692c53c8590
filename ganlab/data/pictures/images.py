"""Finite sets of pictures: where they are kept, and mirrored ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ganlab.data.pictures import cache
from ganlab.data.rows import Rows
from ganlab.data.stream import Batch, Split, Splits, StreamData
from ganlab.errors import Refused
from ganlab.seeds import seed_for
from ganlab.system.hardware import free_memory

Placement = Literal["auto", "device", "memory", "disk"]


def data_folder(root: str | None) -> Path:
    return Path(root or os.environ.get("GANLAB_DATA") or "data").expanduser()


@contextmanager
def fetching(name: str, otherwise: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise Refused(f"{name} could not be downloaded: {reason}\n{otherwise}") from error


class Images(StreamData):
    """Sets of pictures of one size.

    Args:
        flip: Mirror half of the training images, left to right.
        placement: Where the images are kept: in the memory of the device that trains, in the machine's, or on
            disk. By itself on the device, if a quarter of its free memory is enough.
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
        images, *others = super().on_after_batch_transfer(batch, dataloader_idx)
        if self.flip and self.trainer is not None and self.trainer.training:
            images = mirrored(images, self._flips().to(images.device, non_blocking=True))
        return images, *others

    @property
    def _pinned(self) -> bool:
        on_host = isinstance(self.splits.train, Rows) and self.splits.train.images.device.type == "cpu"
        return on_host and super()._pinned

    def _flips(self) -> Tensor:
        """Which images of this step; a function of their positions in the stream."""
        stream = self._stream()
        step = stream.start()
        source = torch.Generator().manual_seed(seed_for("flip", self.seed, step))
        drawn = torch.rand(stream.turns * stream.world * stream.batch_size, generator=source) < 0.5
        return drawn[stream.positions(step) - step * len(drawn)]

    def _placed(self, split: Split, items: Any, device: torch.device) -> Any:
        if not isinstance(items, Rows):
            return items
        place, host = self.placement, torch.device("cpu")
        if place == "disk" and not items.path:
            return items.mapped(cache.kept(items.images, self.fingerprint_of(split)))
        if place == "device" or (place == "auto" and not self.workers and self._fits(items, device)):
            return items.moved(device)
        return items.moved(host) if place == "memory" else items

    def _fits(self, items: Rows, device: torch.device) -> bool:
        sharing = 1 if device.type == "cuda" or not self.trainer else self.trainer.world_size
        return items.images.nbytes * sharing <= free_memory(device) // 4


def mirrored(images: Tensor, which: Tensor) -> Tensor:
    return torch.where(which[:, None, None, None], images.flip(-1), images)
