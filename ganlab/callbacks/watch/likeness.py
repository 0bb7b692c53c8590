"""How far samples are from reals, and how many of them are distinct, beside as many reals."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor

from ganlab.data.stream import StreamData
from ganlab.game.gan import GAN
from ganlab.seeds import seed_for

SAMPLES = 256
VALUES = 4096  # of a sample that are compared; of larger ones always the same random choice
NEIGHBOURS = 0.1  # of a real: the share of reals that are nearest to it


@dataclass(frozen=True)
class Within:
    """How those of one class differ from one another.

    Attributes:
        classes: How many classes there are among them.
        distinct: How many distinct ones a class has.
        apart: Their mean distance from others of their class.
    """

    classes: int
    distinct: float
    apart: float

    @classmethod
    def of(cls, distances: Tensor, labels: Tensor, width: float) -> Within:
        same = labels[:, None] == labels
        # As if all of different classes were distinct, and again as if those of one class were none.
        distinct, classes = (
            effective_number(each.masked_fill(~same, torch.inf), width)
            for each in (distances, torch.zeros_like(distances))
        )
        apart = float(distances[same].sum() / max(1, int(same.sum()) - len(same)))
        return cls(len(labels.unique()), distinct / classes, apart)


@dataclass(frozen=True)
class Reals:
    """Some reals, and what samples are measured by.

    Attributes:
        rows: A row of values for each.
        apart: Their mean distance from one another.
        width: Below it two are hardly distinct; half of the distance to a real's farther neighbours.
        distinct: How many distinct ones there are among them.
        within: Those of one class, where samples are told a class.
        are_told: Whether each sample is told an item, such as a picture that it is made from.
    """

    rows: Tensor
    apart: float
    width: float
    distinct: float
    within: Within | None = None
    are_told: bool = False


@dataclass(frozen=True)
class Likeness:
    """What one look at samples finds.

    Attributes:
        rows: The samples' values.
        distance: The energy distance from the reals: 0 for samples that are distributed as they are.
        apart: The samples' mean distance from one another.
        distinct: How many distinct ones there are among as many as there are reals.
        within: Those of one class among these, where they are told a class.
    """

    rows: Tensor
    distance: float
    apart: float
    distinct: float
    within: Within | None = None


def reals_of(game: GAN, data: Any) -> Reals | None:
    """Some training samples, evenly spaced in their set; None if they are no single tensor each."""
    if not isinstance(data, StreamData):
        return None
    train = data.splits.train
    count = game.at_most(SAMPLES)  # as many as there are samples to compare
    indices = torch.arange(count)
    if isinstance(train, Sized):
        indices = (indices * len(train) // count).unique()
    batch = data.played(train[indices])
    reals = game.real(batch)
    if not isinstance(reals, Tensor) or len(reals) < 2:
        return None
    rows = _rows(reals)
    distances = torch.cdist(rows, rows)
    neighbour = distances.kthvalue(1 + ceil(NEIGHBOURS * len(rows)), 1).values.median()
    # Rounding must not tell equal reals apart.
    width = max(float(neighbour) / 2, 1e-6 * float(rows.norm(dim=1).mean()), 1e-12)
    told = game.told_classes(torch.arange(1), seed=0) is not None
    within = Within.of(distances, batch[1].cpu(), width) if told else None
    are_told = game.conditions is not None and game.conditions.total is not None
    apart, distinct = _mean_apart(distances), effective_number(distances, width)
    return Reals(rows, apart, width, distinct, within, are_told)


def look(game: GAN, reals: Reals) -> Likeness | None:
    """Compare samples of fixed latents with reals; None if they are no numbers. Costs 256 samples."""
    seed = seed_for("watchdog")
    rows = _rows(game.sample(game.at_most(SAMPLES), seed=seed))
    if rows.shape[1] != reals.rows.shape[1] or not rows.isfinite().all():
        return None
    distances = torch.cdist(rows, rows)
    apart = _mean_apart(distances)
    distance = 2 * float(torch.cdist(rows, reals.rows).mean()) - apart - reals.apart
    as_many = distances[: len(reals.rows), : len(reals.rows)]
    labels = game.told_classes(torch.arange(len(as_many)), seed=seed)
    within = None if labels is None else Within.of(as_many, labels, reals.width)
    return Likeness(rows, distance, apart, effective_number(as_many, reals.width), within)


def effective_number(distances: Tensor, width: float) -> float:
    """Friedman and Dieng 2023, arXiv:2210.02410, equation 3: the Vendi score, here of a Gaussian kernel."""
    kernel = torch.exp(-((distances / width) ** 2) / 2)
    shares = torch.linalg.eigvalsh(kernel / len(kernel)).clamp(min=1e-15)
    return float((-(shares * shares.log()).sum()).exp())


def _rows(samples: Tensor) -> Tensor:
    rows = samples.detach().flatten(1)
    if rows.shape[1] > VALUES:
        chosen = torch.randperm(rows.shape[1], generator=torch.Generator().manual_seed(0))[:VALUES]
        rows = rows[:, chosen.to(rows.device)]
    return rows.cpu().double()


def _mean_apart(distances: Tensor) -> float:
    return float(distances.sum() / max(1, len(distances) * (len(distances) - 1)))
