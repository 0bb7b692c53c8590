"""Checksums of pictures that are mapped from a file, each compared when its picture is first read.

They find what disks and copying do to a file: zeros, flipped bits, blocks in each other's place. They are no
protection against somebody who wants them to fit.
"""

from __future__ import annotations

from functools import cache
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganlab.errors import Failed

BLOCK = 2**22  # bytes that are compared at once: few enough to stay in a processor's own memory


class Damaged(Failed):
    """A file of the cache holds other bytes than were written to it."""

    def __init__(self, message: str) -> None:
        # What is raised in a loader's worker comes from it with the worker's traceback before it.
        super().__init__(message.rpartition(f"{type(self).__name__}: ")[2])


@cache
def _weights(count: int) -> np.ndarray:
    # Odd, so that a change of one word always changes the sum; raw, the same in all versions of NumPy.
    return np.random.PCG64(0).random_raw(count) | np.uint64(1)


def checksums(images: np.ndarray) -> np.ndarray:
    """Of each image a number that differs if any byte does, or their order; 30 GB/s."""
    rows = images.reshape(len(images), prod(images.shape[1:]))
    if extra := -rows.shape[1] % 8:
        rows = np.pad(rows, ((0, 0), (0, extra)))
    words = np.ascontiguousarray(rows).view("<u8")
    return np.einsum("ij,j->i", words, _weights(words.shape[1]))


class Checksums:
    """What the checksums of a file's pictures should be, and which pictures this process has compared.

    Args:
        path: The file, which is removed once it is known to be damaged: it is a copy that can be made again.
    """

    def __init__(self, path: Path, expected: np.ndarray) -> None:
        self.path, self.expected = path, expected
        self._compared = np.zeros(len(expected), bool)

    def compare(self, positions: Tensor, images: Tensor) -> None:
        """Compare those that were not before; Damaged if one is wrong."""
        chosen, rows = positions.numpy(), images.numpy()
        new = ~self._compared[chosen]
        if not new.any():
            return
        if not new.all():
            chosen, rows = chosen[new], rows[new]
        wrong = chosen[checksums(rows) != self.expected[chosen]]
        if len(wrong):
            raise self._damaged(int(wrong[0]), rows[0].nbytes)
        self._compared[chosen] = True

    def compare_all(self, images: Tensor) -> None:
        size = max(1, BLOCK // max(1, images[0].nbytes))
        for positions in torch.arange(len(images)).split(size):
            self.compare(positions, images[positions[0] : positions[-1] + 1])

    def _damaged(self, number: int, size: int) -> Damaged:
        removed = "It was only a copy, and is removed"
        try:
            with self.path.open("rb") as file:
                file.seek(number * size)
                row = np.frombuffer(file.read(size), np.uint8)
            # Otherwise another process has made it again already.
            if len(row) < size or checksums(row[None])[0] != self.expected[number]:
                self.path.unlink()
        except FileNotFoundError:
            pass
        except OSError:
            removed = "It is only a copy: remove it"
        return Damaged(
            f"{self.path} is damaged: image {number:,} holds other bytes than were written.\n"
            f"{removed}. Run the same again (a run goes on by --resume): it is made anew."
        )
