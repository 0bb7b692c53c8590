"""Scores as functions of features: reals first, fakes second, rows in the samples' own order.

A score is nan where it is not defined, and `flaw` says why: features that are not finite, or too few samples.
Nothing here draws from, or seeds, the global generators.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement, product
from math import nan
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganlab.data.stream import ModeIndices
from ganlab.errors import Refused
from ganlab.metrics.statistics import BLOCK, Gaussian, frechet, gaussian
from ganlab.seeds import seed_for


class Spread(NamedTuple):
    """Mean and standard deviation (ddof=0) over splits or subsets."""

    mean: float
    std: float


FID_INFINITY_LEAST = 5000  # samples of the smallest subset, as in the paper
DEVIATIONS = 1.96  # of a 95 % interval


def flaw(features: Tensor, least: int = 2) -> str | None:
    """Why features have no score, or None: there are fewer than `least`, or some are not finite."""
    if len(features) < least:
        return f"{len(features)} samples, but at least {least} are needed"
    bad = sum(int((~block.isfinite().all(1)).sum()) for block in features.split(BLOCK))
    return f"{bad} of {len(features)} samples have features that are no numbers" if bad else None


def blocks(length: int) -> list[slice]:
    """Slices of BLOCK rows, of which the last may be shorter."""
    return [slice(start, min(start + BLOCK, length)) for start in range(0, length, BLOCK)]


def triangle(length: int) -> Iterator[tuple[slice, slice]]:
    """Each unordered pair of blocks once, those of a block with itself included."""
    return combinations_with_replacement(blocks(length), 2)


def inception_score(logits: Tensor, splits: int = 10, seed: int = 2020) -> Spread:
    """Salimans et al. 2016, arXiv:1606.03498, section 4: exp E KL(p(y|x) ‖ p(y)), the mean over splits.

    Order and splits are torch-fidelity's: the permutation of RandomState(2020), p(y) of each split its own.
    """
    if flaw(logits, splits):
        return Spread(nan, nan)
    order = torch.from_numpy(np.random.RandomState(seed).permutation(len(logits)))
    scores = []
    for i in range(splits):
        split = logits[order[i * len(logits) // splits : (i + 1) * len(logits) // splits]].double()
        p, log_p = split.softmax(1), split.log_softmax(1)
        divergence = p * (log_p - p.mean(0, keepdim=True).log())
        # 0 log 0 = 0, also where a class has no share in the whole split.
        scores.append(torch.where(p > 0, divergence, 0).sum(1).mean().exp().item())
    return Spread(float(np.mean(scores)), float(np.std(scores)))


def squared(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances between rows, in float64: float32 rounds them by more than the small ones measure."""
    x, y = x.double(), y.double()
    products = torch.addmm(y.square().sum(1), x, y.T, alpha=-2)
    return products.add_(x.square().sum(1, keepdim=True)).clamp_min_(0)


def radii(features: Tensor, k: int) -> Tensor:
    """Squared distances from each sample to its k nearest others, nearest first."""
    nearest = features.new_full((len(features), k), torch.inf, dtype=torch.float64)

    def merge(rows: slice, distances: Tensor) -> None:
        candidates = distances.topk(min(k, distances.shape[1]), largest=False).values
        nearest[rows] = torch.cat([nearest[rows], candidates], 1).topk(k, largest=False).values

    for rows, columns in triangle(len(features)):
        distances = squared(features[rows], features[columns])
        if rows == columns:
            distances.fill_diagonal_(torch.inf)
        else:
            merge(columns, distances.T)
        merge(rows, distances)
    return nearest


def count_distances(real: Tensor, fake: Tensor, *counts: Balls | OpenBalls) -> None:
    """Add each block of squared distances between reals (rows) and fakes (columns) to the counts."""
    for rows, columns in product(blocks(len(real)), blocks(len(fake))):
        distances = squared(real[rows], fake[columns])
        for count in counts:
            count.add(rows, columns, distances)


class Balls:
    """Which fakes lie in the closed ball (≤) of a real, and which reals in that of a fake."""

    def __init__(self, real_radius: Tensor, fake_radius: Tensor) -> None:
        self.real_radius, self.fake_radius = real_radius[:, None], fake_radius
        self.real_inside = torch.zeros_like(real_radius, dtype=torch.bool)
        self.fake_inside = torch.zeros_like(fake_radius, dtype=torch.bool)

    def add(self, rows: slice, columns: slice, distances: Tensor) -> None:
        self.fake_inside[columns] |= (distances <= self.real_radius[rows]).any(0)
        self.real_inside[rows] |= (distances <= self.fake_radius[columns]).any(1)

    def scores(self) -> tuple[float, float]:
        return float(self.fake_inside.double().mean()), float(self.real_inside.double().mean())


class OpenBalls:
    """How many fakes lie in the open ball (<) of each real."""

    def __init__(self, real_radius: Tensor, k: int, fakes: int) -> None:
        self.real_radius, self.expected = real_radius[:, None], k * fakes
        self.inside = torch.zeros_like(real_radius, dtype=torch.int64)

    def add(self, rows: slice, columns: slice, distances: Tensor) -> None:
        self.inside[rows] += (distances < self.real_radius[rows]).sum(1)

    def scores(self) -> tuple[float, float]:
        return int(self.inside.sum()) / self.expected, float((self.inside > 0).double().mean())


