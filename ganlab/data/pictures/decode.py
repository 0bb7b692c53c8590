"""From a picture's file to the bytes that networks see."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageOps

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
LARGEST = 100_000_000  # pixels; more can only be meant to fill the memory
VERSION = 1  # counts changes of what `decode` makes of a file


class Broken(Exception):
    """Why a picture cannot be used."""


@dataclass(frozen=True)
class Transform:
    """A square from the middle, resized with antialiasing (bicubic).

    Attributes:
        crop: The square's side as a share of the picture's width; at most its shorter side.
    """

    size: int
    channels: int
    crop: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.size, self.size, self.channels

    def identity(self) -> dict[str, Any]:
        return asdict(self) | {"resize": "bicubic, antialias", "version": VERSION}

    def __call__(self, content: bytes) -> np.ndarray:
        """Channels last."""
        try:
            with Image.open(BytesIO(content)) as file:
                if file.width * file.height > LARGEST:
                    raise Broken(f"{file.width} x {file.height} pixels would fill the memory")
                image = converted(ImageOps.exif_transpose(file), self.channels)
                side = max(1, min(image.width, image.height, round(image.width * self.crop)))
                left, top = round((image.width - side) / 2), round((image.height - side) / 2)
                # Cut first: a resize with a box would let what lies outside shine in.
                image = image.crop((left, top, left + side, top + side))
                image = image.resize((self.size, self.size), Image.Resampling.BICUBIC)
        except Broken:
            raise
        # A library that reads any format answers damaged files with any kind of error.
        except Exception as error:
            raise Broken(reason(error)) from error
        return np.asarray(image).reshape(self.shape)


def reason(error: Exception) -> str:
    return "no picture" if isinstance(error, Image.UnidentifiedImageError) else str(error) or repr(error)


def converted(image: Image.Image, channels: int) -> Image.Image:
    """Grey, colour, palette, 16-bit and CMYK alike; what is transparent shows white."""
    if image.mode == "F":
        raise Broken("its pixels are fractions, whose range nobody knows")
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8))
    wanted = MODES[channels]
    transparent = "A" in image.getbands() or "transparency" in image.info
    if transparent and wanted != "RGBA":
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert(wanted)
