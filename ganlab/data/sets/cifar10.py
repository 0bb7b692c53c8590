from __future__ import annotations

import codecs
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torchvision import datasets

from ganlab.data.pictures.images import Images, data_folder, fetching
from ganlab.data.rows import Rows
from ganlab.errors import Refused
from ganlab.system.untrusted import reason

FOLDER, PACKED = "cifar-10-batches-py", "cifar-10-python.tar.gz"
SHAPE = (3, 32, 32)
LUMA = (0.299, 0.587, 0.114)  # Pillow's weights of red, green and blue


class CIFAR10(Images):
    """60,000 small photographs of ten classes (Krizhevsky 2009), read where torchvision puts them.

    That is <root>/cifar-10-batches-py, or the archive that it downloads, <root>/cifar-10-python.tar.gz.

    Args:
        root: The folder that holds the data set's; else $GANLAB_DATA, else ./data.
        channels: 1 turns the images grey.
        download: Download the files if they are missing.
    """

    classes = 10
    parts: ClassVar[dict[str, list[str]]] = {
        "train": [f"data_batch_{number}" for number in range(1, 6)],
        "held_out": ["test_batch"],
    }

    def __init__(
        self,
        *,
        root: str | None = None,
        size: Literal[32] = 32,
        channels: Literal[1, 3] = 3,
        download: bool = False,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.shape = (channels, size, size)
        self.root, self.download = data_folder(root), download

    def prepare_data(self) -> None:
        if not self.download or (self.root / FOLDER).is_dir() or (self.root / PACKED).is_file():
            return
        with fetching("CIFAR10", f"By other means put {PACKED} into {self.root.resolve()}."):
            datasets.CIFAR10(self.root, download=True)

    def load(self) -> tuple[Rows, Rows]:
        files = self._files()
        train, held_out = (self._rows([files[name] for name in names]) for names in self.parts.values())
        return train, held_out

    def _files(self) -> dict[str, bytes]:
        folder, packed = self.root / FOLDER, self.root / PACKED
        names = [name for part in self.parts.values() for name in part]
        try:
            if folder.is_dir():
                return {name: read_file(folder / name) for name in names}
            if not packed.is_file():
                raise FileNotFoundError(packed)
            with tarfile.open(packed) as archive:
                return {name: _member(archive, f"{FOLDER}/{name}") for name in names}
        except FileNotFoundError as error:
            raise Refused(
                f"CIFAR10 needs {FOLDER}/ or {PACKED}, whole, in {self.root.resolve()}.\n"
                "Name the folder that holds it by --data.root (or $GANLAB_DATA),\n"
                "or let --data.download true fetch it."
            ) from error
        # Damaged archives raise all kinds of errors.
        except Exception as error:
            where = folder if folder.is_dir() else packed
            raise Refused(f"{where} is damaged: {reason(error)}.\nDelete it and fetch it again.") from error

    def _rows(self, files: list[bytes]) -> Rows:
        images, labels = zip(*map(self._batch, files), strict=True)
        pixels = torch.cat(images).movedim(1, -1)
        if self.shape[0] == 1:
            pixels = (pixels.float() @ torch.tensor(LUMA)).round().to(torch.uint8)[..., None]
        return Rows(pixels.contiguous(), torch.cat(labels))

    def _batch(self, content: bytes) -> tuple[torch.Tensor, torch.Tensor]:
        try:
            batch = ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
            images = torch.from_numpy(np.array(batch[b"data"], np.uint8)).reshape(-1, *SHAPE)
            labels = torch.tensor(batch[b"labels"])
            if len(labels) != len(images):
                raise ValueError(f"{len(images)} pictures and {len(labels)} labels")
        # Damaged pickles raise all kinds of errors.
        except Exception as error:
            raise Refused(
                f"A file of CIFAR10 in {self.root.resolve()} is damaged: {reason(error)}.\n"
                "Delete it and fetch it again."
            ) from error
        return images, labels


class ArrayUnpickler(pickle.Unpickler):
    """Reads plain data and NumPy arrays, and refuses to call anything else that a pickle names."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):  # How newer Pythons write bytes.
            return codecs.encode
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return np.zeros(0).__reduce__()[0]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")


def read_file(path: Path) -> bytes:
    """A file's bytes; FileNotFoundError for a pipe or a device, too."""
    if not path.is_file():
        raise FileNotFoundError(path)
    return path.read_bytes()


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()