class Overlap(NamedTuple):
    """How far the supports of reals and fakes overlap."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """Kynkäänniemi et al. 2019, arXiv:1904.06991, eqs. 1 and 2: k-th nearest others, closed balls."""
    if flaw(real, k + 1) or flaw(fake, k + 1):
        return nan, nan
    balls = Balls(radii(real, k)[:, -1], radii(fake, k)[:, -1])
    count_distances(real, fake, balls)
    return balls.scores()


def density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> tuple[float, float]:
    """Naeem et al. 2020, arXiv:2002.09797, section 3, and its code: k-th nearest others, open balls."""
    if flaw(real, k + 1) or flaw(fake, 1):
        return nan, nan
    balls = OpenBalls(radii(real, k)[:, -1], k, len(fake))
    count_distances(real, fake, balls)
    return balls.scores()


def overlap(real: Tensor, fake: Tensor, closed_k: int = 3, open_k: int = 5) -> Overlap:
    """`precision_recall` and `density_coverage` together, in the time of the former alone."""
    k = max(closed_k, open_k)
    if flaw(real, k + 1) or flaw(fake, closed_k + 1):
        return Overlap(nan, nan, nan, nan)
    of_real = radii(real, k)
    closed = Balls(of_real[:, closed_k - 1], radii(fake, closed_k)[:, -1])
    opened = OpenBalls(of_real[:, open_k - 1], open_k, len(fake))
    count_distances(real, fake, closed, opened)
    return Overlap(*closed.scores(), *opened.scores())


def fid_infinity(
    real: Gaussian,
    fake: Tensor,
    real_factor: Tensor | None = None,
    *,
    points: int = 15,
    least: int = FID_INFINITY_LEAST,
    seed: int = 0,
) -> float:
    """Chong & Forsyth 2020, arXiv:1911.07023, section 3: the FID of infinitely many fakes.

    The FIDs of `points` random subsets, of sizes evenly spaced from `least` to all, lie on a line in
    1 / size; its value at 0 is returned.
    """
    if flaw(fake, least + 1):
        return nan
    sizes = np.linspace(least, len(fake), points).astype(int)
    fids = []
    for size in sizes.tolist():
        generator = torch.Generator().manual_seed(seed_for("fid_infinity", seed, size))
        chosen = torch.randperm(len(fake), generator=generator)[:size]
        fids.append(frechet(real, gaussian(fake, chosen), real_factor))
    return float(np.polyfit(1 / sizes, fids, 1)[1]) if np.isfinite(fids).all() else nan


def nearest(training: Tensor, generated: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
    """Distances and indices, (samples, k or all), of the training samples nearest to each generated one."""
    k = min(k, len(training))
    distance = generated.new_full((len(generated), k), torch.inf, dtype=torch.float64)
    index = torch.zeros_like(distance, dtype=torch.int64)
    for rows, columns in product(blocks(len(generated)), blocks(len(training))):
        distances = squared(generated[rows], training[columns])
        candidates, column = distances.topk(min(k, distances.shape[1]), largest=False)
        distance[rows], chosen = torch.cat([distance[rows], candidates], 1).topk(k, largest=False)
        index[rows] = torch.cat([index[rows], column + columns.start], 1).gather(1, chosen)
    return distance.sqrt(), index


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson 1927, eq. 7: the 95 % interval of a share that was found in so many."""
    z2 = DEVIATIONS**2 / count
    centre, half = share + z2 / 2, (z2 * share * (1 - share) + z2**2 / 4) ** 0.5
    return (centre - half) / (1 + z2), (centre + half) / (1 + z2)


def class_histogram(labels: Tensor, classes: int) -> Tensor:
    """How many samples have each label."""
    counts = labels.flatten().bincount(minlength=classes)
    if len(counts) > classes:
        raise Refused(f"The label {len(counts) - 1} is none of {classes} classes, which are numbered from 0.")
    return counts


def total_variation(counts: Tensor, others: Tensor) -> float:
    """Half the sum of |p - q| over the classes: the share of samples whose label would have to change."""
    return float((counts.double() / counts.sum() - others.double() / others.sum()).abs().sum() / 2)


class Modes(NamedTuple):
    """How samples are distributed over the modes of the data.

    Attributes:
        covered: Modes with a sample.
        well_covered: Modes with enough samples.
        high_quality: The share of samples that are near a mode; nan where that is not asked.
        kl: KL(p ‖ uniform).
    """

    covered: int
    well_covered: int
    high_quality: float
    kl: float


def count_modes(modes: ModeIndices) -> Modes:
    """Srivastava et al. 2017, arXiv:1705.07761, section 4.

    A mode is covered by samples near it; in the KL each sample counts for its nearest mode (Lin et al. 2018,
    arXiv:1712.04086). A classifier's errors hit modes that were never drawn, a few times each: a mode is well
    covered by `modes.enough` samples.
    """
    counted = modes.nearest[modes.nearest >= 0]
    near = counted if modes.near is None else modes.nearest[modes.near]
    counts = class_histogram(near, modes.total)
    asked = modes.near is not None and len(modes.nearest) > 0
    high_quality = len(near) / len(modes.nearest) if asked else nan
    kl = kl_to_uniform(class_histogram(counted, modes.total))
    return Modes(int((counts > 0).sum()), int((counts >= modes.enough).sum()), high_quality, kl)


def kl_to_uniform(counts: Tensor) -> float:
    """KL(p ‖ uniform) of the shares p of the counts; nan if they are all 0."""
    p = counts.double() / counts.sum()
    return float(torch.xlogy(p, p * len(p)).sum())
