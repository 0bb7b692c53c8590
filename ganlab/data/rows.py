"""A finite set of pictures in one array: in memory, on a device, or mapped from a file."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganlab.data.checksums import Checksums


class Rows:
    """Indexed by a tensor of positions, in any order: (images, labels), or (images,) without labels.

    Args:
        images: Bytes, n x height x width x channels, in memory, on a device, or mapped from disk.
        labels: Of each image, a number or a row of numbers.
        path: The file that the images are mapped from.
        checksums: What each image that is read from the file is compared with, the first time.
        size: Of the middle of each image, which alone is read; none: all of it.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        path: Path | None = None,
        checksums: Checksums | None = None,
        size: int | None = None,
    ) -> None:
        self.images, self.labels, self.path, self.checksums = images, labels, path, checksums
        self.size = size

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, positions: Tensor, /) -> tuple[Tensor, ...]:
        columns = self._columns(self.pixels(positions.to(self.images.device)).movedim(-1, 1))
        return columns if self.labels is None else (*columns, self.labels[positions])

    def _columns(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self._middle(images),)

    def pixels(self, positions: Tensor) -> Tensor:
        """The bytes of these images, channels last."""
        images = self.images.index_select(0, positions)
        if self.checksums:
            self.checksums.compare(positions, images)
        return images

    def _middle(self, images: Tensor) -> Tensor:
        if self.size is None:
            return images
        *_, height, width = images.shape
        top, left = (height - self.size) // 2, (width - self.size) // 2
        return images[..., top : top + self.size, left : left + self.size]

    def whole(self) -> Rows:
        """The same rows, of which all is read."""
        rows = copy(self)
        rows.size = None
        return rows

    def some(self, positions: Tensor) -> Rows:
        """These rows alone, with their images in memory."""
        rows = self._with(self.pixels(positions))
        rows.labels = None if self.labels is None else self.labels[positions]
        return rows

    def in_memory(self, device: torch.device) -> Rows:
        """The same rows with their images in this device's memory; images mapped from disk are copied."""
        if self.checksums:
            self.checksums.compare_all(self.images)
        images = self.images.clone() if self.path and device.type == "cpu" else self.images.to(device)
        return self._with(images)

    def mapped_from(self, path: Path, checksums: Checksums) -> Rows:
        """The same rows with their images mapped from a file that holds the same bytes.

        The system keeps in memory what is read often, once for all processes.
        """
        return self._with(map_file(path, self.images.shape), path, checksums)

    def _with(self, images: Tensor, path: Path | None = None, checksums: Checksums | None = None) -> Rows:
        rows = copy(self)
        rows.images, rows.path, rows.checksums = images, path, checksums
        return rows

    def __getstate__(self) -> dict[str, Any]:
        """Images mapped from a file are not pickled: a worker process maps the file again."""
        return vars(self) | ({"images": self.images.shape} if self.path else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.path:
            self.images = map_file(self.path, state["images"])


class PairRows(Rows):
    """Pictures that stand one above the other in one array: (the upper ones, the lower ones).

    Args:
        channels: Of the upper ones and of the lower ones, as far as these have fewer than the array.
    """

    def __init__(self, *arguments: Any, channels: tuple[int, int], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.channels = channels

    def _columns(self, images: Tensor) -> tuple[Tensor, ...]:
        halves = zip(images.chunk(2, -2), self.channels, strict=True)
        return tuple(self._middle(half[:, :channels]) for half, channels in halves)


def map_file(path: Path, shape: tuple[int, ...]) -> Tensor:
    # Copy on write ("c"): nothing that is written to the tensor reaches the file.
    return torch.from_numpy(np.memmap(path, np.uint8, "c", shape=tuple(shape)))
