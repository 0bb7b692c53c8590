"""Finite sets in one array: which part is trained on, and in which memory it is kept."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from ganlab import bounds
from ganlab.data.pictures.arrays import array_file
from ganlab.data.rows import Rows
from ganlab.data.stream import Split, Splits, StreamData
from ganlab.errors import Refused
from ganlab.seeds import seed_for
from ganlab.system.hardware import free_memory

Placement = Literal["auto", "device", "memory", "disk"]


class Placed(StreamData):
    """The base class of sets whose items all have one size and lie in one array.

    Args:
        limit: Train on so many of the training items alone, of each class about its share; none: on all.
        draw: Which these are: another number, others.
        placement: Where the items are kept: in the memory of the device that trains, in the machine's, or on
            disk. With auto on the device, if a quarter of its free memory is enough.
    """

    def __init__(
        self,
        *,
        limit: int | None = None,
        draw: int = 0,
        placement: Placement = "auto",
        **base: Any,
    ) -> None:
        super().__init__(**base)
        bounds.at_least(1, self, limit=limit)
        bounds.seed(self, draw=draw)
        if draw and limit is None:
            raise Refused(
                f"data.draw is {draw}, but without data.limit {type(self).__name__} trains on all images.\n"
                "Say by data.limit how many are drawn, or leave data.draw out."
            )
        self.limit, self.draw, self.placement = limit, draw, placement
        if placement == "device" and self.workers:
            raise Refused(
                "data.placement device keeps all images where they are used: leave data.workers at 0."
            )

    @cached_property
    def splits(self) -> Splits:
        train, held_out = super().splits
        return Splits(train if self.limit is None else self._limited(train, self.limit), held_out)

    def _limited(self, train: Any, limit: int) -> Rows:
        if not isinstance(train, Rows) or limit > len(train):
            count = f"{len(train):,} images" if isinstance(train, Rows) else "no images in an array"
            raise Refused(f"data.limit is {limit:,}, but {type(self).__name__} has {count} to train on.")
        return train.some(part_of_each_class(train, limit, self.draw))

    def fingerprint_of(self, split: Split) -> str:
        whole = super().fingerprint_of(split)
        if self.limit is None or split == "held_out":
            return whole
        return hashlib.sha256(repr((whole, self.limit, self.draw)).encode()).hexdigest()

    def setup(self, stage: str) -> None:
        super().setup(stage)
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        train, held_out = self.splits
        self.splits = Splits(self._placed("train", train, device), self._placed("held_out", held_out, device))

    @property
    def _pin_memory(self) -> bool:
        on_host = isinstance(self.splits.train, Rows) and self.splits.train.images.device.type == "cpu"
        return on_host and super()._pin_memory

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


def part_of_each_class(rows: Rows, count: int, draw: int) -> Tensor:
    """The positions of so many rows, by chance; of each class its share, or one more or less."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed_for("limit", draw)))
    if rows.labels is not None and rows.labels.ndim == 1:
        order = order[rows.labels[order].argsort(stable=True)]
    return order[(2 * torch.arange(count) + 1) * len(rows) // (2 * count)].sort().values
