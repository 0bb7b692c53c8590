from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from os.path import splitext
from typing import Any, NamedTuple

from ganlab.data.pictures.archive import Archive, is_picture
from ganlab.data.pictures.decode import PairTransform, Side
from ganlab.data.pictures.picture_files import HELD_OUT, PictureFile, PictureFiles, common_folder, is_held_out
from ganlab.data.rows import PairRows
from ganlab.data.sets.folder import TRAIN
from ganlab.errors import Refused
from ganlab.media import Medium, Pictures
from ganlab.system.untrusted import readable

# trainA is read as train/A.
SPLIT_AND_SIDE = re.compile(r"(?<![^/])(train|val|test)_?([AB])/")
NEEDED = "A pair lies side by side in one file, or under one name in two folders: A/1.jpg, B/1.png."


class Pairs(PictureFiles):
    """Any folder or zip of pairs of pictures: of what is made, and of the source that it is made from.

    A pair is one file that holds both side by side, or two files of one name in two folders, whatever their
    endings. Folders that are named train and test (or val, validation, held_out) are splits.

    Args:
        source: Which half the source is. Of two folders the first by name is the left one.
    """

    layout = "It takes pairs side by side in one file, or under one name in two folders: A/1.jpg, B/1.png."
    origin = "Put your pairs there"
    rows = PairRows
    transform: PairTransform

    def __init__(self, *, size: int = 256, source: Side = "left", **base: Any) -> None:
        super().__init__(size=size, **base)
        self.transform = PairTransform(size, self.transform.channels, source=source)

    @cached_property
    def media(self) -> tuple[Medium, ...]:
        return Pictures(self.shape), Pictures(self.shape)

    def find_pictures(self, archive: Archive) -> list[PictureFile]:
        files = _files([name for name in archive.names if is_picture(name)])
        sides = sorted({file.side for file in files})
        if sides in ([], [""]):
            return [PictureFile(file.name, held_out=file.held_out) for file in files]
        if len(sides) != 2 or "" in sides:
            where = ", ".join(readable(side) or "none" for side in sides[:4])
            raise Refused(
                f"Pairs: the pictures in {readable(archive.path)} lie in {len(sides):,} folders\n"
                f"({where}{', …' if len(sides) > 4 else ''}), and two were expected, or none.\n{NEEDED}"
            )
        left, right = (_by_pair(archive, [file for file in files if file.side == side]) for side in sides)
        _refuse_unequal(archive, sides, left, right)
        made, source = (right, left) if self.transform.source == "left" else (left, right)
        return [PictureFile(made[pair].name, None, made[pair].held_out, source[pair].name) for pair in made]

    def _keys(self, pictures: list[PictureFile]) -> list[str]:
        """Of two files without endings: which of them is made does not change what is held out."""
        keys = super()._keys(pictures)
        return [
            splitext(key)[0] if picture.source else key for key, picture in zip(keys, pictures, strict=True)
        ]


class _File(NamedTuple):
    """A picture's name, its side's folder if it has one, its pair's name, and whether it is held out."""

    name: str
    side: str
    pair: str
    held_out: bool


def _files(names: list[str]) -> list[_File]:
    paths = [SPLIT_AND_SIDE.sub(r"\1/\2/", name) for name in names]
    start = len(common_folder(paths))
    folders = [path[start:].split("/")[:-1] for path in paths]
    splits = [[part for part in parts if part.lower() in TRAIN | HELD_OUT][:1] for parts in folders]
    if all(splits):
        for parts, split in zip(folders, splits, strict=True):
            parts.remove(split[0])
    files = []
    for name, path, parts, split in zip(names, paths, folders, splits, strict=True):
        stem = splitext(path)[0].rpartition("/")[2]
        pair = "/".join([*split, *parts[1:], stem])
        files.append(_File(name, parts[0] if parts else "", pair, is_held_out(path)))
    return files


def _by_pair(archive: Archive, files: list[_File]) -> dict[str, _File]:
    pairs: dict[str, _File] = {}
    for file in files:
        if file.pair in pairs:
            raise Refused(
                f"Pairs: {readable(archive.path)} holds {readable(pairs[file.pair].name)} and\n"
                f"{readable(file.name)}: which of them belongs to a pair? Remove one."
            )
        pairs[file.pair] = file
    return pairs


def _refuse_unequal(
    archive: Archive, sides: Sequence[str], left: dict[str, _File], right: dict[str, _File]
) -> None:
    alone = sorted([file.name for pair, file in (left | right).items() if (pair in left) != (pair in right)])
    if alone:
        names = ", ".join(map(readable, alone[:3]))
        raise Refused(
            f"Pairs: of {len(left):,} pictures in {readable(sides[0])} and {len(right):,} in"
            f" {readable(sides[1])} of {readable(archive.path)}\n"
            f"{len(alone):,} have no partner of the same name: {names}"
            f"{', …' if len(alone) > 3 else ''}\n{NEEDED}"
        )
