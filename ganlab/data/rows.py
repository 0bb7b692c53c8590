"""A finite set of pictures, of which any can be had at once."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Rows:
    """(images, labels), or (images,), at any positions.

    Args:
        images: Bytes, n x height x width x channels, as they lie in memory, on a device, or mapped from disk.
        labels: What is known of each.
        path: The file that the images are mapped from.
    """

    def __init__(self, images: Tensor, labels: Tensor | None = None, *, path: Path | None = None) -> None:
        self.images, self.labels, self.path = images, labels, path

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, positions: Tensor, /) -> tuple[Tensor, ...]:
        images = self.pixels(positions.to(self.images.device)).movedim(-1, 1)
        return (images,) if self.labels is None else (images, self.labels[positions])

    def pixels(self, positions: Tensor) -> Tensor:
        return self.images.index_select(0, positions)

    def moved(self, device: torch.device) -> Rows:
        """In that device's memory; of pictures mapped from disk, a copy."""
        images = self.images.clone() if self.path and device.type == "cpu" else self.images.to(device)
        return self._with(images, None)

    def mapped(self, path: Path) -> Rows:
        """On disk, in a file of the same bytes; the system keeps in memory what is read often, for all."""
        return self._with(mapped(path, self.images.shape), path)

    def _with(self, images: Tensor, path: Path | None) -> Rows:
        other = copy(self)
        other.images, other.path = images, path
        return other

    def __getstate__(self) -> dict[str, Any]:
        """A worker maps the file again, instead of receiving all of it."""
        return vars(self) | ({"images": self.images.shape} if self.path else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.path:
            self.images = mapped(self.path, state["images"])


def mapped(path: Path, shape: tuple[int, ...]) -> Tensor:
    # Private, so that nothing written here would reach the file.
    return torch.from_numpy(np.memmap(path, np.uint8, "c", shape=tuple(shape)))
