"""Looks at a run's samples: a sheet of many, and files of a few where its medium is played or read.

samples/step-000000500.png      the sheet
samples/step-000000500-0.wav    the first sample, as its medium writes it
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from ganlab.media import Medium
from ganlab.media.shown import KINDS
from ganlab.system.atomic_file import temporary_path

FOLDER, SHEET = "samples", ".png"
MOST_FILES, MOST_BYTES = 8, 1 << 22  # of one look; a first file may be larger
NAME = re.compile(r"step-(\d{1,15})(?:-(\d{1,3}))?(\.[a-z]+)")


@dataclass
class Look:
    """The files of one look that are there, those of single samples in the order of these."""

    step: int
    sheet: Path | None = None
    files: list[Path] = field(default_factory=list)

    @property
    def paths(self) -> list[Path]:
        return [*self.files, *([self.sheet] if self.sheet else [])]


def looks(folder: Path) -> list[Look]:
    """Those of a folder of samples, in the order of steps; other files are left out."""
    by_step: dict[int, Look] = {}
    numbered: list[tuple[int, int, Path]] = []
    for path in folder.glob("step-*.*"):
        if not (name := NAME.fullmatch(path.name)):
            continue
        step, number, suffix = name.groups()
        if number is None and suffix == SHEET:
            by_step.setdefault(int(step), Look(int(step))).sheet = path
        elif number is not None and suffix in KINDS:
            numbered.append((int(step), int(number), path))
    for at, _, path in sorted(numbered):
        by_step.setdefault(at, Look(at)).files.append(path)
    return [by_step[at] for at in sorted(by_step)]


def sheet_file(folder: Path, step: int) -> Path:
    return folder / f"{_stem(step)}{SHEET}"


def keep_files(folder: Path, step: int, medium: Medium, samples: Tensor) -> list[Path]:
    """The first samples of a look in files of their own, if their medium is played or read."""
    return write_files(folder, _stem(step), medium, samples)


def write_files(folder: Path, stem: str, medium: Medium, items: Tensor) -> list[Path]:
    """Write the first items to `stem-0.wav` and so on, if their medium is played or read; return these."""
    if medium.suffix not in KINDS:
        return []
    unfinished = temporary_path(folder / stem)
    unfinished.mkdir(parents=True)
    try:
        size, written = 0, []
        for number, item in enumerate(medium.stored(items[:MOST_FILES])):
            file = unfinished / f"{stem}-{number}{medium.suffix}"
            medium.write(file, item)
            size += file.stat().st_size
            if number and size > MOST_BYTES:
                break
            written.append(file)
        return [file.replace(folder / file.name) for file in written]
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def by_key(files: Sequence[Path]) -> dict[str, Path]:
    """A look's files by what each is logged as: its kind, and its sample's number."""
    return {f"{KINDS[file.suffix].name}/{file.stem.rpartition('-')[2]}": file for file in files}


def _stem(step: int) -> str:
    return f"step-{step:09d}"
