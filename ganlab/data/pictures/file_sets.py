"""Sets of files in a folder or a zip, which are decoded once, into a cache."""

from __future__ import annotations

import hashlib
import os
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from posixpath import commonpath
from typing import Any, ClassVar, NamedTuple

import torch

from ganlab import bounds
from ganlab.data.checksums import Damaged
from ganlab.data.order import FiniteItems
from ganlab.data.pictures.archive import Archive, encoded_name, open_archive, reading
from ganlab.data.pictures.cache import Cache, Decoding, Pictures, open_cache
from ganlab.data.pictures.images import data_folder, fetching
from ganlab.data.pictures.placed import Placed
from ganlab.data.rows import Rows, map_file
from ganlab.data.stream import Split
from ganlab.errors import Refused
from ganlab.system.untrusted import readable

SPLIT_AND_SIDE = re.compile(r"(?<![^/])(train|val|test)_?([AB])/")
TRAIN = frozenset({"train", "training", "training_set"})
HELD_OUT = frozenset({"held_out", "test", "test_set", "val", "valid", "validation", "validation_set"})


class ListedFile(NamedTuple):
    """A file's name in its archive, its label, and whether the set itself holds it out.

    Attributes:
        source: The file of what it is made from, if that is a file of its own.
    """

    name: str
    label: int | tuple[int, ...] | None = None
    held_out: bool = False
    source: str | None = None


