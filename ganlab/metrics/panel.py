"""Many named scores from one pass over the samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any, Literal, NamedTuple

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor
from torch import distributed as dist

from ganlab.metrics import scores
from ganlab.metrics.contract import short
from ganlab.metrics.extractors import Extractor
from ganlab.metrics.statistics import Features, Gaussian, Moments, Rows, frechet, half
from ganlab.refused import Refused

LONG = 5000  # samples

Batches = Iterable[tuple[Tensor, Tensor]]
Modes = Callable[[Tensor, Tensor | None], Mapping[str, float]]


class Observed(NamedTuple):
    """What one pass leaves: of all samples the moments, and of those kept their features."""

    moments: Gaussian
    rows: Rows | None


@dataclass
class Reals:
    """What fakes are measured against; `half` is that of the covariance."""

    moments: Gaussian
    rows: Rows | None
    half: Tensor
    modes: Modes | None = None

    @classmethod
    def of(cls, seen: Observed) -> Reals:
        return cls(seen.moments, seen.rows, half(seen.moments.covariance))


class Score(NamedTuple):
    """A row of the table: which numbers it gives, what it needs, and where better lies.

    Attributes:
        names: With {n} for the number of samples.
        needs: The moments alone, the features of each sample, or logits as well.
    """

    names: tuple[str, ...]
    needs: Literal["moments", "features", "logits"]
    better: Literal["min", "max"]
    compute: Callable[[Reals, Observed], Sequence[float]]


def _rows(seen: Observed | Reals) -> Tensor:
    assert seen.rows is not None
    return seen.rows.features


def _logits(seen: Observed | Reals) -> Tensor:
    assert seen.rows is not None
    assert seen.rows.logits is not None
    return seen.rows.logits


def _fid(real: Reals, fake: Observed) -> Sequence[float]:
    return [frechet(real.moments, fake.moments, real.half)]


def _inception_score(real: Reals, fake: Observed) -> Sequence[float]:
    return scores.inception_score(_logits(fake))


def _kid(real: Reals, fake: Observed) -> Sequence[float]:
    size = min(1000, len(_rows(real)), len(_rows(fake)))
    subsets = scores.kid_subsets(_rows(real), _rows(fake), size=size)
    return [*subsets, scores.kid_full(_rows(real), _rows(fake))]


def _precision_recall(real: Reals, fake: Observed) -> Sequence[float]:
    return scores.precision_recall(_rows(real), _rows(fake))


def _density_coverage(real: Reals, fake: Observed) -> Sequence[float]:
    return scores.density_coverage(_rows(real), _rows(fake))


def _fid_infinity(real: Reals, fake: Observed) -> Sequence[float]:
    least = min(5000, len(_rows(fake)) // 2)
    return [scores.fid_infinity(real.moments, _rows(fake), real.half, least=least)]


def _classes(real: Reals, fake: Observed) -> Sequence[float]:
    classes = _logits(real).shape[1]
    counts = (scores.class_histogram(_logits(seen).argmax(1), classes) for seen in (fake, real))
    return [scores.total_variation(*counts)]


def _modes(real: Reals, fake: Observed) -> Sequence[float]:
    if real.modes is None:
        raise Refused("The score modes is known of data whose modes are: Gaussians and StackedMNIST.")
    assert fake.rows is not None
    found = real.modes(fake.rows.features, fake.rows.logits)
    return [found["covered"], found["well_covered"], found.get("high_quality", nan), found["kl"]]


TABLE = {
    "fid": Score(("fid{n}",), "moments", "min", _fid),
    "is": Score(("is{n}", "is{n}_std"), "logits", "max", _inception_score),
    "kid": Score(("kid{n}", "kid{n}_std", "kid{n}_full"), "features", "min", _kid),
    "precision_recall": Score(("precision{n}_k3", "recall{n}_k3"), "features", "max", _precision_recall),
    "density_coverage": Score(("density{n}_k5", "coverage{n}_k5"), "features", "max", _density_coverage),
    "fid_infinity": Score(("fid_infinity{n}",), "features", "min", _fid_infinity),
    "classes": Score(("class_distance{n}",), "logits", "min", _classes),
    "modes": Score(("modes{n}", "full_modes{n}", "high_quality{n}", "mode_kl{n}"), "features", "max", _modes),
}


@dataclass(frozen=True)
class Panel:
    """Which scores, of how many samples, as which extractor sees them."""

    extractor: Extractor
    chosen: tuple[str, ...]
    samples: int

    def __post_init__(self) -> None:
        if unknown := [name for name in self.chosen if name not in TABLE]:
            raise Refused(f"There is no score {', '.join(unknown)}. Scores: {', '.join(TABLE)}.")
        if self.samples < 2:
            raise Refused(f"samples is {self.samples}; scores need at least 2.")

    @property
    def keeps(self) -> bool:
        """Whether a score needs the features of each sample."""
        return any(TABLE[name].needs != "moments" for name in self.chosen)

    def names(self, score: str) -> list[str]:
        n = short(self.samples)
        return [name.format(n=n) + self.extractor.suffix for name in TABLE[score].names]

    @property
    def directions(self) -> dict[str, Literal["min", "max"]]:
        """Of the first name of each score, where better lies."""
        return {self.names(score)[0]: TABLE[score].better for score in self.chosen}

    def observe(self, batches: Batches, total: int, *, kept: Tensor | None = None) -> Observed:
        """One pass over this process's share of samples, each told with its index.

        Args:
            kept: The indices of those whose features are kept; else all, if a score needs any.
        """
        moments: Moments | None = None
        features: Features | None = None
        places = _places(kept, total)
        for index, images in watched(batches, total):
            seen = self.extractor(images)
            if moments is None:
                moments = Moments(seen.features.shape[1]).to(seen.features.device)
            moments.update(seen.features)
            if not self.keeps:
                continue
            if features is None:
                classes = None if seen.logits is None else seen.logits.shape[1]
                features = Features(len(kept) if kept is not None else total, seen.features.shape[1], classes)
            own = places[index]
            chosen = own >= 0
            logits = None if seen.logits is None else seen.logits.cpu()[chosen]
            features.update(own[chosen], seen.features.cpu()[chosen], logits)
        if moments is None:
            raise Refused("There is not a single image to score.")
        return Observed(_on_cpu(moments.compute()), features.compute() if features else None)

    def score(self, real: Reals, fake: Observed) -> tuple[dict[str, float | None], dict[str, str]]:
        """Values by name, and for each that is no number the reason."""
        values: dict[str, float | None] = {}
        reasons: dict[str, str] = {}
        widths = len(real.moments.mean), len(fake.moments.mean)
        if widths[0] != widths[1]:
            raise Refused(
                f"The reals have {widths[0]:,} features and the fakes {widths[1]:,}: their images differ in\n"
                "channels or size, which this extractor keeps apart. Bring both to one form first."
            )
        flaw = self._flaw(fake)
        for score in self.chosen:
            row = TABLE[score]
            if row.needs == "logits" and (fake.rows is None or fake.rows.logits is None):
                raise Refused(
                    f"The score {score} needs classes, which {type(self.extractor).__name__} does not name."
                )
            found = [nan] * len(row.names) if flaw else row.compute(real, fake)
            for name, value in zip(self.names(score), found, strict=True):
                values[name] = float(value) if isfinite(value) else None
                if values[name] is None:
                    reasons[name] = flaw or "undefined for so few or so equal samples"
        return values, reasons

    def _flaw(self, fake: Observed) -> str | None:
        if not fake.moments.mean.isfinite().all():
            return "some samples are not finite"
        return None


def watched(batches: Batches, total: int) -> Batches:
    """With a bar on a terminal, where the first process sits, if it takes more than a moment."""
    console = Console(stderr=True)
    if not console.is_terminal or place()[0] or total < LONG:
        yield from batches
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("scoring", total=-(-total // place()[1]))
        for index, images in batches:
            yield index, images
            progress.advance(task, len(index))


def place() -> tuple[int, int]:
    """This process's number, and how many there are."""
    together = dist.is_available() and dist.is_initialized()
    return (dist.get_rank(), dist.get_world_size()) if together else (0, 1)


def _places(kept: Tensor | None, total: int) -> Tensor:
    """Of each index its place among those kept, or -1."""
    if kept is None:
        return torch.arange(total)
    places = torch.full((total,), -1)
    places[kept] = torch.arange(len(kept))
    return places


def _on_cpu(moments: Gaussian) -> Gaussian:
    return Gaussian(moments.mean.cpu(), moments.covariance.cpu(), moments.count)


def shares(total: int, batch: int, *, rank: int = 0, world: int = 1) -> Iterator[Tensor]:
    """This process's indices, a batch at a time: every world-th batch, without padding."""
    batch = min(batch, max(1, total // world))
    yield from torch.arange(total).split(batch)[rank::world]


def described(values: Mapping[str, Any]) -> str:
    return "  ".join(f"{name} {'-' if value is None else f'{value:.4g}'}" for name, value in values.items())
