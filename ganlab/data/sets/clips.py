"""Sets of clips: any folder or zip of films."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Literal

from ganlab import bounds
from ganlab.data.clip_files import LONGEST, ClipRows, ClipTransform, frames_of
from ganlab.data.pictures.archive import Archive, is_hidden
from ganlab.data.pictures.file_sets import FileSet, ListedFile, labelled_by_folders
from ganlab.data.pictures.images import MOST_PIXELS
from ganlab.errors import refuse_missing
from ganlab.media import Labels, Medium, Video

FILMS = (".gif", ".mp4")
MOST_WINDOWS = 1_000


class Clips(FileSet):
    """Any folder or zip of .gif and .mp4 files, flat or a folder a class; .mp4 is read by PyAV.

    Clips of one file are on one side of the split.

    Args:
        frames: Of a clip.
        stride: Every so many-th frame of a file is one of a clip's.
        windows: Clips of each file, the first at its start, the last at its end, the others evenly between.
        size: Height and width: the middle square of each frame is resized, as pictures are.
        channels: 1: grey; 3: colour.
        rate: Frames a second, where clips are shown.
    """

    what = "films"
    layout = "It takes any folder or zip of .gif and .mp4 files, flat or one folder a class."
    origin = "Put your films there"
    rows = ClipRows

    def __init__(
        self,
        *,
        frames: int = 16,
        stride: int = 1,
        windows: int = 1,
        size: int = 64,
        channels: Literal[1, 3] = 3,
        rate: float = 10,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        bounds.between(2, LONGEST, self, frames=frames)
        bounds.between(1, LONGEST, self, stride=stride)
        bounds.between(1, MOST_WINDOWS, self, windows=windows)
        bounds.between(1, MOST_PIXELS, self, size=size)
        self.transform = ClipTransform(size, channels, frames=frames, stride=stride, windows=windows)
        self.video = Video((frames, channels, size, size), rate)
        self.shape = self.video.shape

    @cached_property
    def media(self) -> tuple[Medium, ...]:
        return (self.video,) if self.classes is None else (self.video, Labels(self.classes, self.class_names))

    @property
    def classes(self) -> int | None:  # type: ignore[override]
        labels = [film.label for film in self.source[1]]
        return None if None in labels else len(set(labels))

    @property
    def class_names(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """Their folders."""
        return tuple(self._class_names) if self.classes else None

    def find_files(self, archive: Archive) -> list[ListedFile]:
        names = [name for name in archive.names if _suffix(name) in FILMS and not is_hidden(name)]
        if any(_suffix(name) == ".mp4" for name in names):
            refuse_missing("An .mp4 in Clips", "video", "av")
        self._class_names, files = labelled_by_folders(names, archive.path, self.what)
        return files

    def span(self, contents: Iterable[bytes]) -> str:
        lengths = []
        for content in contents:
            with suppress(Exception):  # They are listed elsewhere.
                lengths.append(sum(1 for _ in frames_of(content)))
        return f"{min(lengths, default=0):,} to {max(lengths, default=0):,} frames"


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
