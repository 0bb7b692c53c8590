"""What samples are made from, if it is the user's own: pictures of any size, other media's files, arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from os.path import splitext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from PIL.Image import Resampling
from torch import Tensor

from ganlab.data.pictures.archive import (
    Archive,
    Folder,
    is_array,
    is_hidden,
    is_picture,
    open_archive,
    read_member,
    reading,
)
from ganlab.data.pictures.decode import MODES, Broken, fitted
from ganlab.data.pictures.file_sets import common_folder
from ganlab.data.pictures.layers import ARRAY, label_map, layers, refuse_outside
from ganlab.errors import Refused
from ganlab.media import LabelMap, Medium, Pictures, Text
from ganlab.media.text import lines_of
from ganlab.metrics.given import first_array
from ganlab.system.memory import refuse_beyond_memory
from ganlab.system.untrusted import readable, reason


class Sources(NamedTuple):
    """Items as data store them, and their files' names without suffixes; none if they are no files."""

    items: Tensor
    names: tuple[str, ...] = ()


def read_sources(path: Path, medium: Medium) -> Sources:
    """All sources in a folder, a zip, a single file or an npz, as items of this medium, in order of names.

    All are read at once, so that whatever is broken or does not fit is refused before a sample is drawn.
    """
    _refuse_missing(path)
    files = _files(medium)
    if path.suffix.lower() == ".npz":
        return Sources(_from_array(path, files))
    if files.are_several(path):
        items = _read(Folder(path.parent), path.name, files.several)
        return Sources(items)
    archive, names = _found(path, files)
    refuse_beyond_memory(len(names) * prod(medium.shape) / 4, f"{len(names):,} sources (--given)")
    items = torch.stack([_read(archive, name, files.decoded) for name in names])
    return Sources(items, without_suffixes(names))


def read_each(path: Path, medium: Medium) -> Iterator[tuple[str, Tensor]]:
    """The name of each source's file, without its suffix, and the item in its own size, one by one."""
    _refuse_missing(path)
    if path.suffix.lower() == ".npz":
        raise Refused(f"{readable(path)} is an array, whose pictures have one size: leave --native out.")
    files = _files(medium)
    archive, names = _found(path, files)
    for name, short in zip(names, without_suffixes(names), strict=True):
        yield short, _read(archive, name, files.whole)


def without_suffixes(names: Sequence[str]) -> tuple[str, ...]:
    """Names of files, from where they differ on."""
    start = len(common_folder([*names]))
    return tuple(splitext(name[start:])[0] for name in names)


def _refuse_missing(path: Path) -> None:
    with reading(path):
        if not path.exists():
            raise Refused(f"There is no {readable(path)} (--given).")


def _files(medium: Medium) -> OwnFiles:
    return next(files for kind, files in READERS.items() if isinstance(medium, kind))(medium)


def _found(path: Path, files: OwnFiles) -> tuple[Archive, list[str]]:
    """Where the sources lie, and the names of their files, in order."""
    single = path.is_file() and files.are_of(path.name)
    archive = Folder(path.parent) if single else open_archive(path)
    names = [path.name] if single else [name for name in archive.names if files.are_of(name)]
    if not names:
        raise Refused(f"There are no {files.kind} in {readable(path)} (--given).")
    return archive, names


class OwnFiles:
    """Files that a medium reads itself; an item that has not the medium's shape is refused."""

    def __init__(self, medium: Medium) -> None:
        self.medium = medium
        self.shape = tuple(medium.blank().shape[1:])  # as data store an item

    @property
    def kind(self) -> str:
        """What they are, for messages."""
        return f"files {self.medium.suffix}" if self.medium.suffix else "files that could be read"

    def are_of(self, name: str) -> bool:
        suffix = self.medium.suffix
        return bool(suffix) and name.lower().endswith(suffix.lower()) and not is_hidden(name)

    def whole(self, content: bytes) -> Tensor:
        """The item in the size that it has."""
        return self.medium.read(content)

    def decoded(self, content: bytes) -> Tensor:
        return self.fitted(self.whole(content))

    def are_several(self, path: Path) -> bool:
        """Whether each line, or whatever else it holds, of this file is a source."""
        return self.medium.several_a_file and path.is_file() and self.are_of(path.name)

    def several(self, content: bytes) -> Tensor:
        items = self.medium.read_all(content)
        if not len(items):
            raise Broken("it is empty")
        return torch.stack([self._numbered(number, item) for number, item in enumerate(items, 1)])

    def _numbered(self, number: int, item: Tensor) -> Tensor:
        try:
            return self.fitted(item)
        except Broken as error:
            raise Broken(f"line {number}: {error}") from error

    def fitted(self, item: Tensor) -> Tensor:
        if tuple(item.shape) != self.shape:
            raise Broken(f"it has the shape {tuple(item.shape)}, and the game takes {self.shape}")
        return item


