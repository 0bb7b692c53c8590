"""From a film's file to the clips that networks are trained on, and how they lie in one array."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganlab.data.pictures.decode import MAX_PIXELS, Broken, Transform, convert
from ganlab.data.rows import Rows
from ganlab.errors import Refused
from ganlab.media.films import gif_frames, lengths, mp4_frames
from ganlab.system.untrusted import reason

LONGEST = 20_000  # frames of a file
GIF = b"GIF8"


@dataclass(frozen=True)
class ClipTransform(Transform):
    """Clips of so many frames each, of which every one is cut and resized as a picture is.

    Attributes:
        frames: Of a clip.
        stride: Every so many-th frame of the file is one of the clip's.
        windows: Clips of a file, the first at its start, the last at its end.
    """

    frames: int = 16
    stride: int = 1
    windows: int = 1

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.windows, self.frames, *super().shape

    def __call__(self, content: bytes, /) -> np.ndarray:
        """The clips of a file as bytes, channels last."""
        try:
            squares, times = [], []
            for frame, shown in frames_of(content):
                squares.append(self._square(convert(frame, self.channels)))
                times.append(shown)
            if sum(repeats := lengths(times)) > LONGEST:
                raise Broken(f"more than {LONGEST:,} times its shortest frame: cut it into parts")
            frames = np.arange(len(squares)).repeat(repeats)
        except (Broken, Refused):
            raise
        # Decoders fail in as many ways as files are damaged.
        except Exception as error:
            raise Broken(f"no whole film: {reason(error)}") from error
        needed = (self.frames - 1) * self.stride + 1
        if len(frames) < needed:
            raise Broken(f"a clip takes {needed} frames, and it has {len(frames)}")
        starts = np.linspace(0, len(frames) - needed, self.windows).round().astype(int)
        chosen = np.stack([frames[start : start + needed : self.stride] for start in starts])
        return np.stack(squares)[chosen]


def frames_of(content: bytes) -> Iterator[tuple[Image.Image, int]]:
    """The frames of a GIF, or of any video that PyAV knows, each with the milliseconds that it is shown.

    Damage raises anything.
    """
    frames = gif_frames(content) if content.startswith(GIF) else mp4_frames(content, "An .mp4")
    size = None
    for number, (frame, shown) in enumerate(frames):
        size = size or frame.size
        if frame.size != size:
            raise Broken(f"frames of {size[0]} x {size[1]} and of {frame.width} x {frame.height} pixels")
        if number >= LONGEST or frame.width * frame.height > MAX_PIXELS:
            raise Broken(f"more than {LONGEST:,} frames, or too many pixels in one: cut it into parts")
        yield frame, shown


class ClipRows(Rows):
    """Clips of bytes: (clips, labels), or (clips,). The clips of one file lie in one row of the array."""

    def __init__(self, images: Tensor, labels: Tensor | None = None, **more: Any) -> None:
        each = None if labels is None else labels.repeat_interleave(images.shape[1])
        super().__init__(images, each, **more)

    def __len__(self) -> int:
        return len(self.images) * self.images.shape[1]

    def __getitem__(self, positions: Tensor, /) -> tuple[Tensor, ...]:
        clips = self.pixels(positions.to(self.images.device))[:, 0].movedim(-1, 2)
        return (clips,) if self.labels is None else (clips, self.labels[positions])

    def pixels(self, positions: Tensor) -> Tensor:
        """The bytes of these clips, channels last, each alone in its row."""
        windows = self.images.shape[1]
        files = super().pixels(positions // windows)
        return files[torch.arange(len(files), device=files.device), positions % windows][:, None]
