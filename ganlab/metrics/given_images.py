"""Images from elsewhere, which are scored as they are."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ganlab import media
from ganlab.data.pictures.archive import is_picture
from ganlab.data.pictures.decode import VERSION, Broken, Transparency, convert, is_transparent, opened
from ganlab.errors import Refused
from ganlab.media.pictures import DRAWN
from ganlab.metrics.given import DIGEST_SIZE, Given
from ganlab.system.cache_folder import cache_home, read_cached, write_cached
from ganlab.system.processes import everyones, rank_and_world
from ganlab.system.untrusted import readable, reason

TRANSPARENCIES: dict[Transparency, tuple[str, str]] = {
    "white": ("they are laid on white", "torch-fidelity takes their colours alone: --transparency drop"),
    "drop": ("their colours alone are taken", "--transparency white lays them on white"),
}


class GivenImages(Given):
    """A folder or zip of pictures, or an npz of bytes of the shape (n, height, width, channels).

    Args:
        transparency: What becomes of transparent pictures: laid on white, or their colours alone, whatever
            lies behind, as torch-fidelity and pytorch-fid take them.

    Attributes:
        transparent: The numbers of the transparent pictures among those that were read.
    """

    what, of = "images", "pixels"

    def __init__(self, path: Path, transparency: Transparency = "white") -> None:
        self.transparency = transparency
        self.transparent: set[int] = set()
        super().__init__(path, media.Pictures)

    def checked(self, array: np.ndarray) -> np.ndarray:
        images = media.Pictures.from_array(array) if array.dtype == np.uint8 and array.size else None
        if images is None or not media.Pictures.holds(images) or images.shape[1] not in DRAWN:
            raise Refused(
                f"{readable(self.path)} holds {array.dtype} of the shape {array.shape}; images are uint8 of\n"
                "the shape (n, height, width, channels) with 1 or 3 channels."
            )
        return array

    def is_one(self, name: str) -> bool:
        return is_picture(name)

    def no_files(self) -> str:
        return (
            f"There are no pictures in {readable(self.path)}, and it is no run: a run has a config.yaml.\n"
            "Files of another medium are read for an extractor that takes it (--extractor)."
        )

    def identity_of_files(self) -> dict[str, Any]:
        return {"transparency": self.transparency}

    def decoded_digests(self) -> list[bytes]:
        """From the cache, if the files have not changed since they were read."""
        stamp = json.dumps([self.files.archive.stamp(self.names), self.names, self.transparency, VERSION])
        known = cache_home() / "known" / hashlib.sha256(stamp.encode()).hexdigest()
        if (content := read_cached(known)) is None:
            digests = super().decoded_digests()
            transparent = np.array(sorted(self.transparent), "<u8").tobytes()
            content = b"".join(digests) + transparent
            write_cached(known, content)
        middle = self.total * DIGEST_SIZE
        self.transparent = set(np.frombuffer(content[middle:], "<u8").tolist())
        return [content[start : start + DIGEST_SIZE] for start in range(0, middle, DIGEST_SIZE)]

    def decoded(self, number: int) -> np.ndarray:
        name = self.names[number]
        try:
            with opened(self.files.read(name)) as image:
                if is_transparent(image):
                    self.transparent.add(number)
                return np.array(convert(image, 3, self.transparency))
        except Broken as error:  # For the networks it would be left out; from a score none is.
            raise Refused(f"{readable(self.path / name)} is no whole picture: {reason(error)}.") from error

    def told_transparency(self) -> Transparency | None:
        """What became of transparent pictures, said once all were read; None if there were none."""
        count = len(set().union(*everyones(self.transparent)))
        if not count:
            return None
        how, other = TRANSPARENCIES[self.transparency]
        if rank_and_world()[0] == 0:
            print(
                f"ganlab: {count:,} of {self.total:,} pictures of {readable(self.path.name)} are transparent:"
                f" {how}.\nThe contract says so; {other}.",
                file=sys.stderr,
            )
        return self.transparency
