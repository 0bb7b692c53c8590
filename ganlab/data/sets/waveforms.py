"""Sets of sounds: any folder or zip of .wav files, with classes by their folders or their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from ganlab import bounds
from ganlab.data.pictures.archive import Archive, is_hidden
from ganlab.data.pictures.file_sets import FileSet, ListedFile, is_held_out, labelled_by_folders
from ganlab.data.sounds import Align, SoundRows, Window
from ganlab.errors import Refused
from ganlab.media import Labels, Medium, Sound, Spectrogram
from ganlab.media.wav import HIGHEST_RATE, read_wav
from ganlab.system.untrusted import readable

LONGEST = 2**24  # samples of an item
LABEL = "label"


class Waveforms(FileSet):
    """Any folder or zip of .wav files, of any rate and depth; channels are mixed, and silent files stay.

    Args:
        rate: Samples a second to which all are resampled.
        length: Samples of an item: longer sounds are cut, shorter ones are followed by silence.
        align: Take the samples from a sound's start, or from its middle, and pad shorter ones at both ends.
        peak: What each sound's loudest sample becomes; none: they are as loud as they are.
        pattern: Of names without folders and .wav, such as {label}_{speaker}_{take}, or a regular expression
            with named groups. The label is the class. None: the class is the folder, if there are folders.
        held_out: Share that is not trained on, by a hash of names; or values of the pattern's other parts,
            such as {take: [0, 1]}.
        as_spectrogram: Networks play with spectrograms of (1, frequencies, length / hop), as with pictures.
        frequencies: Of a spectrogram.
        hop: Samples from one moment of a spectrogram to the next.
    """

    what = "sounds"
    layout = "It takes any folder or zip of .wav files, flat, one folder a class, or with names by a pattern."
    origin = "Put your sounds there"
    rows = SoundRows

    def __init__(
        self,
        *,
        rate: int = 16_000,
        length: int = 16_384,
        align: Align = "start",
        peak: float | None = None,
        pattern: str | None = None,
        held_out: float | dict[str, list[int | str]] = 0.1,
        as_spectrogram: bool = False,
        frequencies: int = 128,
        hop: int = 128,
        **base: Any,
    ) -> None:
        share = held_out if isinstance(held_out, int | float) else 0.0
        super().__init__(held_out=share, **base)
        bounds.between(1, HIGHEST_RATE, self, rate=rate)
        bounds.between(1, LONGEST, self, length=length)
        bounds.between(0, 1, self, peak=peak)
        if as_spectrogram and length % hop:
            raise Refused(
                f"Waveforms: length is {length:,}, and a spectrogram has a moment each {hop} samples (hop).\n"
                f"Take {length // hop * hop or hop:,}."
            )
        self.transform = Window(rate, length, align, peak)
        self.pattern = None if pattern is None else compiled(pattern)
        self.held_out_by = self._held_out_by(held_out) if isinstance(held_out, Mapping) else {}
        if as_spectrogram:
            self.sound: Sound = Spectrogram((1, frequencies, length // hop), rate, hop)
        else:
            self.sound = Sound((1, length), rate)
        self.shape = self.sound.shape

    def _held_out_by(self, chosen: Mapping[str, list[int | str]]) -> dict[str, set[str]]:
        known = set(self.pattern.groupindex) if self.pattern else set()
        if unknown := chosen.keys() - known:
            parts = ", ".join(sorted(known)) or "none, without a pattern"
            raise Refused(
                f"Waveforms: held_out names {', '.join(sorted(unknown))}, and parts of names are: {parts}."
            )
        return {part: {*map(str, values)} for part, values in chosen.items()}

    @cached_property
    def media(self) -> tuple[Medium, ...]:
        return (self.sound,) if self.classes is None else (self.sound, Labels(self.classes, self.class_names))

    @property
    def classes(self) -> int | None:  # type: ignore[override]
        labels = [sound.label for sound in self.source[1]]
        return None if None in labels else len(set(labels))

    @property
    def class_names(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """Their labels or folders."""
        return tuple(self._class_names) if self.classes else None

    def find_files(self, archive: Archive) -> list[ListedFile]:
        names = [name for name in archive.names if name.lower().endswith(".wav") and not is_hidden(name)]
        if self.pattern is None:
            self._class_names, files = labelled_by_folders(names, archive.path, self.what)
            return files
        matches = [self.pattern.fullmatch(PurePosixPath(name).stem) for name in names]
        if strange := [name for name, match in zip(names, matches, strict=True) if not match]:
            raise Refused(
                f"Waveforms: {len(strange):,} of {len(names):,} names in {readable(archive.path)} do not\n"
                f"fit the pattern, such as {readable(strange[0])}. Change data.pattern, or take these away."
            )
        parts = [match.groupdict() for match in matches if match]
        self._class_names = in_order({part[LABEL] for part in parts if LABEL in part})
        files = [
            ListedFile(
                name,
                self._class_names.index(part[LABEL]) if LABEL in part else None,
                self._is_held_out(part) or is_held_out(name),
            )
            for name, part in zip(names, parts, strict=True)
        ]
        if files and self.held_out_by and not any(file.held_out for file in files):
            raise Refused(
                f"Waveforms: held_out is {self.held_out_by}, which holds out none of {len(files):,} sounds.\n"
                f"They are named such as {readable(names[0])}."
            )
        return files

    def _is_held_out(self, parts: Mapping[str, str]) -> bool:
        return any(parts[part] in values for part, values in self.held_out_by.items())

    def span(self, contents: Iterable[bytes]) -> str:
        rates, seconds = set(), []
        for content in contents:
            with suppress(ValueError):  # They are listed elsewhere.
                rate, samples = read_wav(content)
                rates.add(rate)
                seconds.append(len(samples) / rate)
        named = ", ".join(f"{rate:,}" for rate in sorted(rates)[:4])
        return f"{named} samples a second, {min(seconds, default=0):.2f} to {max(seconds, default=0):.2f} s"


def compiled(pattern: str) -> re.Pattern[str]:
    """A regular expression as it is, or that of a pattern such as {label}_{take}."""
    expression = pattern
    if "(?P<" not in pattern:
        expression = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(pattern))
    try:
        known = re.compile(expression)
    except re.error as error:
        raise Refused(f"Waveforms: the pattern {pattern!r} cannot be read: {error}.") from error
    if not known.groupindex:
        raise Refused(f"Waveforms: the pattern {pattern!r} names no part of a name, such as {{label}}.")
    return known


def in_order(labels: set[str]) -> list[str]:
    """Numbers by their values, other labels by the alphabet."""
    return sorted(labels, key=int) if all(map(str.isdecimal, labels)) else sorted(labels)
