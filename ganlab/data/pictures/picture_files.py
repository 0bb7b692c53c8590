"""Sets of picture files in a folder or a zip, which are decoded once, into a cache."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Literal

from ganlab import bounds
from ganlab.data.pictures.decode import Broken, Transform, opened
from ganlab.data.pictures.file_sets import FileSet
from ganlab.data.pictures.images import MOST_PIXELS, Images


class PictureFiles(FileSet, Images):
    """The base class of sets of picture files. A subclass lists its pictures in `find_files`.

    Args:
        size: Height and width.
        channels: 1: grey; 3: colour; 4: with transparency.
    """

    what = "pictures"
    transform: Transform

    def __init__(self, *, size: int = 64, channels: Literal[1, 3, 4] = 3, **base: Any) -> None:
        super().__init__(**base)
        bounds.between(1, MOST_PIXELS, self, size=size)
        self.transform = Transform(size, channels)
        self.shape = (channels, size, size)

    def span(self, contents: Iterable[bytes]) -> str:
        sizes = set()
        for content in contents:
            with suppress(Broken), opened(content) as image:
                sizes.add(image.size)
        (least, most) = min(sizes, default=(0, 0)), max(sizes, default=(0, 0))
        return (
            f"{least[0]} x {least[1]}" + (f" to {most[0]} x {most[1]}" if least != most else "") + " pixels"
        )