class PictureFiles(OwnFiles):
    """Pictures of any format and size: the largest part from the middle, resized as data resize theirs."""

    kind = "pictures"
    how = Resampling.BICUBIC

    def are_of(self, name: str) -> bool:
        return is_picture(name) or is_array(name)

    def whole(self, content: bytes) -> Tensor:
        return _stacked(self._layers(content))

    def decoded(self, content: bytes) -> Tensor:
        return self._resized(self._layers(content))

    def fitted(self, item: Tensor) -> Tensor:
        if tuple(item.shape) == self.shape:
            return item
        if len(self.shape) != 3 or len(item) != self.shape[0] or len(item) not in MODES:
            return super().fitted(item)
        pixels = item.movedim(0, -1).numpy()
        return self._resized([Image.fromarray(pixels.squeeze(-1) if len(item) == 1 else pixels)])

    def _layers(self, content: bytes) -> list[Image.Image]:
        if len(self.shape) != 3 or (self.shape[0] not in MODES and not content.startswith(ARRAY)):
            raise Broken(
                f"it is a picture, and what the game takes has the shape {self.shape}: give a file.npz\n"
                "or, of height x width x channels, .npy"
            )
        return layers(content, self.shape[0])

    def _resized(self, parts: list[Image.Image]) -> Tensor:
        _, height, width = self.shape
        return _stacked([fitted(part, width, height, self.how) for part in parts])


class LabelMapFiles(PictureFiles):
    """Grey or palette pictures of numbers of classes, of which each keeps its own when they are resized."""

    kind = "label maps"
    how = Resampling.NEAREST

    def are_of(self, name: str) -> bool:
        return is_picture(name)

    def fitted(self, item: Tensor) -> Tensor:
        refuse_outside(item.numpy(), self.medium.shape[0])
        return super().fitted(item)

    def _layers(self, content: bytes) -> list[Image.Image]:
        return [label_map(content, self.medium.shape[0])]


def _stacked(parts: list[Image.Image]) -> Tensor:
    """Channels first."""
    pixels = [np.array(part).reshape(part.height, part.width, -1) for part in parts]
    return torch.from_numpy(np.concatenate(pixels, -1)).movedim(-1, 0)


class Texts(OwnFiles):
    """Files of text, of which each line is a source; shorter lines than the game's are padded."""

    def fitted(self, item: Tensor) -> Tensor:
        assert isinstance(self.medium, Text)
        if problem := self.medium.problem(*lines_of(item[None])):
            raise Broken(problem)
        return self.medium.padded(item)


# The first whose medium a medium is.
READERS: dict[type, type[OwnFiles]] = {
    **{LabelMap: LabelMapFiles, Pictures: PictureFiles, Text: Texts},
    Medium: OwnFiles,
}


def _read(archive: Archive, name: str, read: Callable[[bytes], Tensor]) -> Tensor:
    try:
        return read(read_member(archive, name))
    except Refused:
        raise
    # A user's own medium may raise anything.
    except Exception as error:
        raise Refused(
            f"{readable(archive.path / name)} cannot be used (--given): {reason(error)}."
        ) from error


def _from_array(path: Path, files: OwnFiles) -> Tensor:
    array = first_array(path, "sources")
    medium = files.medium
    try:
        items = medium.from_array(array)
        if not items.ndim or not len(items) or not medium.holds(items):
            form = medium.as_array(medium.blank())
            raise Broken(
                f"it holds {array.dtype} of the shape {array.shape}, and sources are {form.dtype} of"
                f" the shape (n, {', '.join(map(str, form.shape[1:]))})"
            )
        return torch.stack([files.fitted(item) for item in items])
    # An array of a type that torch does not have.
    except (Broken, TypeError, ValueError) as error:
        raise Refused(f"{readable(path)} cannot be used (--given): {reason(error)}.") from error
