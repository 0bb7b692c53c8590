"""How many samples are copies of training images, as far as the features tell images apart.

r of an image is its distance to the nearest training image over that image's own distance to its nearest
other. Where training images lie thickly both are small, so that r is near 1 for any image of the same kind,
and near 0 for copies alone. One in a hundred held-out images has an r below their 1 % quantile; so has one
in a hundred samples, if they are no copies.
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.metrics.contract import CHOICE
from ganlab.metrics.scores import blocks, squared, triangle, wilson

MOST = 50_000  # training images that samples are compared with, and held-out images at most
LEAST = 100  # held-out images: the nearest hundredth of fewer is none
QUANTILE = 0.01
ALARM = 0.02  # the share of copies from which on they are told
# The square of a distance, as a share of the features' variance, below which two images are the same one:
# features of one image in two batches differ by rounding.
SAME = 1e-10


@dataclass(frozen=True)
class TrainingImages:
    """What copies are found by.

    Attributes:
        features: A row for each training image; of equal images the first alone.
        own: The squared distance of each to its nearest other.
        unseen: r of held-out images, without those that the training set holds, too.
    """

    features: Tensor
    own: Tensor
    unseen: Tensor

    @classmethod
    def of(cls, features: Tensor, held_out: Tensor) -> TrainingImages:
        """In time quadratic in the training images: 50,000 with 64 features take seconds, 2,048 minutes."""
        same = SAME * float(features.double().var(0, correction=0).sum())
        own, first = _own_distances(features, same)
        if int(first.sum()) < 2:
            raise Refused(
                "The score copied needs two training images with different features; all are equal."
            )
        training = cls(features[first], own[first], features.new_zeros(0))
        distances, index = _nearest(training.features, held_out)
        ratios = (distances / training.own[index]).sqrt()[distances > same]
        if len(ratios) < LEAST:
            raise Refused(
                f"The score copied needs {LEAST} held-out images that the training set does not hold, too;"
                f" there are\n{len(ratios)} such among {len(held_out)}."
            )
        return cls(training.features, training.own, ratios)

    def ratios(self, features: Tensor) -> Tensor:
        """r of each image."""
        distances, index = _nearest(self.features, features)
        return (distances / self.own[index]).sqrt()

    def copied(self, features: Tensor) -> float:
        return share(self.ratios(features), self.unseen)

    def floor(self) -> float:
        """Of every other held-out image, as if it were a sample, by those between them."""
        return share(self.unseen[::2], self.unseen[1::2])

    def alarms(self, copied: float, samples: int) -> bool:
        """Whether so many copies are no chance: `ALARM` or more, and its interval and the floor's part."""
        return no_chance(copied, samples, self.floor(), len(self.unseen[::2]))


def no_chance(copied: float, samples: int, floor: float, held_out: int) -> bool:
    """Whether so many copies are `ALARM` or more, and their interval and that of held-out reals part."""
    return copied >= ALARM and _interval(copied, samples)[0] > _interval(floor, held_out)[1]


def share(ratios: Tensor, unseen: Tensor) -> float:
    """max(0, (p - q) / (1 - q)), p being the share of the ratios that lie below the q-quantile of the unseen.

    It is 0 ± 0.002 for 10,000 images of the data, and the share of copies where the others are such images.
    """
    p = float((ratios < unseen.quantile(QUANTILE)).double().mean())
    return max(0.0, (p - QUANTILE) / (1 - QUANTILE))


def _interval(copied: float, count: int) -> tuple[float, float]:
    """Of p, from which `share` makes the score."""
    return wilson(copied * (1 - QUANTILE) + QUANTILE, count)


def refuse_unfit(data: StreamData) -> None:
    """Refuse data that do not tell copies from others: an endless stream, or too few held-out images."""
    if not isinstance(data.splits.train, Sized):
        raise Refused(f"The score copied needs a training set; {type(data).__name__} is an endless stream.")
    if (count := _held_out(data)) < LEAST:
        raise Refused(
            f"The score copied needs {LEAST} held-out images, which tell how near to training images others\n"
            f"lie, and {type(data).__name__} holds out {count}: hold out more, or leave copied out."
        )


def fits(data: StreamData) -> bool:
    """Whether `refuse_unfit` lets the data pass."""
    return isinstance(data.splits.train, Sized) and _held_out(data) >= LEAST


def numbers(data: StreamData) -> dict[str, Any]:
    """What the score depends on besides the rest of its contract."""
    train: Any = data.splits.train
    some = max(len(train), _held_out(data)) > MOST
    return {
        "training_images": min(len(train), MOST),
        "training": data.fingerprint_of("train"),
        "held_out_images": min(_held_out(data), MOST),
        "held_out": data.fingerprint_of("held_out"),
        "quantile": QUANTILE,
        **({"chosen": CHOICE} if some else {}),
    }


def _held_out(data: StreamData) -> int:
    return 0 if data.splits.held_out is None else len(data.splits.held_out)


def _nearest(training: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """The squared distance of each of the others to its nearest training image, and that image's number."""
    best = torch.full((len(others),), torch.inf, dtype=torch.float64)
    index = torch.zeros(len(others), dtype=torch.int64)
    for rows, columns in product(blocks(len(others)), blocks(len(training))):
        distances, column = squared(others[rows], training[columns]).min(1)
        nearer = distances < best[rows]
        best[rows] = torch.where(nearer, distances, best[rows])
        index[rows] = torch.where(nearer, column + columns.start, index[rows])
    return best, index


def _own_distances(features: Tensor, same: float) -> tuple[Tensor, Tensor]:
    """Each row's squared distance to its nearest other image, and which rows are the first of their image."""
    own = torch.full((len(features),), torch.inf, dtype=torch.float64)
    first = torch.ones(len(features), dtype=torch.bool)
    for rows, columns in triangle(len(features)):
        distances = squared(features[rows], features[columns])
        equal = distances <= same
        first[columns] &= ~(equal.triu(1) if rows == columns else equal).any(0)
        distances.masked_fill_(equal, torch.inf)
        own[rows] = torch.minimum(own[rows], distances.amin(1))
        own[columns] = torch.minimum(own[columns], distances.amin(0))
    return own, first
