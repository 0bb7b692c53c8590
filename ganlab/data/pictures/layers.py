"""A file of one picture as layers that Pillow can cut and resize: one picture, or one for each channel."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from ganlab.data.pictures.decode import MODES, Broken, Unfit, convert, eight_bits, opened

ARRAY = b"\x93NUMPY"  # how files of arrays begin
NUMBERS = ("1", "L", "P", "I")  # modes of pictures whose values are numbers of classes


def layers(content: bytes, channels: int) -> list[Image.Image]:
    """A picture, upright; or the channels of an array (.npy), height x width x channels, of 8 or 16 bits."""
    if content.startswith(ARRAY):
        return [Image.fromarray(np.ascontiguousarray(band)) for band in _bands(content, channels)]
    if channels not in MODES:
        raise Broken(f"a picture, and {channels} channels need an array (.npy)")
    with opened(content) as file:
        return [convert(ImageOps.exif_transpose(file), channels)]


def label_map(content: bytes, classes: int) -> Image.Image:
    """A grey or palette picture, upright, whose values are numbers of classes."""
    with opened(content) as file:
        image = ImageOps.exif_transpose(file)
        if image.mode.partition(";")[0] not in NUMBERS:
            raise Unfit(f"it is of mode {image.mode}, and label maps are grey or have a palette")
        numbers = np.asarray(image).astype(np.int64)
    refuse_outside(numbers, classes)
    return Image.fromarray(numbers.astype(np.uint8))


def refuse_outside(numbers: np.ndarray, classes: int) -> None:
    outside = numbers[(numbers < 0) | (numbers >= classes)]
    if outside.size:
        raise Unfit(f"it holds the label {outside.flat[0]}, and the {classes} classes are 0 to {classes - 1}")


def _bands(content: bytes, channels: int) -> np.ndarray:
    try:
        array = np.load(BytesIO(content), allow_pickle=False)
    # Damaged files raise all kinds of errors.
    except Exception as error:
        raise Broken("no whole array") from error
    array = array[..., None] if array.ndim == 2 else array
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise Broken(f"{array.dtype}, not whole numbers of 8 or 16 bits")
    if array.ndim != 3 or array.shape[2] != channels or not array.size:
        raise Broken(f"shape {array.shape}, not height x width x {channels}")
    return np.moveaxis(array if array.dtype == np.uint8 else eight_bits(array), -1, 0)
