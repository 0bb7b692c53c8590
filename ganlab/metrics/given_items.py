"""Items of any medium from elsewhere, read as the medium itself reads its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
from torch import Tensor

from ganlab import media
from ganlab.class_paths import public_path
from ganlab.data.pictures.archive import is_hidden
from ganlab.data.pictures.decode import Transparency
from ganlab.errors import Refused
from ganlab.media import Medium
from ganlab.metrics.given import Given
from ganlab.metrics.given_images import GivenImages
from ganlab.system.untrusted import readable, reason


def given(
    path: Path,
    medium: type[Medium],
    transparency: Transparency = "white",
    read: Callable[[bytes], Tensor] | None = None,
) -> Given:
    """What lies there, as items of a medium.

    Args:
        read: Makes an item of a file that is no picture; none: as the medium does.
        transparency: What becomes of transparent pictures.
    """
    is_pictures = issubclass(medium, media.Pictures)
    return GivenImages(path, transparency) if is_pictures else GivenItems(path, medium, read)


class GivenItems(Given):
    """A folder or zip of the files that a medium reads, or an npz of its items as `as_array` has them."""

    of = "items"

    def __init__(
        self, path: Path, medium: type[Medium], read: Callable[[bytes], Tensor] | None = None
    ) -> None:
        self.what, self.read = public_path(medium), read or medium.read
        super().__init__(path, medium)

    def checked(self, array: np.ndarray) -> np.ndarray:
        try:
            holds = array.size > 0 and self.medium.holds(self.medium.from_array(array))
        except (TypeError, ValueError):  # torch has no such numbers
            holds = False
        if not holds:
            raise Refused(
                f"{readable(self.path)} holds {array.dtype} of the shape {array.shape}; {self.what} takes\n"
                f"{self.medium.form}."
            )
        return array

    def is_one(self, name: str) -> bool:
        suffix = PurePosixPath(name).suffix.lower()
        return bool(suffix) and suffix == self.medium.suffix.lower() and not is_hidden(name)

    def no_files(self) -> str:
        path, suffix = readable(self.path), self.medium.suffix
        if not suffix:
            return f"{self.what} is not read from files as in {path}: take an npz of\n{self.medium.form}."
        return (
            f"There are no {suffix} files in {path}, which is read as {self.what}\n"
            "(--extractor), and it is no run: a run has a config.yaml."
        )

    def decoded(self, number: int) -> np.ndarray:
        name = self.names[number]
        try:
            item = self.read(self.files.read(name))[None]
            if not self.medium.holds(item):
                raise ValueError(f"it holds {item.dtype} of the shape {tuple(item.shape[1:])}")
            return self.medium.as_array(item)[0]
        except Refused:
            raise
        # A medium may be anybody's, and damaged files raise all kinds of errors.
        except Exception as error:
            where = readable(self.path / name)
            raise Refused(
                f"{where} is no whole {self.medium.suffix} of {self.what}: {reason(error)}."
            ) from error
