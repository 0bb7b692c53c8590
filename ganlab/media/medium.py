"""What all media have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from ganlab.class_paths import public_path
from ganlab.errors import Refused


class Medium(ABC):
    """What a column of the data holds, told in one place: nobody else asks whether samples are pictures.

    Tensors have a row for each item. `stored` they are as data, files, scores and people have them, such as
    bytes; `played` as networks take and make them, such as numbers in [-1, 1].

    Args:
        shape: Of one item as it is played.

    Attributes:
        form: What stored items are, for messages.
        suffix: Of a file that holds one item; empty if there is no such file. Where it is `.wav`, `.txt` or
            `.gif` runs keep the first samples in such files, and loggers and reports play or show them.
        array: What items are called in an .npz.
        several_a_file: Whether one file of the suffix may hold many items, as a text has a line for each.
    """

    form: ClassVar[str]
    suffix: ClassVar[str] = ""
    array: ClassVar[str] = "samples"
    several_a_file: ClassVar[bool] = False

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = tuple(shape)

    @abstractmethod
    def played(self, stored: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Items as networks play with them; numbers of floating point become those of `dtype`."""

    @abstractmethod
    def stored(self, items: Tensor) -> Tensor:
        """Items as data have them; those that are stored already stay as they are."""

    @classmethod
    @abstractmethod
    def holds(cls, items: Tensor) -> bool:
        """Whether these can be stored items of this medium."""

    def blank(self) -> Tensor:
        """One stored item of nothing but zeros."""
        return self.stored(torch.zeros(1, *self.shape))

    @property
    def drawable(self) -> bool:
        """Whether people can be shown a sheet of items."""
        return False

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the classes of which each item has one, else of their numbers; empty where items have none."""
        return ()

    def sheet(self, items: Tensor, columns: int | None = None) -> Image:
        """Many items, stored or played, as one picture, which is nearly square if no columns are given."""
        raise Refused(
            f"Samples of the shape {self.shape} are no pictures, and nobody knows how to draw them.\n"
            "Take a file.npz."
        )

    def captioned(self, items: Tensor, captions: Sequence[str] | None, columns: int | None = None) -> Image:
        """The sheet with a few words to each item, where the medium has a place for them."""
        return self.sheet(items, columns)

    def film(self, items: Tensor, columns: int | None = None) -> tuple[list[Image], float] | None:
        """A sheet that moves: its pictures, and how many are shown a second. None where items stand still."""
        return None

    def captions(self, stored: Tensor) -> list[str] | None:
        """What each stored item is, in a few words; None where words do not tell it."""
        return None

    def write(self, path: Path, item: Tensor) -> None:
        """One stored item to a file."""
        raise Refused(f"Samples of the shape {self.shape} are no pictures: take a file.npz.")

    @classmethod
    def read(cls, content: bytes) -> Tensor:
        """The stored item of a file of this content, as `write` wrote it."""
        raise Refused(f"{public_path(cls)} does not say how it is read from files: take an npz.")

    def write_all(self, path: Path, blocks: Iterable[Tensor]) -> None:
        """Many stored items, block by block, to one file of the suffix."""
        raise Refused(f"{public_path(type(self))} does not write several items to one file: take a folder.")

    @classmethod
    def read_all(cls, content: bytes) -> Tensor:
        """The stored items of a file of this content, as `write_all` wrote it."""
        raise Refused(f"{public_path(cls)} does not read several items from one file: take a folder.")

    @classmethod
    def as_array(cls, stored: Tensor) -> np.ndarray:
        """Stored items as they lie in an .npz."""
        return stored.cpu().numpy()

    @classmethod
    def from_array(cls, array: np.ndarray) -> Tensor:
        """The same items, from an .npz."""
        return torch.from_numpy(array)

    def plain(self) -> dict[str, Any]:
        """Its class path and arguments, without data, as files have them."""
        return {"class_path": public_path(type(self)), "init_args": {"shape": list(self.shape)}}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value}" for name, value in self.plain()["init_args"].items())
        return f"{type(self).__name__}({arguments})"
