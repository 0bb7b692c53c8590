"""What samples are made from, if it is the user's own: pictures of any size, other media's files, arrays."""

from __future__ import annotations

from math import prod
from os.path import splitext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganlab.data.pictures.archive import (
    Archive,
    Folder,
    is_hidden,
    is_picture,
    open_archive,
    read_member,
    reading,
)
from ganlab.data.pictures.decode import MODES, Broken, fitted, upright
from ganlab.data.pictures.picture_files import common_folder
from ganlab.errors import Refused
from ganlab.media import Medium, Pictures
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
    with reading(path):
        if not path.exists():
            raise Refused(f"There is no {readable(path)} (--given).")
    files = next(files for kind, files in READERS.items() if isinstance(medium, kind))(medium)
    if path.suffix.lower() == ".npz":
        return Sources(_from_array(path, files))
    single = path.is_file() and files.are_of(path.name)
    archive = Folder(path.parent) if single else open_archive(path)
    names = [path.name] if single else [name for name in archive.names if files.are_of(name)]
    if not names:
        raise Refused(f"There are no {files.kind} in {readable(path)} (--given).")
    refuse_beyond_memory(len(names) * prod(medium.shape) / 4, f"{len(names):,} sources (--given)")
    items = torch.stack([_read(archive, name, files) for name in names])
    start = len(common_folder(names))
    return Sources(items, tuple(splitext(name[start:])[0] for name in names))


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

    def decoded(self, content: bytes) -> Tensor:
        return self.fitted(self.medium.read(content))

    def fitted(self, item: Tensor) -> Tensor:
        if tuple(item.shape) != self.shape:
            raise Broken(f"it has the shape {tuple(item.shape)}, and the game takes {self.shape}")
        return item


class PictureFiles(OwnFiles):
    """Pictures of any format and size: the largest part from the middle, resized as data resize theirs."""

    kind = "pictures"

    def are_of(self, name: str) -> bool:
        return is_picture(name)

    def decoded(self, content: bytes) -> Tensor:
        if len(self.shape) != 3 or self.shape[0] not in MODES:
            raise Broken(
                f"it is a picture, and what the game takes has the shape {self.shape}: give a file.npz"
            )
        return self._resized(upright(content, self.shape[0]))

    def fitted(self, item: Tensor) -> Tensor:
        if tuple(item.shape) == self.shape:
            return item
        if len(self.shape) != 3 or len(item) != self.shape[0] or len(item) not in MODES:
            return super().fitted(item)
        pixels = item.movedim(0, -1).numpy()
        return self._resized(Image.fromarray(pixels.squeeze(-1) if len(item) == 1 else pixels))

    def _resized(self, image: Image.Image) -> Tensor:
        channels, height, width = self.shape
        pixels = np.array(fitted(image, width, height)).reshape(height, width, channels)
        return torch.from_numpy(pixels).movedim(-1, 0)


READERS: dict[type, type[OwnFiles]] = {Pictures: PictureFiles, Medium: OwnFiles}


def _read(archive: Archive, name: str, files: OwnFiles) -> Tensor:
    try:
        return files.decoded(read_member(archive, name))
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
