"""From a sound's file to the samples that networks are trained on, and how they lie in one array."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ganlab.data.pictures.decode import Broken
from ganlab.data.rows import Rows
from ganlab.media.wav import read_wav, resampled, sixteen_bits
from ganlab.system.untrusted import reason

Align = Literal["start", "centre"]
VERSION = 1  # to be raised by every change of the samples that `Window` returns


@dataclass(frozen=True)
class Window:
    """A part of so many samples, at one rate; a shorter sound is followed by silence, or stands amid it.

    Attributes:
        align: Which part: from the start, or from the middle.
        peak: What the loudest sample becomes; none: sounds are as loud as they are. Silence stays silence.
    """

    rate: int
    length: int
    align: Align = "start"
    peak: float | None = None

    @property
    def size(self) -> int:
        return self.length

    @property
    def shape(self) -> tuple[int]:
        """Of the bytes of 16-bit samples."""
        return (2 * self.length,)

    def identity(self) -> dict[str, Any]:
        return asdict(self) | {"resample": "polyphase", "version": VERSION}

    def __call__(self, content: bytes, /) -> np.ndarray:
        try:
            rate, samples = read_wav(content)
        except ValueError as error:
            raise Broken(reason(error)) from error
        samples = self._cut(resampled(samples, rate, self.rate))
        if self.peak and (loudest := np.abs(samples).max()) > 0:
            samples = samples * (self.peak / loudest)
        return sixteen_bits(samples).view(np.uint8)

    def _cut(self, samples: np.ndarray) -> np.ndarray:
        missing = self.length - len(samples)
        before = missing // 2 if self.align == "centre" else 0
        if missing < 0:
            return samples[-before : self.length - before]
        return np.pad(samples, (before, missing - before))


class SoundRows(Rows):
    """Sounds of 16-bit samples, which lie as bytes in one array: (sounds, labels), or (sounds,)."""

    def __getitem__(self, positions: Tensor, /) -> tuple[Tensor, ...]:
        content, *labels = super().__getitem__(positions)
        return content.view(torch.int16)[:, None], *labels
