"""Statistics of the features of many samples, and the distance between two Gaussians."""

from dataclasses import dataclass
from math import nan
from typing import NamedTuple

import torch
from torch import Tensor

from ganlab.errors import Refused
from ganlab.system.processes import rank_and_world, sent, summed

BLOCK = 2048


@dataclass(frozen=True)
class Gaussian:
    """Mean and unbiased covariance (ddof=1) of `count` feature vectors."""

    mean: Tensor
    covariance: Tensor
    count: int


def sums_of(rows: Tensor) -> Tensor:
    """What adds, of vectors, and tells their Gaussian: their number, sum, and sum of outer products."""
    rows = rows.double()
    return torch.cat([rows.new_tensor([len(rows)]), rows.sum(0), (rows.T @ rows).flatten()])


def gaussian_of(sums: Tensor) -> Gaussian:
    """The Gaussian of all vectors whose `sums_of` were added."""
    width = int(len(sums) ** 0.5)  # 1 + width + width² numbers
    count, total, products = sums.split([1, width, width**2])
    mean = total / count
    covariance = (products.view(width, width) - torch.outer(total, mean)) / (count - 1)
    return Gaussian(mean, covariance, int(count))


class FeatureRows(NamedTuple):
    """One row of features, and of logits where there are any, per sample, in the samples' own order."""

    features: Tensor
    logits: Tensor | None


class Moments:
    """Sums over features, in float64, from which their mean and covariance follow; no feature is kept.

    Args:
        shift: Subtracted from each row first, and the same on all processes. It should be near the features'
            mean: zeros cost the covariance a relative 2.7e-6 at a mean of 1e4.
    """

    def __init__(self, shift: Tensor) -> None:
        # A tensor that was created in inference mode could not be added to outside of it.
        with torch.inference_mode(False):
            self.shift = shift.detach().to(torch.float64, copy=True)
            self.count = self.shift.new_zeros(())
            self.total = torch.zeros_like(self.shift)
            self.outer = self.shift.new_zeros(len(shift), len(shift))

    def update(self, features: Tensor) -> None:
        centred = features.detach().to(self.shift) - self.shift
        self.count += len(centred)
        self.total += centred.sum(0)
        self.outer.addmm_(centred.T, centred)

    def compute(self) -> Gaussian:
        """Of the samples of all processes, which all have to call this."""
        return self._gaussian(summed(self.count), summed(self.total), summed(self.outer))

    def compute_own(self) -> Gaussian:
        """Of this process's samples alone."""
        return self._gaussian(self.count, self.total, self.outer)

    def _gaussian(self, count: Tensor, total: Tensor, outer: Tensor) -> Gaussian:
        mean = total / count
        covariance = torch.addr(outer, total, mean, alpha=-1).div_(count - 1)
        return Gaussian(self.shift + mean, covariance, int(count))


class Features:
    """The features of samples 0 to total - 1, and their logits if `classes` is given, in the CPU's memory.

    However many processes there are, and in whatever order the batches come, `compute` returns one row per
    sample, in the order of their indices. It refuses samples that came twice or not at all: those that a
    sampler pads with would bias every score.
    """

    def __init__(self, total: int, width: int, classes: int | None = None) -> None:
        self.widths = {"features": width} if classes is None else {"features": width, "logits": classes}
        with torch.inference_mode(False):
            # Rows for the samples of all processes: those that are not written to take no memory.
            self.rows = {
                name: torch.empty(total, size, dtype=torch.float32) for name, size in self.widths.items()
            }
            self.occurrences = torch.zeros(total, dtype=torch.int64)
            self.outside = torch.zeros((), dtype=torch.int64)

    def update(self, index: Tensor, features: Tensor, logits: Tensor | None = None) -> None:
        batch = {"features": features} if logits is None else {"features": features, "logits": logits}
        expected = {name: (len(index), size) for name, size in self.widths.items()}
        shapes = {name: tuple(rows.shape) for name, rows in batch.items()}
        if shapes != expected:
            raise Refused(f"The batch holds {shapes}, but of {len(index)} samples {expected} is kept.")
        index = index.to("cpu", torch.int64)
        inside = (index >= 0) & (index < len(self.occurrences))
        self.outside += (~inside).sum()
        self.occurrences += index[inside].bincount(minlength=len(self.occurrences))
        for name, rows in batch.items():
            self.rows[name][index[inside]] = rows.detach().to("cpu", torch.float32)[inside]

    def compute(self) -> FeatureRows:
        """Of all processes, which all have to call this. No copy: a later `update` changes the result."""
        self._refuse_gaps(summed(self.occurrences), int(summed(self.outside)))
        rank, world = rank_and_world()
        if world > 1:
            owner = summed(self.occurrences * rank)
            for process in range(world):
                index = (owner == process).nonzero().flatten()
                for rows in self.rows.values():
                    rows[index] = sent(rows[index], process)
        return FeatureRows(self.rows["features"], self.rows.get("logits"))

    def _refuse_gaps(self, occurrences: Tensor, outside: int) -> None:
        missing, twice = int((occurrences == 0).sum()), int((occurrences > 1).sum())
        if not (missing or twice or outside):
            return
        raise Refused(
            f"Of {len(occurrences)} samples {missing} are missing and {twice} came more than once;"
            f" {outside} others came too.\nProcess r of W takes the indices"
            " range(r, samples, W), without a sampler that pads or drops."
        )


