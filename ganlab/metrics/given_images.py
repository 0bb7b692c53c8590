"""Images from elsewhere, which are scored as they are."""

from __future__ import annotations

import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
import torch
from torch import Tensor

from ganlab import media
from ganlab.data.pictures.archive import is_picture, open_archive, reading
from ganlab.data.pictures.cache import Pictures
from ganlab.data.pictures.decode import VERSION, Broken, Transparency, convert, is_transparent, opened
from ganlab.data.pictures.picture_files import common_folder
from ganlab.errors import Refused
from ganlab.media.pictures import DRAWN
from ganlab.metrics.observed import Classes
from ganlab.metrics.scorer import Batches
from ganlab.system.cache_folder import cache_home, read_cached, write_cached
from ganlab.system.hardware import free_memory
from ganlab.system.processes import everyones, rank_and_world, shares
from ganlab.system.untrusted import readable, reason

BATCH = 100
MOST_DECODED = 1 << 29  # bytes of files that are decoded to be told from others: a minute on a slow core
DIGEST_SIZE = hashlib.sha256().digest_size
TRANSPARENCIES: dict[Transparency, tuple[str, str]] = {
    "white": ("they are laid on white", "torch-fidelity takes their colours alone: --transparency drop"),
    "drop": ("their colours alone are taken", "--transparency white lays them on white"),
}


class GivenImages:
    """A folder or zip of pictures, or an npz of bytes of the shape (n, height, width, channels).

    Args:
        transparency: What becomes of transparent pictures: laid on white, or their colours alone, whatever
            lies behind, as torch-fidelity and pytorch-fid take them.

    Attributes:
        total: How many images there are.
        transparent: The numbers of the transparent pictures among those that were read.
    """

    def __init__(self, path: Path, transparency: Transparency = "white") -> None:
        self.path, self.transparency = path, transparency
        with reading(path):
            if not path.exists():
                raise Refused(f"There is no {readable(path)}.")
        self.array: np.ndarray | None = None
        self.transparent: set[int] = set()
        if path.suffix.lower() == ".npz":
            self.array = _array(path)
            self.total = len(self.array)
            return
        archive = open_archive(path)
        self.names = [name for name in archive.names if is_picture(name)]
        if not self.names:
            raise Refused(
                f"There are no pictures in {readable(path)}, and it is no run: a run has a config.yaml."
            )
        self.pictures = Pictures(archive, self.names, self.names)
        self.total = len(self.names)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What tells them from all others, as a contract names its data: their pixels, in any order.

        Of many bytes of files it is the files: to decode all, twice, would take too long.
        """
        images = {"class": "images", "split": "all"}
        if self._digests is None:
            title = readable(self.path.name)
            contents = self.pictures.content_digest(title)
            print(
                f"ganlab: {title} is larger than {MOST_DECODED >> 20} MiB and is known by its files: the same"
                " pixels in files\nof other names or formats cannot be told equal.",
                file=sys.stderr,
            )
            return images | {"of": "files", "fingerprint": contents, "transparency": self.transparency}
        contents = hashlib.sha256(b"".join(sorted(self._digests))).hexdigest()
        return images | {"of": "pixels", "fingerprint": contents}

    @cached_property
    def _digests(self) -> list[bytes] | None:
        """Of each image that of its shape and pixels; None of files that are too large to decode for it."""
        if self.array is not None:
            return [_digest(image) for image in self.array]
        archive = self.pictures.archive
        if _size(archive.path, self.names) > MOST_DECODED:
            return None
        stamp = json.dumps([archive.stamp(self.names), self.names, self.transparency, VERSION])
        known = cache_home() / "known" / hashlib.sha256(stamp.encode()).hexdigest()
        if (content := read_cached(known)) is None:
            with ThreadPoolExecutor() as pool:
                digests = list(pool.map(lambda n: _digest(self._pixels(n)), range(self.total)))
            transparent = np.array(sorted(self.transparent), "<u8").tobytes()
            content = b"".join(digests) + transparent
            write_cached(known, content)
        middle = self.total * DIGEST_SIZE
        self.transparent = set(np.frombuffer(content[middle:], "<u8").tolist())
        return [content[start : start + DIGEST_SIZE] for start in range(0, middle, DIGEST_SIZE)]

    @property
    def classes(self) -> Classes | None:
        """The folders of pictures that lie in a folder for each class; None of others and of arrays."""
        if self.array is not None:
            return None
        start = len(common_folder(self.names))
        folders = [name[start:].split("/")[:-1] for name in self.names]
        if not all(folders):
            return None
        names = sorted({folder[0] for folder in folders})
        return Classes(tuple(names), torch.tensor([names.index(folder[0]) for folder in folders]))

    def batches(self) -> Batches:
        """This process's share, as pairs of indices and images; images of one batch have one size."""
        return self._batches(torch.arange(self.total))

    def sorted_batches(self) -> Batches:
        """The same with indices that follow from the pixels, where `identity` knows these, not from names.

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
        """The images' numbers by their pixels, where `identity` knows these."""
        if self._digests is None:
            return torch.arange(self.total)
        return torch.tensor(sorted(range(self.total), key=self._digests.__getitem__))

    def _batches(self, indices: Tensor) -> Batches:
        for numbers in shares(self.total, BATCH):
            if self.array is not None:
                yield indices[numbers], media.Pictures.from_array(self.array[numbers.numpy()])
                continue
            by_shape: dict[tuple[int, ...], list[tuple[int, Tensor]]] = {}
            for number in numbers.tolist():
                image = torch.from_numpy(self._pixels(number)).movedim(-1, 0)
                by_shape.setdefault(tuple(image.shape), []).append((number, image))
            for numbered in by_shape.values():
                some, images = zip(*numbered, strict=True)
                yield indices[torch.tensor(some)], torch.stack(images)

    def _pixels(self, number: int) -> np.ndarray:
        name = self.names[number]
        try:
            with opened(self.pictures.read(name)) as image:
                if is_transparent(image):
                    self.transparent.add(number)
                return np.array(convert(image, 3, self.transparency))
        except Broken as error:  # For the networks it would be left out; from a score none is.
            raise Refused(f"{readable(self.path / name)} is no whole picture: {reason(error)}.") from error

    def told_transparency(self) -> Transparency | None:
        """What became of transparent pictures, said once all were read; None if there were none."""
        count = len(set().union(*everyones(self.transparent)))
        if not count:
            return None
        how, other = TRANSPARENCIES[self.transparency]
        if rank_and_world()[0] == 0:
            print(
                f"ganlab: {count:,} of {self.total:,} pictures of {readable(self.path.name)} are transparent:"
                f" {how}.\nThe contract says so; {other}.",
                file=sys.stderr,
            )
        return self.transparency


def _digest(image: np.ndarray) -> bytes:
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest()


def _size(path: Path, names: list[str]) -> int:
    """The bytes of a zip, or of the files of these names in a folder."""
    with reading(path):
        return sum((path / name).stat().st_size for name in names) if path.is_dir() else path.stat().st_size


def _array(path: Path) -> np.ndarray:
    array = _first_array(path)
    images = media.Pictures.from_array(array) if array.dtype == np.uint8 and array.size else None
    if images is None or not media.Pictures.holds(images) or images.shape[1] not in DRAWN:
        raise Refused(
            f"{readable(path)} holds {array.dtype} of the shape {array.shape}; images are uint8 of\n"
            "the shape (n, height, width, channels) with 1 or 3 channels."
        )
    return array


def _first_array(path: Path) -> np.ndarray:
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
        raise Refused(f"{readable(path)} is no npz of images: {why}.") from error
