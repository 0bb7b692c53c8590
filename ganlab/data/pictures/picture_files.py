"""Sets of picture files in a folder or a zip, which are decoded once, into a cache."""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from posixpath import commonpath
from typing import Any, ClassVar, Literal, NamedTuple

import torch

from ganlab import bounds
from ganlab.data.checksums import Damaged
from ganlab.data.pictures.archive import Archive, encoded_name, open_archive, reading
from ganlab.data.pictures.cache import Cache, Pictures, open_cache
from ganlab.data.pictures.decode import Transform
from ganlab.data.pictures.images import MOST_PIXELS, Images, data_folder, fetching
from ganlab.data.rows import Rows, map_file
from ganlab.data.stream import FiniteItems, Split
from ganlab.errors import Refused
from ganlab.system.untrusted import readable

HELD_OUT = frozenset({"held_out", "test", "test_set", "val", "valid", "validation", "validation_set"})


class PictureFile(NamedTuple):
    """A picture's name in its archive, its label, and whether the set itself holds it out.

    Attributes:
        source: The file of what it is made from, if that is a file of its own.
    """

    name: str
    label: int | tuple[int, ...] | None = None
    held_out: bool = False
    source: str | None = None


class PictureFiles(Images):
    """The base class of sets of picture files. A subclass lists its pictures in `find_pictures`.

    Args:
        root: The set's folder or zip, or a folder that holds it; else $GANLAB_DATA, else ./data.
        size: Height and width.
        channels: 1: grey; 3: colour; 4: with transparency.
        held_out: Share that is not trained on, by a hash of names, unless the set itself holds some out.
        most_broken: Share of pictures that may be skipped because they are broken.
        download: Fetch the set if it is missing.
    """

    usual_names: ClassVar[tuple[str, ...]] = ()  # patterns for its folder or zip within `root`
    layout: ClassVar[str]  # which files it takes, in a sentence
    origin: ClassVar[str]  # where the set comes from
    rows: ClassVar[type[Rows]] = Rows  # how the decoded pictures are read

    def __init__(
        self,
        *,
        root: str | None = None,
        size: int = 64,
        channels: Literal[1, 3, 4] = 3,
        held_out: float = 0.1,
        most_broken: float = 0.01,
        download: bool = False,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        bounds.between(1, MOST_PIXELS, self, size=size)
        bounds.between(0, 1, self, held_out=held_out, most_broken=most_broken)
        self.root = data_folder(root)
        self.held_out, self.most_broken, self.download = held_out, most_broken, download
        self.transform = Transform(size, channels)
        self.shape = (channels, size, size)
        self._caches: dict[Split, tuple[Cache, str]] = {}

    @abstractmethod
    def find_pictures(self, archive: Archive) -> list[PictureFile]:
        """This set's pictures in an archive; none if the archive holds something else."""

    def prepare_data(self) -> None:
        """Download and decode in one process, before the others of this machine load the data."""
        if self.download and not self._is_present():
            self.root.mkdir(parents=True, exist_ok=True)
            by_hand = f"{self.layout}\n{self.origin}; by other means bring it to {self.root.resolve()}."
            with fetching(type(self).__name__, by_hand):
                self.fetch()
        for split, pictures in self.pictures.items():
            cache, _ = self.cache_of(split)
            if cache.skipped:
                names = ", ".join(cache.skipped.values())
                count = f"{len(cache.skipped):,} of {len(pictures):,}"
                print(f"{type(self).__name__}, {split}: {count} pictures are broken and skipped: {names}")

    def fetch(self) -> None:
        """Download the set to its root, in the form that its owners publish."""
        raise Refused(f"{type(self).__name__} is of your own pictures: there is nothing to download.")

    def _is_present(self) -> bool:
        try:
            return bool(self.source)
        except Refused:
            return False

    def load(self) -> tuple[FiniteItems, FiniteItems | None]:
        rows = {split: self._rows(split) for split in self.pictures}
        return rows["train"], rows.get("held_out")

    def identity(self, split: Split) -> tuple[Any, ...]:
        labels = repr([picture.label for picture in self.pictures[split]])
        return hashlib.sha256(labels.encode()).hexdigest(), self.cache_of(split)[1]

    def cache_of(self, split: Split) -> tuple[Cache, str]:
        """A split's decoded pictures, built now if need be, and a hash of names, contents and transform."""
        if split not in self._caches:
            files = self.pictures[split]
            names, sources = [file.name for file in files], [file.source for file in files if file.source]
            pictures = Pictures(self.source[0], names, self._keys(files), sources)
            title = f"{type(self).__name__}-{split}".lower()
            self._caches[split] = open_cache(
                pictures, self.transform, most_broken=self.most_broken, title=title
            )
        return self._caches[split]

    def _rows(self, split: Split) -> Rows:
        cache, _ = self.cache_of(split)
        labels = [p.label for index, p in enumerate(self.pictures[split]) if index not in cache.skipped]
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
    def pictures(self) -> dict[Split, list[PictureFile]]:
        """The pictures of each split that is not empty, in the order of their names."""
        pictures = sorted(self.source[1])
        set_has_split = any(picture.held_out for picture in pictures)
        parts: dict[Split, list[PictureFile]] = {"train": [], "held_out": []}
        for picture, key in zip(pictures, self._keys(pictures), strict=True):
            held_out = picture.held_out if set_has_split else uniform_number(key) < self.held_out
            parts["held_out" if held_out else "train"].append(picture)
        if not parts["train"]:
            raise Refused(
                f"{type(self).__name__}: all pictures in {readable(self.source[0].path)} are held out."
            )
        return {split: part for split, part in parts.items() if part}

    def _keys(self, pictures: list[PictureFile]) -> list[str]:
        """Names without the folder that all share, which are the same however the archive was packed."""
        return [picture.name.removeprefix(self._common_folder) for picture in pictures]

    @cached_property
    def _common_folder(self) -> str:
        return common_folder([picture.name for picture in self.source[1]])

    @cached_property
    def source(self) -> tuple[Archive, list[PictureFile]]:
        """The archive that holds the set, and all its pictures."""
        name, root = type(self).__name__, self.root
        with reading(root):
            where = os.path.realpath(root)
            if not root.exists():
                raise Refused(f"{name}: there is no {readable(where)}.\n{self._hint}")
            candidates = [(archive, self.find_pictures(archive)) for archive in self._archives(root)]
        candidates = [candidate for candidate in candidates if candidate[1]]
        if not candidates:
            raise Refused(f"{name}: no pictures in {readable(where)}.\n{self._hint}")
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


def is_held_out(name: str) -> bool:
    """Whether one of a file's folders has a name such as test or val."""
    return any(part.lower() in HELD_OUT for part in name.split("/")[:-1])


def uniform_number(key: str) -> float:
    """A number in [0, 1) that depends on the key alone, uniform over keys."""
    return int.from_bytes(hashlib.sha256(encoded_name(key)).digest()[:6], "big") / 2**48
