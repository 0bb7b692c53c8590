"""Scikit-learn's handwritten digits: real images that need no download, for a first run anywhere."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import interpolate

from ganlab import bounds
from ganlab.data.pictures.images import MOST_PIXELS, Images
from ganlab.data.rows import Rows


class Digits(Images):
    """1797 digits of 8 x 8 pixels (Alpaydin & Kaynak 1998), enlarged; every sixth is held out.

    Args:
        size: Height and width to which they are enlarged.
    """

    classes = 10

    def __init__(self, *, size: int = 32, **base: Any) -> None:
        super().__init__(**base)
        bounds.between(1, MOST_PIXELS, self, size=size)
        self.shape = (1, size, size)

    def load(self) -> tuple[Rows, Rows]:
        pixels, labels = _read()
        images = interpolate(
            pixels[:, None].float() * (255 / 16), self.shape[1:], mode="bicubic", antialias=True
        )
        images = images.round().clamp(0, 255).to(torch.uint8)
        held_out = torch.arange(len(images)) % 6 == 0
        train, test = (Rows(images.movedim(1, -1)[part], labels[part]) for part in (~held_out, held_out))
        return train, test


@cache
def _read() -> tuple[Tensor, Tensor]:
    """The digits and their labels, which scikit-learn reads from a text."""
    digits = load_digits()
    return torch.from_numpy(digits.images), torch.from_numpy(digits.target).long()
