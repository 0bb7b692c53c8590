"""Images from elsewhere, which are scored as they are."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganlab.data.pictures.archive import is_picture, open_archive
from ganlab.data.pictures.cache import Pictures
from ganlab.data.pictures.decode import convert
from ganlab.errors import Refused
from ganlab.metrics.scorer import Batches
from ganlab.system.processes import shares

BATCH = 100


class GivenImages:
    """A folder or zip of pictures, or an npz of bytes of the shape (n, height, width, channels).

    Attributes:
        total: How many images there are.
        identity: What tells them from all others, as a contract names its data.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.array: np.ndarray | None = None
        if path.suffix == ".npz":
            array = _array(path)
            self.array, self.total = array, len(array)
            contents = hashlib.sha256(array.tobytes()).hexdigest()
        else:
            archive = open_archive(path)
            self.names = [name for name in archive.names if is_picture(name)]
            if not self.names:
                raise Refused(f"There are no pictures in {path}, and it is no run: a run has a config.yaml.")
            self.pictures = Pictures(archive, self.names, self.names)
            self.total, contents = len(self.names), self.pictures.content_digest(path.name)
        self.identity = {"class": "images", "split": "all", "fingerprint": contents}

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
            with Image.open(BytesIO(self.pictures.read(name))) as image:
                return torch.from_numpy(np.array(convert(image, 3))).movedim(-1, 0)
        # Any kind of error means a damaged file, as in decoding for the networks; but none is left out here.
        except Exception as error:
            raise Refused(f"{self.path / name} is no whole picture: {error}.") from error


def _array(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as file:
            array = file[file.files[0]]
    except (OSError, ValueError, IndexError, BadZipFile) as error:
        raise Refused(f"{path} is no npz of images: {error}.") from error
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] not in (1, 3):
        raise Refused(
            f"{path} holds {array.dtype} of the shape {array.shape}; images are uint8 of the shape\n"
            "(n, height, width, channels) with 1 or 3 channels."
        )
    return array
