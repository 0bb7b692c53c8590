"""Images of sets that are no picture files, kept in the cache and mapped from there."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from ganlab.data.checksums import Checksums, checksums
from ganlab.data.rows import map_file
from ganlab.system.atomic_file import atomic_write
from ganlab.system.cache_folder import _writing, cache_home

ROWS = 4096  # images that are compared at once


def array_file(images: Tensor, key: str) -> tuple[Path, Checksums]:
    """A file in the cache that holds these bytes, written now if there is none, and its images' checksums."""
    path = cache_home() / "arrays" / f"{key[:16]}.bin"
    if not _holds(path, images):
        with _writing(path.parent), atomic_write(path) as temporary:
            images.contiguous().numpy().tofile(temporary)
    return path, Checksums(path, checksums(images.numpy()))


def _holds(path: Path, images: Tensor) -> bool:
    """Whether a file holds these bytes; if it holds others, that is said."""
    if not path.is_file():
        return False
    if path.stat().st_size == images.nbytes:
        parts = zip(map_file(path, images.shape).split(ROWS), images.split(ROWS), strict=True)
        if all(torch.equal(written, expected) for written, expected in parts):
            return True
    print(f"ganlab: {path} is damaged, and is made anew.", file=sys.stderr)
    return False
