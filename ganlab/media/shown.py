"""Files of single items that people play or read, because no sheet shows them: sounds, texts, films.

They may come from anybody: what is read has bounds, and is written again from what was understood of it.
"""

from __future__ import annotations

import wave
from abc import ABC, abstractmethod
from dataclasses import dataclass
from io import BytesIO
from typing import ClassVar

from PIL import Image

from ganlab.media.films import gif, gif_frames

HIGHEST_RATE = 1_000_000  # samples a second
LONGEST_TEXT = 20_000  # characters
MOST_FRAMES, MOST_PIXELS = 500, 40_000_000  # of a film, and of all its frames


class Unreadable(Exception):
    """A file that is none of its kind; the message says why."""


class Shown(ABC):
    """What such a file holds.

    Attributes:
        suffix: Of its files; a medium of this suffix is shown so.
        name: Of several, where they are logged.
    """

    suffix: ClassVar[str]
    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def read(cls, content: bytes) -> Shown:
        """What a file of this content holds; else Unreadable is raised."""

    @abstractmethod
    def content(self) -> bytes:
        """As a file, which holds nothing else."""


@dataclass(frozen=True)
class Clip(Shown):
    """A sound: whole numbers of `width` bytes, as .wav files have them."""

    suffix, name = ".wav", "sounds"
    channels: int
    width: int
    rate: int
    samples: bytes

    @classmethod
    def read(cls, content: bytes) -> Clip:
        try:
            with wave.open(BytesIO(content)) as file:
                channels, width, rate = file.getparams()[:3]
                samples = file.readframes(file.getnframes())
                if width > 4 or not 0 < rate <= HIGHEST_RATE:
                    raise ValueError(f"{8 * width} bits, {rate:,} samples a second")
                whole = len(samples) - len(samples) % (channels * width)
                return cls(channels, width, rate, samples[:whole])
        # Damaged files raise all kinds of errors.
        except Exception as error:
            raise Unreadable(f"no .wav of whole numbers ({error or type(error).__name__})") from error

    def content(self) -> bytes:
        with wave.open(written := BytesIO(), "wb") as file:
            file.setparams((self.channels, self.width, self.rate, 0, "NONE", ""))
            file.writeframes(self.samples)
        return written.getvalue()


@dataclass(frozen=True)
class Lines(Shown):
    """A text."""

    suffix, name = ".txt", "texts"
    text: str

    @classmethod
    def read(cls, content: bytes) -> Lines:
        return cls(content.decode(errors="replace")[:LONGEST_TEXT])

    def content(self) -> bytes:
        return self.text.encode(errors="replace")


@dataclass(frozen=True)
class Film(Shown):
    """Moving pictures of one size, each with the milliseconds that it is shown."""

    suffix, name = ".gif", "films"
    frames: list[Image.Image]
    durations: list[int]

    @classmethod
    def read(cls, content: bytes) -> Film:
        frames: list[Image.Image] = []
        durations: list[int] = []
        try:
            pixels = 0
            for frame, shown in gif_frames(content):
                pixels += frame.width * frame.height  # A later frame may be larger than the first.
                if len(frames) >= MOST_FRAMES or pixels > MOST_PIXELS:
                    raise Unreadable(f"more than {MOST_FRAMES} frames or {MOST_PIXELS:,} pixels")
                frames.append(frame)
                durations.append(shown)
        except Unreadable:
            raise
        # Decoders fail in as many ways as files are damaged.
        except Exception as error:
            raise Unreadable(f"no whole .gif ({error or type(error).__name__})") from error
        return cls(frames, durations)

    def content(self) -> bytes:
        return gif(self.frames, self.durations)


KINDS: dict[str, type[Shown]] = {kind.suffix: kind for kind in (Clip, Lines, Film)}
