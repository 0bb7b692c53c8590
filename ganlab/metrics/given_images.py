"""Images from elsewhere, which are scored as they are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from zipfile import is_zipfile

import numpy as np
import torch
from torch import Tensor

from ganlab.data.pictures.archive import is_picture, open_archive, reading
from ganlab.data.pictures.cache import Pictures
from ganlab.data.pictures.decode import Broken, convert, opened
from ganlab.data.pictures.picture_files import common_folder
from ganlab.errors import Refused
from ganlab.metrics.registry import Classes
from ganlab.metrics.scorer import Batches
from ganlab.system.hardware import free_memory
from ganlab.system.processes import shares
from ganlab.system.untrusted import readable, reason

BATCH = 100


class GivenImages:
    """A folder or zip of pictures, or an npz of bytes of the shape (n, height, width, channels).

    Attributes:
        total: How many images there are.
        identity: What tells them from all others, as a contract names its data.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path):
            if not path.exists():
                raise Refused(f"There is no {readable(path)}.")
        self.array: np.ndarray | None = None
        if path.suffix.lower() == ".npz":
            array = _array(path)
            self.array, self.total = array, len(array)
            contents = hashlib.sha256(array.tobytes()).hexdigest()
        else:
            archive = open_archive(path)
            self.names = [name for name in archive.names if is_picture(name)]
            if not self.names:
                raise Refused(
                    f"There are no pictures in {readable(path)}, and it is no run: a run has a config.yaml."
                )
            self.pictures = Pictures(archive, self.names, self.names)
            self.total, contents = len(self.names), self.pictures.content_digest(readable(path.name))
        self.identity = {"class": "images", "split": "all", "fingerprint": contents}

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
        for index in shares(self.total, BATCH):
            if self.array is not None:
                yield index, torch.from_numpy(self.array[index.numpy()]).movedim(-1, 1)
                continue
            by_shape: dict[tuple[int, ...], list[tuple[int, Tensor]]] = {}
            for number in index.tolist():
                image = self._decoded(self.names[number])
                by_shape.setdefault(tuple(image.shape), []).append((number, image))
            for numbered in by_shape.values():
                numbers, images = zip(*numbered, strict=True)
                yield torch.tensor(numbers), torch.stack(images)

    def _decoded(self, name: str) -> Tensor:
        try:
            with opened(self.pictures.read(name)) as image:
                return torch.from_numpy(np.array(convert(image, 3))).movedim(-1, 0)
        except Broken as error:  # For the networks it would be left out; from a score none is.
            raise Refused(f"{readable(self.path / name)} is no whole picture: {reason(error)}.") from error


def _array(path: Path) -> np.ndarray:
    array = _first_array(path)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] not in (1, 3) or not array.size:
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
