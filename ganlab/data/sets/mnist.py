"""MNIST and the sets that come in its format: 28 x 28 grey bytes of ten classes in four idx files."""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision import datasets

from ganlab.data.pictures.images import Images, data_folder, fetching
from ganlab.data.rows import Rows
from ganlab.data.stream import Split
from ganlab.errors import Refused
from ganlab.system.untrusted import reason

SIDE = 28
EMNIST_CLASSES = {"byclass": 62, "bymerge": 47, "balanced": 47, "letters": 26, "digits": 10, "mnist": 10}


class MNIST(Images):
    """Handwritten digits (LeCun et al. 1998), read where torchvision puts them: <root>/MNIST/raw.

    Nothing is written beside the files: gzipped ones stay gzipped, and the folder may be read-only.

    Args:
        root: The folder that holds the data set's; else $GANLAB_DATA, else ./data.
        size: 32 pads the 28 x 28 pixels with background.
        channels: 3 repeats the grey values.
        download: Download the files if they are missing.
    """

    classes: int | None = 10
    source: ClassVar[type[datasets.MNIST]] = datasets.MNIST
    options: dict[str, str] = {}  # noqa: RUF012
    prefixes: tuple[str, str] = ("train", "t10k")

    def __init__(
        self,
        *,
        root: str | None = None,
        size: Literal[28, 32] = 28,
        channels: Literal[1, 3] = 1,
        download: bool = False,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.size, self.channels = size, channels
        self.shape = (channels, size, size)
        self.root = data_folder(root)
        self.download = download

    def prepare_data(self) -> None:
        names = [name for prefix in self.prefixes for name in self._names(prefix)]
        if not self.download or all(self._existing_path(name) for name in names):
            return
        by_hand = f"By other means put {', '.join(names)} (.gz)\ninto {self._folder.resolve()}."
        with fetching(self.source.__name__, by_hand):
            self.source(self.root, **self.options, download=True)

    def load(self) -> tuple[Rows, Rows]:
        train, held_out = map(self._read, self.prefixes)
        return train, held_out

    @property
    def _folder(self) -> Path:
        return self.root / self.source.__name__ / "raw"

    def _existing_path(self, name: str) -> Path | None:
        paths = (self._folder / name, self._folder / f"{name}.gz")
        return next((path for path in paths if path.is_file()), None)

    def _path(self, name: str) -> Path:
        if path := self._existing_path(name):
            return path
        kind = self.source.__name__
        raise Refused(
            f"{kind} needs {name} or {name}.gz, but there is none in {self._folder.resolve()}.\n"
            f"Name the folder that holds {kind}/raw by --data.root (or $GANLAB_DATA),\n"
            "or let --data.download true fetch the files."
        )

    def _names(self, prefix: str) -> tuple[str, str]:
        return f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"

    def _read(self, prefix: str) -> Rows:
        paths = [self._path(name) for name in self._names(prefix)]
        images, labels = map(read_idx, paths)
        if images.shape[1:] != (SIDE, SIDE) or labels.shape != images.shape[:1]:
            raise Refused(
                f"{paths[0]} and {paths[1].name} do not belong together: they hold arrays of the shapes\n"
                f"{tuple(images.shape)} and {tuple(labels.shape)}, not (n, {SIDE}, {SIDE}) and (n,)."
            )
        return Rows(self._pad_and_repeat(images), labels.long())

    def _pad_and_repeat(self, images: Tensor) -> Tensor:
        """n x size x size x channels, from n x 28 x 28."""
        images = pad(images, [(self.size - SIDE) // 2] * 4)[..., None]
        return images.expand(-1, -1, -1, self.channels).contiguous()


class FashionMNIST(MNIST):
    """Pieces of clothing (Xiao et al. 2017, arXiv:1708.07747) in MNIST's format: <root>/FashionMNIST/raw."""

    source = datasets.FashionMNIST


class KMNIST(MNIST):
    """Cursive Japanese characters (Clanuwat et al. 2018, arXiv:1812.01718): <root>/KMNIST/raw."""

    source = datasets.KMNIST


class EMNIST(MNIST):
    """Handwritten letters and digits (Cohen et al. 2017, arXiv:1702.05373): <root>/EMNIST/raw.

    Args:
        split: Which of its six parts.
    """

    source = datasets.EMNIST

    def __init__(
        self,
        *,
        split: Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"] = "balanced",
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.options = {"split": split}
        self.prefixes = f"emnist-{split}-train", f"emnist-{split}-test"
        self.classes = EMNIST_CLASSES[split]

    def _read(self, prefix: str) -> Rows:
        rows = super()._read(prefix)
        assert rows.labels is not None
        # The files hold transposed images, and letters are counted from 1.
        return Rows(rows.images.transpose(1, 2).contiguous(), rows.labels - int(self.classes == 26))

    def identity(self, split: Split) -> tuple[Any, ...]:
        return *self.options.values(), *super().identity(split)


def read_idx(path: Path) -> Tensor:
    """The bytes of an idx file: two zeros, 8 for bytes, the number of axes, the length of each, the bytes."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise _damaged(path, reason(error)) from error
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise _damaged(path, "it does not begin as an idx file of bytes does")
    start = 4 + 4 * content[3]
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    if len(content) != start + prod(shape):
        raise _damaged(path, f"it should hold {start + prod(shape)} bytes and holds {len(content)}")
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy())


def _damaged(path: Path, reason: str) -> Refused:
    return Refused(
        f"{path} is damaged: {reason}.\nDelete it and fetch it again, for example with --data.download true."
    )