class FileSet(Placed):
    """The base class of sets of files. A subclass lists its files in `find_files`.

    Args:
        root: The set's folder or zip, or a folder that holds it; else $GANLAB_DATA, else ./data.
        held_out: Share that is not trained on, by a hash of names, unless the set itself holds some out.
        most_broken: Share of files that may be skipped because they are broken.
        download: Fetch the set if it is missing.
    """

    what: ClassVar[str]  # its items are called
    usual_names: ClassVar[tuple[str, ...]] = ()  # patterns for its folder or zip within `root`
    layout: ClassVar[str]  # which files it takes, in a sentence
    origin: ClassVar[str]  # where the set comes from
    rows: Callable[..., Rows] = Rows  # how the decoded items are read
    transform: Decoding  # from a file to an item

    def __init__(
        self,
        *,
        root: str | None = None,
        held_out: float = 0.1,
        most_broken: float = 0.01,
        download: bool = False,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        bounds.between(0, 1, self, held_out=held_out, most_broken=most_broken)
        self.root = data_folder(root)
        self.held_out, self.most_broken, self.download = held_out, most_broken, download
        self._caches: dict[Split, tuple[Cache, str]] = {}

    @abstractmethod
    def find_files(self, archive: Archive) -> list[ListedFile]:
        """This set's files in an archive; none if the archive holds something else."""

    @abstractmethod
    def span(self, contents: Iterable[bytes]) -> str:
        """The range of what files of these contents hold, in words; broken ones are left out."""

    def prepare_data(self) -> None:
        """Download and decode in one process, before the others of this machine load the data."""
        if self.download and not self._is_present():
            self.root.mkdir(parents=True, exist_ok=True)
            by_hand = f"{self.layout}\n{self.origin}; by other means bring it to {self.root.resolve()}."
            with fetching(type(self).__name__, by_hand):
                self.fetch()
        for split, files in self.files.items():
            cache, _ = self.cache_of(split)
            if cache.skipped:
                names = ", ".join(cache.skipped.values())
                count = f"{len(cache.skipped):,} of {len(files):,}"
                print(f"{type(self).__name__}, {split}: {count} {self.what} are broken and skipped: {names}")

    def fetch(self) -> None:
        """Download the set to its root, in the form that its owners publish."""
        raise Refused(f"{type(self).__name__} is of your own {self.what}: there is nothing to download.")

    def _is_present(self) -> bool:
        try:
            return bool(self.source)
        except Refused:
            return False

    def load(self) -> tuple[FiniteItems, FiniteItems | None]:
        rows = {split: self._rows(split) for split in self.files}
        return rows["train"], rows.get("held_out")

    def identity(self, split: Split) -> tuple[Any, ...]:
        labels = repr([file.label for file in self.files[split]])
        return hashlib.sha256(labels.encode()).hexdigest(), self.cache_of(split)[1]

    def cache_of(self, split: Split) -> tuple[Cache, str]:
        """A split's decoded files, built now if need be, and a hash of names, contents and transform."""
        if split not in self._caches:
            files = self.files[split]
            names, sources = [file.name for file in files], [file.source for file in files if file.source]
            pictures = Pictures(self.source[0], names, self._keys(files), sources, self.what)
            title = f"{type(self).__name__}-{split}".lower()
            self._caches[split] = open_cache(
                pictures, self.transform, most_broken=self.most_broken, title=title
            )
        return self._caches[split]

    def _rows(self, split: Split) -> Rows:
        cache, _ = self.cache_of(split)
        labels = [file.label for index, file in enumerate(self.files[split]) if index not in cache.skipped]
        return self.rows(
            map_file(cache.images, cache.shape),
            None if None in labels else torch.tensor(labels),
            path=cache.images,
            checksums=cache.checksums(),
        )

    def _placed(self, split: Split, items: Any, device: torch.device) -> Any:
        try:
            return super()._placed(split, items, device)
        except Damaged:  # All was read: the cache is gone, and nothing that depends on it has begun.
            del self._caches[split]
            return super()._placed(split, self._rows(split), device)

    @cached_property
    def files(self) -> dict[Split, list[ListedFile]]:
        """Those of each split that is not empty, in the order of their names."""
        files = sorted(self.source[1])
        set_has_split = any(file.held_out for file in files)
        parts: dict[Split, list[ListedFile]] = {"train": [], "held_out": []}
        for file, key in zip(files, self._keys(files), strict=True):
            held_out = file.held_out if set_has_split else uniform_number(key) < self.held_out
            parts["held_out" if held_out else "train"].append(file)
        if not parts["train"]:
            raise Refused(
                f"{type(self).__name__}: all {self.what} in {readable(self.source[0].path)} are held out."
            )
        return {split: part for split, part in parts.items() if part}

    def _keys(self, files: list[ListedFile]) -> list[str]:
        """Names without the folder that all share, which are the same however the archive was packed."""
        return [file.name.removeprefix(self._common_folder) for file in files]

    @cached_property
    def _common_folder(self) -> str:
        return common_folder([file.name for file in self.source[1]])

    @cached_property
    def source(self) -> tuple[Archive, list[ListedFile]]:
        """The archive that holds the set, and all its files."""
        name, root = type(self).__name__, self.root
        with reading(root):
            where = os.path.realpath(root)
            if not root.exists():
                raise Refused(f"{name}: there is no {readable(where)}.\n{self._hint}")
            candidates = [(archive, self.find_files(archive)) for archive in self._archives(root)]
        candidates = [candidate for candidate in candidates if candidate[1]]
        if not candidates:
            raise Refused(f"{name}: no {self.what} in {readable(where)}.\n{self._hint}")
        if len(candidates) > 1:
            names = ", ".join(readable(archive.path.name) for archive, _ in candidates)
            raise Refused(
                f"{name} lies in {readable(where)} more than once: {names}.\nName one by --data.root."
            )
        return candidates[0]

    def _archives(self, path: Path) -> Iterator[Archive]:
        """Everything in a folder that has one of the set's usual names; if nothing has, the path itself."""
        inside = sorted(path.iterdir()) if path.is_dir() else []
        usual = [p for p in inside if any(fnmatch(p.name.lower(), name) for name in self.usual_names)]
        for child in usual:
            yield from self._archives(child)
        if not usual:
            yield open_archive(path)

    @property
    def _hint(self) -> str:
        return f"{self.layout}\n{self.origin}; name its folder or zip by --data.root (or $GANLAB_DATA)."


def common_folder(names: list[str]) -> str:
    """The innermost folder that holds all these files, with a `/` at its end; "" if there is none."""
    folders = {name.rpartition("/")[0] for name in names}
    return f"{commonpath(folders)}/" if folders and "" not in folders and commonpath(folders) else ""


def labelled_by_folders(names: list[str], where: Path, what: str) -> tuple[list[str], list[ListedFile]]:
    """Classes, and these files of an archive, flat or in a folder for each class.

    Folders above these that are named train and test (or val, validation, held_out) are splits, not classes;
    trainA is train/A.
    """
    paths = [split_before_side(name) for name in names]
    start = len(common_folder(paths))
    folders = [path[start:].split("/")[:-1] for path in paths]
    if all(path and path[0].lower() in TRAIN | HELD_OUT for path in folders):
        folders = [path[1:] for path in folders]
    flat = sum(not path for path in folders)
    if 0 < flat < len(names):
        raise Refused(
            f"{readable(where)}: {flat:,} of {len(names):,} {what} lie beside folders of\n"
            f"others. Give each class a folder, or put all {what} into one."
        )
    classes = sorted({path[0] for path in folders if path})
    labels = [classes.index(path[0]) if path else None for path in folders]
    return classes, [
        ListedFile(name, label, is_held_out(path))
        for name, path, label in zip(names, paths, labels, strict=True)
    ]


def empty_folder_beside(archive: Archive, names: list[str]) -> Path | None:
    """If all files lie in one folder, another on disk beside it that is empty, and is no split."""
    path = archive.path / common_folder(names)
    if path == archive.path or not path.is_dir():
        return None
    with reading(path.parent):
        folders = [each for each in sorted(path.parent.iterdir()) if each.is_dir() and each.name[0] != "."]
        empty = [each for each in folders if all(inside.name[0] == "." for inside in each.iterdir())]
    return next((each for each in empty if each.name.lower() not in HELD_OUT | {"train"}), None)


def split_before_side(path: str) -> str:
    """CycleGAN's and pix2pix's folders trainA, testB, ... as train/A, test/B."""
    return SPLIT_AND_SIDE.sub(r"\1/\2/", path)


def is_held_out(name: str) -> bool:
    """Whether one of a file's folders has a name such as test or val."""
    return any(part.lower() in HELD_OUT for part in name.split("/")[:-1])


def uniform_number(key: str) -> float:
    """A number in [0, 1) that depends on the key alone, uniform over keys."""
    return int.from_bytes(hashlib.sha256(encoded_name(key)).digest()[:6], "big") / 2**48
