from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from os.path import splitext
from typing import Any, NamedTuple

from ganlab import bounds
from ganlab.data.pictures.archive import Archive, is_array, is_picture
from ganlab.data.pictures.decode import MODES
from ganlab.data.pictures.file_sets import (
    HELD_OUT,
    TRAIN,
    ListedFile,
    common_folder,
    empty_folder_beside,
    is_held_out,
    split_before_side,
)
from ganlab.data.pictures.pairs import PairTransform, Side
from ganlab.data.pictures.picture_files import PictureFiles
from ganlab.data.rows import PairRows
from ganlab.errors import Refused
from ganlab.media import LabelMap, Medium, Pictures
from ganlab.system.untrusted import readable

MOST_CHANNELS, MOST_CLASSES = 1024, 256
NEEDED = "A pair lies side by side in one file, or under one name in two folders: A/1.jpg, B/1.png."


class Pairs(PictureFiles):
    """Any folder or zip of pairs of pictures: of what is made, and of the source that it is made from.

    A pair is one file that holds both side by side, or two files of one name in two folders, whatever their
    endings. Folders that are named train and test (or val, validation, held_out) are splits. Of two files the
    larger is made smaller; they must have the same proportions. A file may be an array (.npy) of height x
    width x channels, of 8 or 16 bits.

    Args:
        source: Which half the source is. Of two folders the first by name is the left one.
        source_channels: Of sources, if they are others than those of what is made: any number in arrays.
        source_classes: Sources are label maps: grey or palette pictures of the numbers of so many classes,
            which networks are given as one channel a class.
    """

    layout = "It takes pairs side by side in one file, or under one name in two folders: A/1.jpg, B/1.png."
    origin = "Put your pairs there"
    transform: PairTransform

    def __init__(
        self,
        *,
        size: int = 256,
        source: Side = "left",
        source_channels: int | None = None,
        source_classes: int | None = None,
        **base: Any,
    ) -> None:
        super().__init__(size=size, **base)
        bounds.between(1, MOST_CHANNELS, self, source_channels=source_channels)
        bounds.between(2, MOST_CLASSES, self, source_classes=source_classes)
        if source_channels and source_classes:
            raise Refused("Pairs: label maps have one channel: leave source_channels or source_classes out.")
        self.transform = PairTransform(
            self.transform.size,
            self.transform.channels,
            source=source,
            source_channels=source_channels,
            source_classes=source_classes,
        )
        self.rows = partial(PairRows, channels=self.transform.both_channels, size=size)

    @cached_property
    def media(self) -> tuple[Medium, ...]:
        made, size = Pictures(self.shape), self.shape[1:]
        if classes := self.transform.source_classes:
            return made, LabelMap((classes, *size))
        return made, Pictures((self.transform.both_channels[1], *size))

    def find_files(self, archive: Archive) -> list[ListedFile]:
        files = _files([name for name in archive.names if is_picture(name) or is_array(name)])
        sides = sorted({file.side for file in files})
        if sides in ([], [""]):
            if empty := empty_folder_beside(archive, [file.name for file in files]):
                raise Refused(f"Pairs: {readable(empty)} holds no pictures.\n{NEEDED}")
            if files and (self.transform.source_classes or self.transform.both_channels[1] not in MODES):
                raise Refused(
                    f"Pairs: {readable(archive.path)} has no two folders with pictures, and label maps and\n"
                    f"sources of many channels are files of their own: labels/1.png, photographs/1.jpg."
                )
            return [ListedFile(file.name, held_out=file.held_out) for file in files]
        if len(sides) != 2 or "" in sides:
            where = ", ".join(readable(side) or "none" for side in sides[:4])
            raise Refused(
                f"Pairs: the pictures in {readable(archive.path)} lie in {len(sides):,} folders\n"
                f"({where}{', …' if len(sides) > 4 else ''}), and two were expected, or none.\n{NEEDED}"
            )
        left, right = (_by_pair(archive, [file for file in files if file.side == side]) for side in sides)
        _refuse_unequal(archive, sides, left, right)
        made, source = (right, left) if self.transform.source == "left" else (left, right)
        return [ListedFile(made[pair].name, None, made[pair].held_out, source[pair].name) for pair in made]

    def _keys(self, files: list[ListedFile]) -> list[str]:
        """Of two files without endings: which of them is made does not change what is held out."""
        keys = super()._keys(files)
        return [splitext(key)[0] if file.source else key for key, file in zip(keys, files, strict=True)]


class _File(NamedTuple):
    """A picture's name, its side's folder if it has one, its pair's name, and whether it is held out."""

    name: str
    side: str
    pair: str
    held_out: bool


def _files(names: list[str]) -> list[_File]:
    paths = [split_before_side(name) for name in names]
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
