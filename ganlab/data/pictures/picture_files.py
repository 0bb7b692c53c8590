"""Sets of picture files in a folder or a zip, which are decoded once, into a cache."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Literal, cast

from ganlab import bounds
from ganlab.data.order import Items
from ganlab.data.pictures.decode import Broken, Transform, opened
from ganlab.data.pictures.file_sets import FileSet
from ganlab.data.pictures.images import MOST_PIXELS, Images
from ganlab.data.rows import Rows


class PictureFiles(FileSet, Images):
    """The base class of sets of picture files. A subclass lists its pictures in `find_files`.

    Args:
        size: Height and width.
        load_size: Height and width of what pictures are resized to, if it is more than `size`: training cuts
            them out at random places, and all else is shown the middle.
        channels: 1: grey; 3: colour; 4: with transparency.
    """

    what = "pictures"
    transform: Transform

    def __init__(
        self, *, size: int = 64, load_size: int | None = None, channels: Literal[1, 3, 4] = 3, **base: Any
    ) -> None:
        super().__init__(**base)
        bounds.between(1, MOST_PIXELS, self, size=size)
        bounds.between(size, MOST_PIXELS, self, load_size=load_size)
        self.load_size = load_size
        self.transform = Transform(load_size or size, channels)
        self.rows = partial(Rows, size=size)
        self.shape = (channels, size, size)

    @property
    def _streamed(self) -> Items:
        return cast(Rows, self.splits.train).whole()

    def span(self, contents: Iterable[bytes]) -> str:
        sizes = set()
        for content in contents:
            with suppress(Broken), opened(content) as image:
                sizes.add(image.size)
        (least, most) = min(sizes, default=(0, 0)), max(sizes, default=(0, 0))
        return (
            f"{least[0]} x {least[1]}" + (f" to {most[0]} x {most[1]}" if least != most else "") + " pixels"
        )
