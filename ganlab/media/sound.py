"""Sounds: 16-bit samples in data, numbers in [-1, 1], or their spectrograms, in networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media.captions import captioned
from ganlab.media.medium import Medium
from ganlab.media.pictures import grid
from ganlab.media.spectra import griffin_lim, log_mel, stft
from ganlab.media.wav import HIGHEST_RATE, read_wav, resampled, sixteen_bits, write_wav

LEVELS = 32768
BANDS, FRAMES = 64, 128  # of a drawn spectrogram, about
DARKEST, BRIGHTEST = -90, -25  # decibels, in which speech at usual levels lies


class Sound(Medium):
    """Sounds of one channel: as networks play with them, numbers in [-1, 1] of shape (n, 1, samples).

    Args:
        shape: (1, samples).
        rate: Samples a second.
    """

    form = "16-bit samples of shape (n, 1, samples)"
    suffix = ".wav"
    array = "sounds"

    def __init__(self, shape: Sequence[int], rate: int) -> None:
        super().__init__(tuple(shape))
        bounds.between(1, HIGHEST_RATE, self, rate=rate)
        self.rate = rate

    @property
    def length(self) -> int:
        """Samples of a stored sound."""
        return self.shape[-1]

    def played(self, stored: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        return stored.to(dtype) if stored.is_floating_point() else stored.to(dtype) / LEVELS

    def stored(self, items: Tensor) -> Tensor:
        return quantise(items) if items.is_floating_point() else items

    def blank(self) -> Tensor:
        return torch.zeros(1, 1, self.length, dtype=torch.int16)

    @classmethod
    def holds(cls, items: Tensor) -> bool:
        return items.dtype == torch.int16 and items.ndim == 3 and items.shape[1] == 1

    @property
    def drawable(self) -> bool:
        return True

    def sheet(self, items: Tensor, columns: int | None = None) -> Image.Image:
        """Spectrograms: time to the right, low tones below on the mel scale, from -90 decibels to -25."""
        return grid(self._drawn(items), columns)

    def captioned(
        self, items: Tensor, captions: Sequence[str] | None, columns: int | None = None
    ) -> Image.Image:
        if not captions:
            return self.sheet(items, columns)
        return captioned(grid, self._drawn(items), captions, columns)

    def _drawn(self, items: Tensor) -> Tensor:
        sounds = self.stored(items.detach().cpu()).float()[:, 0] / LEVELS
        size = 1 << max(4, (self.rate // 40).bit_length())
        hop = max(1, min(size // 2, sounds.shape[1] // FRAMES))
        loudness = log_mel(sounds, self.rate, bands=BANDS, size=size, hop=hop).flip(1)
        shades = (loudness - DARKEST) / (BRIGHTEST - DARKEST)
        return (shades * 255).round().clamp(0, 255).byte()[:, None]

    def write(self, path: Path, item: Tensor) -> None:
        write_wav(path, item[0].cpu().numpy(), self.rate)

    @classmethod
    def read(cls, content: bytes) -> Tensor:
        """At the file's own rate, which nothing tells from then on."""
        return cls.read_at(None, content)

    @classmethod
    def read_at(cls, rate: int | None, content: bytes) -> Tensor:
        """The stored sound of a .wav of any depth, resampled to a rate, its channels mixed to one."""
        own, samples = read_wav(content)
        levels = sixteen_bits(resampled(samples, own, rate or own))
        return torch.from_numpy(levels.astype(np.int16))[None]

    @classmethod
    def as_array(cls, stored: Tensor) -> np.ndarray:
        """(n, samples), as other programs take them."""
        return stored[:, 0].cpu().numpy()

    @classmethod
    def from_array(cls, array: np.ndarray) -> Tensor:
        items = torch.from_numpy(array)
        return items[:, None] if items.ndim == 2 else items

    def plain(self) -> dict[str, Any]:
        plain = super().plain()
        return {**plain, "init_args": {**plain["init_args"], "rate": self.rate}}


class Spectrogram(Sound):
    """Sounds that networks play with as pictures: the decibels of each frequency, -1 silent and 1 loud.

    What networks make becomes a sound by Griffin and Lim's algorithm, always the same of the same picture.
    Of a real sound played and stored again the phases are lost, and what is softer than the range.

    Args:
        shape: (1, frequencies, moments), from low tones to high ones.
        rate: Samples a second.
        hop: Samples from one moment to the next; the window has twice as many as there are frequencies.
        decibels: The range of -1 to 1, below a full sine.
        iterations: Of the algorithm.
    """

    def __init__(
        self,
        shape: Sequence[int],
        rate: int,
        hop: int = 128,
        decibels: float = 80.0,
        iterations: int = 32,
    ) -> None:
        super().__init__(shape, rate)
        bounds.between(1, self.window // 2, self, hop=hop)
        bounds.at_least(1, self, decibels=decibels, iterations=iterations)
        self.hop, self.decibels, self.iterations = hop, decibels, iterations

    @property
    def window(self) -> int:
        return 2 * self.shape[1]

    @property
    def length(self) -> int:
        return self.shape[2] * self.hop

    def played(self, stored: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        if stored.is_floating_point():
            return stored.to(dtype)
        _, frequencies, moments = self.shape
        magnitudes = stft(stored[:, 0].float() / LEVELS, self.window, self.hop).abs()
        decibels = 20 * magnitudes[:, None, :frequencies, :moments].clamp(min=1e-10).log10()
        return (decibels / (self.decibels / 2) + 1).clamp(-1, 1).to(dtype)

    def stored(self, items: Tensor) -> Tensor:
        if not items.is_floating_point():
            return items
        decibels = (items[:, 0].float().clamp(-1, 1) - 1) * (self.decibels / 2)
        # What lies at the range's end is silence, and the highest frequency and last moment are not played.
        magnitudes = torch.where(decibels > -self.decibels, 10 ** (decibels / 20), 0)
        magnitudes = torch.nn.functional.pad(magnitudes, (0, 1, 0, 1))
        sounds = griffin_lim(magnitudes, self.window, self.hop, self.length, self.iterations)
        return quantise(sounds[:, None])

    def plain(self) -> dict[str, Any]:
        plain = super().plain()
        own = {"hop": self.hop, "decibels": self.decibels, "iterations": self.iterations}
        return {**plain, "init_args": {**plain["init_args"], **own}}


def quantise(sounds: Tensor) -> Tensor:
    """From numbers in [-1, 1] to 16 bits; the inverse of playing them. What is no number is refused."""
    if not sounds.isfinite().all():
        raise Refused(
            "These sounds hold values that are no numbers, as of weights that are none.\n"
            "They cannot be heard or scored: take an earlier checkpoint."
        )
    return (sounds.float() * LEVELS).round().clamp(-LEVELS, LEVELS - 1).short()
