"""What a column of the data holds: how it lies there, how networks play with it, how people see it."""

from collections.abc import Sequence
from typing import Any

import torch

from ganlab.media.holes import PicturesWithHoles
from ganlab.media.label_maps import LabelMap
from ganlab.media.labels import Labels
from ganlab.media.medium import Medium
from ganlab.media.pictures import Pictures
from ganlab.media.points import Points
from ganlab.media.sound import Sound, Spectrogram
from ganlab.media.text import Text
from ganlab.media.video import Video

__all__ = [
    "LabelMap",
    "Labels",
    "Medium",
    "Pictures",
    "PicturesWithHoles",
    "Points",
    "Sound",
    "Spectrogram",
    "Text",
    "Video",
    "medium_of",
    "played",
    "stored",
]


def medium_of(shape: tuple[int, ...]) -> Medium:
    """The medium of items that nothing but their shape is known of."""
    return Pictures(shape) if len(shape) > 2 else Points(shape)


def played(media: Sequence[Medium], batch: Sequence[Any], dtype: torch.dtype) -> tuple[Any, ...]:
    """A batch as networks play with it; columns that are None, or of no known medium, stay as they are."""
    known = [
        column if column is None else medium.played(column, dtype)
        for medium, column in zip(media, batch, strict=False)
    ]
    return *known, *batch[len(known) :]


def stored(media: Sequence[Medium], batch: Sequence[Any]) -> tuple[Any, ...]:
    """A batch as data store it; columns of no known medium stay as they are."""
    known = [medium.stored(column) for medium, column in zip(media, batch, strict=False)]
    return *known, *batch[len(known) :]
