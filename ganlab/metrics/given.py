"""Items from elsewhere, which are scored as they are: files of a folder or a zip, or the array of an npz."""

from __future__ import annotations

import hashlib
import sys
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from zipfile import is_zipfile

import numpy as np
import torch
from torch import Tensor

from ganlab.data.pictures.archive import Folder, open_archive, read_member, reading
from ganlab.data.pictures.cache import Pictures
from ganlab.data.pictures.decode import Transparency
from ganlab.data.pictures.file_sets import common_folder
from ganlab.errors import Refused
from ganlab.media import Medium
from ganlab.metrics.observed import Classes
from ganlab.metrics.scorer import Batches
from ganlab.system.hardware import free_memory
from ganlab.system.processes import shares
from ganlab.system.untrusted import readable, reason

BATCH = 100
MOST_DECODED = 1 << 29  # bytes of files that are decoded to be told from others: a minute on a slow core
DIGEST_SIZE = hashlib.sha256().digest_size


class Given(ABC):
    """What is read in a path as items of one medium.

    Attributes:
        what: Items are called, in messages and contracts.
        total: How many there are.
    """

    what: str
    of: ClassVar[str]  # an identity is, where files are decoded for it

    def __init__(self, path: Path, medium: type[Medium]) -> None:
        self.path, self.medium = path, medium
        with reading(path):
            if not path.exists():
                raise Refused(f"There is no {readable(path)}.")
        self.array: np.ndarray | None = None
        if path.suffix.lower() == ".npz":
            self.array = self.checked(first_array(path, self.what))
            self.total = len(self.array)
            return
        if self.is_one(path.name) and medium.several_a_file and path.is_file():
            self.array = self.of_one_file(path)
            self.total = len(self.array)
            return
        archive = open_archive(path)
        self.names = [name for name in archive.names if self.is_one(name)]
        if not self.names:
            raise Refused(self.no_files())
        self.files = Pictures(archive, self.names, self.names)
        self.total = len(self.names)

    @abstractmethod
    def checked(self, array: np.ndarray) -> np.ndarray:
        """The array of an npz; refused if it holds no items of the medium."""

    def of_one_file(self, path: Path) -> np.ndarray:
        """The items of a file that holds several, as they lie in an npz."""
        try:
            items = self.medium.read_all(read_member(Folder(path.parent), path.name))
            if not len(items):
                raise Refused(f"{readable(path)} is empty: there is no item of {self.what} in it.")
            return self.checked(self.medium.as_array(items))
        except Refused:
            raise
        # A medium may be anybody's, and damaged files raise all kinds of errors.
        except Exception as error:
            raise Refused(f"{readable(path)} is no {path.suffix} of {self.what}: {reason(error)}.") from error

    @abstractmethod
    def is_one(self, name: str) -> bool:
        """Whether a file of this name is read as an item."""

    @abstractmethod
    def no_files(self) -> str:
        """What is said where there is none."""

    @abstractmethod
    def decoded(self, number: int) -> np.ndarray:
        """The item in the file of this number, as it lies in an npz; refused if it is damaged."""

    def decoded_digests(self) -> list[bytes]:
        """Of each file that of its item's shape and numbers."""
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda number: digest(self.decoded(number)), range(self.total)))

    def identity_of_files(self) -> dict[str, Any]:
        """How files are decoded, where the files and not what they hold make the identity."""
        return {}

    def told_transparency(self) -> Transparency | None:
        """What became of transparent pictures, said once all were read; None if there were none."""
        return None

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What tells them from all others, as a contract names its data: their numbers, in any order.

        Of many bytes of files it is the files: to decode all, twice, would take too long.
        """
        items = {"class": self.what, "split": "all"}
        if self._digests is None:
            title = readable(self.path.name)
            contents = self.files.content_digest(title)
            print(
                f"ganlab: {title} is larger than {MOST_DECODED >> 20} MiB and is known by its files: the same"
                f" {self.of} in files\nof other names or formats cannot be told equal.",
                file=sys.stderr,
            )
            return items | {"of": "files", "fingerprint": contents, **self.identity_of_files()}
        contents = hashlib.sha256(b"".join(sorted(self._digests))).hexdigest()
        return items | {"of": self.of, "fingerprint": contents}

    @cached_property
    def _digests(self) -> list[bytes] | None:
        """Of each item; None of files that are too large to decode for it."""
        if self.array is not None:
            return [digest(item) for item in self.array]
        return None if _size(self.files.archive.path, self.names) > MOST_DECODED else self.decoded_digests()

    @property
    def classes(self) -> Classes | None:
        """The folders of files that lie in a folder for each class; None of others and of arrays.

        Folders that are called by numbers have these, and others are numbered in the order of their names.
        """
        if self.array is not None:
            return None
        start = len(common_folder(self.names))
        folders = [name[start:].split("/")[:-1] for name in self.names]
        if not all(folders):
            return None
        names = sorted({folder[0] for folder in folders})
        labels = torch.tensor([names.index(folder[0]) for folder in folders])
        numbers = map(int, names) if all(map(str.isdecimal, names)) else range(len(names))
        return Classes(tuple(names), labels, tuple(numbers))

    def batches(self) -> Batches:
        """This process's share, as pairs of indices and items; items of one batch have one shape."""
        return self._batches(torch.arange(self.total))

    def sorted_batches(self) -> Batches:
        """The same with indices that follow from the items, where `identity` knows these, not from names.

        Subsets that a score draws by index are then the same for all that has one identity.
        """
        ranks = torch.arange(self.total)
        ranks[self._order] = torch.arange(self.total)
        return self._batches(ranks)

    @property
    def sorted_classes(self) -> Classes | None:
        """The classes in the order of `sorted_batches`."""
        return self.classes and self.classes.some(self._order)

    @cached_property
    def _order(self) -> Tensor:
        """The items' numbers by their digests, where `identity` knows these."""
        if self._digests is None:
            return torch.arange(self.total)
        return torch.tensor(sorted(range(self.total), key=self._digests.__getitem__))

    def _batches(self, indices: Tensor) -> Batches:
        for numbers in shares(self.total, BATCH):
            if self.array is not None:
                yield indices[numbers], self.medium.from_array(self.array[numbers.numpy()])
                continue
            by_shape: dict[tuple[int, ...], list[tuple[int, Tensor]]] = {}
            for number in numbers.tolist():
                item = self.medium.from_array(self.decoded(number)[None])[0]
                by_shape.setdefault(tuple(item.shape), []).append((number, item))
            for numbered in by_shape.values():
                some, items = zip(*numbered, strict=True)
                yield indices[torch.tensor(some)], torch.stack(items)