def gaussian(features: Tensor, chosen: Tensor | None = None) -> Gaussian:
    """Mean and covariance of features that this process holds, or of the rows `chosen` among them."""
    moments = Moments(features[:BLOCK].double().mean(0))
    blocks = features.split(BLOCK) if chosen is None else (features[index] for index in chosen.split(BLOCK))
    for block in blocks:
        moments.update(block)
    return moments.compute_own()


def factor(covariance: Tensor) -> Tensor:
    """F with F Fᵀ = covariance, and as many columns as its rank; nan if it is not finite."""
    if not covariance.isfinite().all():
        return torch.full_like(covariance, torch.nan)
    values, vectors = torch.linalg.eigh(covariance.double())
    # Rounding makes up to this of an eigenvalue 0, whose root, 1e-8, each missing rank would add.
    noise = values.abs().max() * len(values) * torch.finfo(torch.float64).eps
    rank = int((values > noise).sum())
    return vectors[:, len(values) - rank :] * values[len(values) - rank :].sqrt()


def trace_of_root(square: Tensor) -> Tensor:
    """The trace of the square root of a matrix that is symmetric and has no negative eigenvalue, or nan."""
    if not square.isfinite().all():
        return square.new_tensor(torch.nan)
    return torch.linalg.eigvalsh(square).clamp_min(0).sqrt().sum()


def trace_of_factors(first: Tensor, second: Tensor) -> Tensor:
    """The trace of the square root of S1 S2, with the factors F Fᵀ of both."""
    cross = first.T @ second
    return trace_of_root(cross @ cross.T if len(cross) <= cross.shape[1] else cross.T @ cross)


def frechet(real: Gaussian, fake: Gaussian, real_factor: Tensor | None = None) -> float:
    """Heusel et al. 2017, arXiv:1706.08500, eq. 6; nan if a statistic is not finite.

    The eigenvalues of S1 S2 are those of Fᵀ S2 F with S1 = F Fᵀ, which is symmetric: S1 S2 is not, and its
    computed eigenvalues are negative or complex. `real_factor`, kept from `factor(real.covariance)`, saves
    half the time. Rounding leaves the distance of equal statistics within 1e-6 of 0, on either side.
    """
    of_real = factor(real.covariance) if real_factor is None else real_factor
    if fake.count > len(fake.mean):
        trace = trace_of_root(of_real.T @ fake.covariance @ of_real)
    else:
        # Slower, but the rounding of each missing rank would show in the eighth digit.
        trace = trace_of_factors(of_real, factor(fake.covariance))
    distance = (real.mean - fake.mean).square().sum()
    return float(distance + real.covariance.trace() + fake.covariance.trace() - 2 * trace)


def frechet_of(real: Tensor, fake: Tensor) -> float:
    """`frechet` of features that this process holds; fast where both sides have fewer rows than features.

    Of n rows X, less their mean, Xᵀ / √(n - 1) is a factor of their covariance, of n columns.
    """
    if max(len(real), len(fake)) > real.shape[1]:
        return frechet(gaussian(real), gaussian(fake))
    means = [side.double().mean(0) for side in (real, fake)]
    factors = [
        (side.double() - mean).T / (len(side) - 1) ** 0.5
        for side, mean in zip((real, fake), means, strict=True)
    ]
    trace = trace_of_factors(*factors)
    distance = (means[0] - means[1]).square().sum()
    return float(distance + sum(each.square().sum() for each in factors) - 2 * trace)


def class_traces(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Of each class the trace of its features' unbiased covariance; nan of fewer than two samples."""
    traces = torch.full((classes,), nan, dtype=torch.float64)
    for number in range(classes):
        if len(rows := features[labels == number]) > 1:
            traces[number] = rows.double().var(0).sum()
    return traces


def class_frechets(
    real: Tensor, real_labels: Tensor, fake: Tensor, fake_labels: Tensor, classes: int
) -> list[float]:
    """Miyato & Koyama 2018, arXiv:1802.05637, section 5.1: the Fréchet distance within each class.

    It is nan where a side has fewer than two samples.
    """
    distances = []
    for number in range(classes):
        sides = real[real_labels == number], fake[fake_labels == number]
        short = any(len(side) < 2 for side in sides)
        distances.append(nan if short else frechet_of(*sides))
    return distances
