"""Video: clips of so many frames, each frame a picture; bytes in data, numbers in [-1, 1] in networks."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media.captions import captioned
from ganlab.media.films import gif, lengths
from ganlab.media.medium import Medium
from ganlab.media.pictures import DRAWN, Pictures, as_bytes, grid
from ganlab.media.shown import MOST_FRAMES, MOST_PIXELS, Film

HIGHEST_RATE = 1_000  # frames a second
APART = 1  # pixels between the frames of a strip
LEAST_SIDE = 32  # pixels of a frame in a sheet; smaller ones are enlarged up to this


class Video(Medium):
    """Clips of the shape (frames, channels, height, width): time comes first, and each frame is a picture.

    A .gif holds one clip. A grey clip is read back to the last bit, and so is one of 256 colours or fewer;
    of others only the 256 colours nearest to its own are left: an .npz keeps all.

    Args:
        shape: (frames, channels, height, width).
        rate: Frames a second, which a .gif tells in hundredths of a second.
    """

    form = "bytes of shape (n, frames, channels, height, width)"
    suffix = ".gif"
    array = "clips"

    def __init__(self, shape: Sequence[int], rate: float) -> None:
        super().__init__(tuple(shape))
        if len(self.shape) != 4 or min(self.shape) < 1:
            raise Refused(f"Video: shape is {self.shape}, not (frames, channels, height, width), from 1 on.")
        bounds.above(0, self, rate=rate)
        bounds.between(0, HIGHEST_RATE, self, rate=rate)
        self.rate = rate

    @property
    def frame(self) -> Pictures:
        """The medium of one frame."""
        return Pictures(self.shape[1:])

    def played(self, stored: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        return self.frame.played(stored, dtype)

    def stored(self, items: Tensor) -> Tensor:
        return as_bytes(items)

    def blank(self) -> Tensor:
        return torch.full((1, *self.shape), 128, dtype=torch.uint8)

    @classmethod
    def holds(cls, items: Tensor) -> bool:
        return items.dtype == torch.uint8 and items.ndim == 5

    @property
    def drawable(self) -> bool:
        return self.shape[1] in DRAWN

    def sheet(self, items: Tensor, columns: int | None = None) -> Image.Image:
        """Each clip as a strip of its frames, the first at the left."""
        return grid(self._strips(items), columns or self._columns(len(items)))

    def captioned(
        self, items: Tensor, captions: Sequence[str] | None, columns: int | None = None
    ) -> Image.Image:
        if not captions:
            return self.sheet(items, columns)
        return captioned(grid, self._strips(items), captions, columns or self._columns(len(items)))

    def film(self, items: Tensor, columns: int | None = None) -> tuple[list[Image.Image], float]:
        self._refuse_undrawable()
        return [grid(frames, columns) for frames in self._enlarged(items).unbind(1)], self.rate

    def _strips(self, items: Tensor) -> Tensor:
        self._refuse_undrawable()
        framed = pad(self._enlarged(items), (0, APART), value=255)
        return torch.cat(framed.unbind(1), -1)[..., :-APART]

    def _enlarged(self, items: Tensor) -> Tensor:
        factor = max(1, LEAST_SIDE // max(self.shape[2:]))
        return as_bytes(items.detach().cpu()).repeat_interleave(factor, -1).repeat_interleave(factor, -2)

    def _columns(self, count: int) -> int:
        """Strips beside one another, so that a sheet is nearly square."""
        frames, _, height, width = self.shape
        return ceil(sqrt(count * height / (frames * width)))

    def _refuse_undrawable(self) -> None:
        if not self.drawable:
            raise Refused(
                f"Clips of {self.shape[1]} channels are neither grey nor coloured, and cannot be shown.\n"
                "Take a file.npz."
            )

    def write(self, path: Path, item: Tensor) -> None:
        self._refuse_undrawable()
        pixels = item.movedim(1, -1).cpu().numpy()
        frames = [Image.fromarray(each.squeeze(-1) if each.shape[-1] == 1 else each) for each in pixels]
        path.write_bytes(gif(frames, round(1000 / self.rate)))

    @classmethod
    def read(cls, content: bytes) -> Tensor:
        """All frames of a .gif, of one channel if they are grey, else of three.

        A frame that is shown several times as long as the shortest is as many frames.
        """
        film = Film.read(content)
        if len(film.frames) == 1:
            raise ValueError("it is a still picture: a clip has two frames or more")
        if len({frame.size for frame in film.frames}) > 1:
            raise ValueError("its frames are of several sizes")
        times, (width, height) = lengths(film.durations), film.frames[0].size
        if sum(times) > MOST_FRAMES or sum(times) * width * height > MOST_PIXELS:
            raise ValueError(f"it is as long as {sum(times):,} of its shortest frame, which is too long")
        pixels = np.stack([np.asarray(frame) for frame in film.frames]).repeat(times, 0)
        grey = (pixels == pixels[..., :1]).all()
        return torch.from_numpy(pixels[..., :1] if grey else pixels).movedim(-1, 1).contiguous()

    @classmethod
    def as_array(cls, stored: Tensor) -> np.ndarray:
        """Channels last, as other programs take them."""
        return stored.movedim(2, -1).cpu().numpy()

    @classmethod
    def from_array(cls, array: np.ndarray) -> Tensor:
        items = torch.from_numpy(array)
        return items.movedim(-1, 2) if items.ndim == 5 else items

    def plain(self) -> dict[str, Any]:
        plain = super().plain()
        return {**plain, "init_args": {**plain["init_args"], "rate": self.rate}}