def digest(item: np.ndarray) -> bytes:
    return hashlib.sha256(repr(item.shape).encode() + item.tobytes()).digest()


def _size(path: Path, names: list[str]) -> int:
    """The bytes of a zip, or of the files of these names in a folder."""
    with reading(path):
        return sum((path / name).stat().st_size for name in names) if path.is_dir() else path.stat().st_size


def first_array(path: Path, what: str) -> np.ndarray:
    try:
        if not (path.is_file() and is_zipfile(path)):
            raise ValueError("it is no zip of arrays")
        with np.load(path, allow_pickle=False) as file:
            size = next((member.file_size for member in file.zip.infolist()), 0)
            if size > (free := free_memory(torch.device("cpu"))) > 0:
                raise ValueError(
                    f"{size / 1e9:,.0f} GB do not fit into the {free / 1e9:,.0f} GB that are free"
                )
            array = file[file.files[0]]
        if not isinstance(array, np.ndarray):
            raise ValueError("what it holds is no array")
        return array
    # Damaged files, and zips of other things, raise all kinds of errors.
    except Exception as error:
        holds_objects = "pickle" in str(error)
        why = "it holds objects, which are read by running code" if holds_objects else reason(error)
        raise Refused(f"{readable(path)} is no npz of {what}: {why}.") from error
