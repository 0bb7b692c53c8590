"""From a picture's file to the pixels that networks are trained on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps
from PIL.Image import Resampling

from ganlab.system.untrusted import reason

Transparency = Literal["white", "drop"]
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
MAX_PIXELS = 100_000_000  # more can only be meant to fill the memory
# Pillow knows a file by its contents, whatever its name, and runs Ghostscript on PostScript.
# TGA, which has no mark of its own, is tried last.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "AVIF", "TGA")
VERSION = 1  # to be raised by every change of the pixels that `Transform` returns


class Broken(Exception):
    """A picture that cannot be used; the message says why."""


class Unfit(Broken):
    """A whole picture that contradicts what its set was said to be: it is refused, and never skipped."""


@dataclass(frozen=True)
class Transform:
    """A square from the middle, resized with antialiasing (bicubic).

    Attributes:
        crop: The square's side as a share of the picture's width; never more than its shorter side.
    """

    size: int
    channels: int
    crop: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.size, self.size, self.channels

    def identity(self) -> dict[str, Any]:
        return asdict(self) | {"resize": "bicubic, antialias", "version": VERSION}

    def __call__(self, content: bytes, /) -> np.ndarray:
        """The pixels of an encoded picture as bytes, channels last."""
        with opened(content) as file:
            return self._square(convert(ImageOps.exif_transpose(file), self.channels))

    def _square(self, image: Image.Image, how: Resampling = Resampling.BICUBIC) -> np.ndarray:
        side = max(1, min(image.width, image.height, round(image.width * self.crop)))
        image = _middle(image, (side, side), (self.size, self.size), how)
        return np.asarray(image).reshape(self.size, self.size, -1)


def fitted(image: Image.Image, width: int, height: int, how: Resampling = Resampling.BICUBIC) -> Image.Image:
    """The largest part from its middle that has these proportions, resized to these pixels as data are."""
    across = min(image.width, round(image.height * width / height))
    down = min(image.height, round(image.width * height / width))
    return _middle(image, (max(1, across), max(1, down)), (width, height), how)


def _middle(image: Image.Image, part: tuple[int, int], size: tuple[int, int], how: Resampling) -> Image.Image:
    left, top = round((image.width - part[0]) / 2), round((image.height - part[1]) / 2)
    # Crop first: a resize with a box would blend in pixels from outside the box.
    image = image.crop((left, top, left + part[0], top + part[1]))
    return image.resize(size, how)


@contextmanager
def opened(content: bytes) -> Iterator[Image.Image]:
    """The picture in a file of one of FORMATS; whatever fails while it is used raises Broken."""
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]
    try:
        with Image.open(BytesIO(content), formats=known) as file:
            if file.width * file.height > MAX_PIXELS:
                raise Broken(f"{file.width} x {file.height} pixels would fill the memory")
            yield file
    except Broken:
        raise
    # Pillow reads many formats, and raises all kinds of errors for damaged files.
    except Exception as error:
        raise Broken(why_broken(error)) from error


def why_broken(error: Exception) -> str:
    return "no picture" if isinstance(error, Image.UnidentifiedImageError) else reason(error)


def is_transparent(image: Image.Image) -> bool:
    """Whether a pixel is, at least a little."""
    has_alpha = "A" in image.getbands() or "transparency" in image.info
    # Of 16-bit grey Pillow reads no transparency.
    return (
        has_alpha
        and image.mode[0] != "I"
        and image.convert("RGBA").getchannel("A").getextrema() != (255, 255)
    )


def convert(image: Image.Image, channels: int, transparency: Transparency = "white") -> Image.Image:
    """A picture of any mode as one of MODES; without alpha it is laid on white, or alpha dropped."""
    if image.mode == "F":
        raise Broken("its pixels are fractions, whose range nobody knows")
    if image.mode.startswith("I"):
        numbers = np.asarray(image)
        if numbers.min() < 0 or numbers.max() > 65535:
            raise Broken(f"values {numbers.min()} to {numbers.max()} are none of 16 bits")
        image = Image.fromarray(eight_bits(numbers))
    mode = MODES[channels]
    if is_transparent(image) and "A" not in mode and transparency == "white":
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert(mode)


def eight_bits(numbers: np.ndarray) -> np.ndarray:
    """From whole numbers of 16 bits to the nearest of 8, of which black and white are the same."""
    return (numbers / 257).round().astype(np.uint8)
