"""Many named scores from one pass over the samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, nan
from typing import Any, Literal, NamedTuple

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from ganlab.metrics import scores
from ganlab.metrics.contract import short
from ganlab.metrics.extractors import Extractor, Seen
from ganlab.metrics.processes import place
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
        # Laid out as the cache gives it back: otherwise the last bits of scores would tell the two apart.
        return cls(seen.moments, seen.rows, half(seen.moments.covariance).contiguous())


@dataclass(frozen=True)
class Pair:
    """Both sides, with what two scores share."""

    real: Reals
    fake: Observed

    @cached_property
    def features(self) -> tuple[Tensor, Tensor]:
        return _kept(self.real).features, _kept(self.fake).features

    @cached_property
    def overlap(self) -> scores.Overlap:
        return scores.overlap(*self.features)


class Score(NamedTuple):
    """A row of the table: which numbers it gives, what it needs, and where better lies.

    Attributes:
        names: With {n} for the number of samples.
        needs: The moments alone, the features of each sample, or logits as well.
    """

    names: tuple[str, ...]
    needs: Literal["moments", "features", "logits"]
    better: Literal["min", "max"]
    compute: Callable[[Pair], Sequence[float]]


def _kept(seen: Observed | Reals) -> Rows:
    assert seen.rows is not None
    return seen.rows


def _logits(seen: Observed | Reals) -> Tensor:
    logits = _kept(seen).logits
    assert logits is not None
    return logits


def _fid(pair: Pair) -> Sequence[float]:
    return [frechet(pair.real.moments, pair.fake.moments, pair.real.half)]


def _inception_score(pair: Pair) -> Sequence[float]:
    return scores.inception_score(_logits(pair.fake))


def _kid(pair: Pair) -> Sequence[float]:
    size = min(1000, *map(len, pair.features))
    return [*scores.kid_subsets(*pair.features, size=size), scores.kid_full(*pair.features)]


def _precision_recall(pair: Pair) -> Sequence[float]:
    return pair.overlap.precision, pair.overlap.recall


def _density_coverage(pair: Pair) -> Sequence[float]:
    return pair.overlap.density, pair.overlap.coverage


def _fid_infinity(pair: Pair) -> Sequence[float]:
    _, fakes = pair.features
    least = min(5000, len(fakes) // 2)
    return [scores.fid_infinity(pair.real.moments, fakes, pair.real.half, least=least)]


def _classes(pair: Pair) -> Sequence[float]:
    classes = _logits(pair.real).shape[1]
    counts = (scores.class_histogram(_logits(seen).argmax(1), classes) for seen in (pair.fake, pair.real))
    return [scores.total_variation(*counts)]


def _modes(pair: Pair) -> Sequence[float]:
    if pair.real.modes is None:
        raise Refused("The score modes is known of data whose modes are: Gaussians and StackedMNIST.")
    kept = _kept(pair.fake)
    found = pair.real.modes(kept.features, kept.logits)
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
            if not len(index):
                seen = Seen(seen.features[:0], None if seen.logits is None else seen.logits[:0])
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
        flaw = None if fake.moments.mean.isfinite().all() else "some samples are not finite"
        pair = Pair(real, fake)
        for score in self.chosen:
            row = TABLE[score]
            if row.needs == "logits" and (fake.rows is None or fake.rows.logits is None):
                raise Refused(
                    f"The score {score} needs classes, which {type(self.extractor).__name__} does not name."
                )
            found = [nan] * len(row.names) if flaw else row.compute(pair)
            for name, value in zip(self.names(score), found, strict=True):
                values[name] = float(value) if isfinite(value) else None
                if values[name] is None:
                    reasons[name] = flaw or "undefined for so few or so equal samples"
        return values, reasons


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


def _places(kept: Tensor | None, total: int) -> Tensor:
    """Of each index its place among those kept, or -1."""
    if kept is None:
        return torch.arange(total)
    places = torch.full((total,), -1)
    places[kept] = torch.arange(len(kept))
    return places


def _on_cpu(moments: Gaussian) -> Gaussian:
    return Gaussian(moments.mean.cpu(), moments.covariance.cpu(), moments.count)


def described(values: Mapping[str, Any]) -> str:
    return "  ".join(f"{name} {'-' if value is None else f'{value:.4g}'}" for name, value in values.items())
