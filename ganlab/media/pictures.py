"""Pictures: bytes of channels, height and width in data, numbers in [-1, 1] in networks."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganlab.errors import Refused
from ganlab.media.captions import captioned
from ganlab.media.medium import Medium

GAP = 2
MIN_SIDE = 64  # pixels; smaller images are enlarged up to this
DRAWN = (1, 3)  # channels


class Pictures(Medium):
    """Pictures, or volumes, of any number of channels, which come first; pictures of 1 or 3 can be drawn."""

    form = "bytes of shape (n, channels, height, width)"
    suffix = ".png"
    array = "images"

    def played(self, stored: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """From bytes to numbers in [-1, 1]; other numbers keep their values."""
        if stored.is_floating_point():
            return stored.to(dtype)
        return stored.to(dtype).div_(127.5).sub_(1)

    def stored(self, items: Tensor) -> Tensor:
        return as_bytes(items)

    def blank(self) -> Tensor:
        # Without a look at values, which torch's meta device has not.
        return torch.full((1, *self.shape), 128, dtype=torch.uint8)

    @classmethod
    def holds(cls, items: Tensor) -> bool:
        return items.dtype == torch.uint8 and items.ndim == 4

    @property
    def drawable(self) -> bool:
        return len(self.shape) == 3 and self.shape[0] in DRAWN

    def sheet(self, items: Tensor, columns: int | None = None) -> Image.Image:
        return grid(items, columns) if self.drawable else super().sheet(items)

    def captioned(
        self, items: Tensor, captions: Sequence[str] | None, columns: int | None = None
    ) -> Image.Image:
        if not captions or not self.drawable:
            return self.sheet(items, columns)
        return captioned(self.sheet, items, captions, columns)

    def write(self, path: Path, item: Tensor) -> None:
        if not self.drawable:
            super().write(path, item)
        pixels = item.movedim(0, -1).cpu().numpy()
        Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(path)

    @classmethod
    def as_array(cls, stored: Tensor) -> np.ndarray:
        """Channels last, as other programs take them."""
        return stored.movedim(1, -1).cpu().numpy()

    @classmethod
    def from_array(cls, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).movedim(-1, 1) if array.ndim > 3 else torch.from_numpy(array)


def as_bytes(images: Tensor) -> Tensor:
    return quantise(images) if images.is_floating_point() else images


def quantise(images: Tensor) -> Tensor:
    """From numbers in [-1, 1] to bytes; the inverse of playing bytes, to the last bit.

    What is no number has no shade, and is refused.
    """
    if not images.isfinite().all():
        raise Refused(
            "These pictures hold values that are no numbers, as of weights that are none.\n"
            "They cannot be shown or scored: take an earlier checkpoint."
        )
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def grid(images: Tensor, columns: int | None = None) -> Image.Image:
    """Images row by row with white gaps between them, nearly square if no columns are given."""
    bytes_ = as_bytes(images.detach().cpu()).movedim(1, -1)
    enlarged = max(1, MIN_SIDE // max(bytes_.shape[1:3]))
    bytes_ = bytes_.repeat_interleave(enlarged, 1).repeat_interleave(enlarged, 2)
    count, height, width, channels = bytes_.shape
    columns = columns or ceil(sqrt(count))
    rows = ceil(count / columns)
    sheet = bytes_.new_full((rows * columns, height + GAP, width + GAP, channels), 255)
    sheet[:count, :height, :width] = bytes_
    sheet = sheet.unflatten(0, (rows, columns)).transpose(1, 2).flatten(2, 3).flatten(0, 1)
    return Image.fromarray(sheet[:-GAP, :-GAP].squeeze(-1).numpy())
