"""Several scores from one pass over the samples, each number under its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import isfinite, nan
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.metrics.contract import short
from ganlab.metrics.extractors.extractor import Extractor, Seen
from ganlab.metrics.observed import Observed, Pair, Reals
from ganlab.metrics.registry import FULL, TABLE, Better
from ganlab.metrics.statistics import FeatureRows, Features, Gaussian, Moments
from ganlab.system.processes import everyones, rank_and_world

MOST_SAMPLES = 10**8
LONG = 5000  # samples from which on a progress bar is shown

# Indices and images of each batch.
Batches = Iterable[tuple[Tensor, Tensor]]
# Of a row of features, of logits and of spatial features.
Widths = tuple[int, int | None, int | None]


@dataclass(frozen=True)
class Scorer:
    """Takes the scores `chosen`, names in TABLE, of so many samples by the features of an extractor.

    Attributes:
        reals: How many reals they are taken against, where that is known.
    """

    extractor: Extractor
    chosen: tuple[str, ...]
    samples: int
    reals: int | None = None

    def __post_init__(self) -> None:
        if unknown := [name for name in self.chosen if name not in TABLE]:
            raise Refused(f"There is no score {', '.join(unknown)}. Scores: {', '.join(TABLE)}.")
        bounds.between(2, MOST_SAMPLES, self, samples=self.samples)
        for score in self.chosen:
            if self.samples < (least := TABLE[score].least):
                raise Refused(
                    f"The score {score} needs {least:,} samples, not {self.samples:,}: fewer are a guess."
                    "\nTake more (samples), or leave it out (scores)."
                )
        if not (self.extractor.suffix or self.extractor.published):
            raise Refused(
                f"{type(self.extractor).__name__} has no suffix: names without one are for the published"
                " Inception's scores."
            )
        if self.needs("spatial") and not self.extractor.spatial:
            raise Refused(
                "The score sfid needs features that keep places apart, which Inception gives, and\n"
                f"{type(self.extractor).__name__} does not."
            )

    def needs(self, *what: str) -> bool:
        """Whether a score needs one of these, as the table has it."""
        return any(TABLE[name].needs in what for name in self.chosen)

    def of(self, count: int) -> Scorer:
        """The same with another number of samples, without scores that need more."""
        chosen = tuple(score for score in self.chosen if TABLE[score].least <= count)
        return replace(self, samples=count, chosen=chosen)

    @property
    def keeps_features(self) -> bool:
        """Whether a score needs the features of each sample."""
        return self.needs("features", "logits", "classes", "training")

    def without_training(self) -> Scorer:
        """For the statistics of reals, which hold no more than the other scores need."""
        return replace(self, chosen=tuple(name for name in self.chosen if TABLE[name].needs != "training"))

    def names(self, score: str) -> list[str]:
        """Of the numbers that a score gives: fid10k_digits; of the published network also fid50k_full."""
        n, names = short(self.samples), []
        for value in TABLE[score].values:
            more = self.extractor.published and value.of_all_reals and (self.reals or 0) > self.samples
            names.append(value.name.format(n=n) + FULL * more + self.extractor.suffix)
        return names

    @property
    def directions(self) -> dict[str, Better]:
        """Which direction is better, by the name of the number by which each score is judged."""
        rows = {score: TABLE[score] for score in self.chosen}
        directions = {
            self.names(score)[row.judged]: row.values[row.judged].better for score, row in rows.items()
        }
        return {name: better for name, better in directions.items() if better}

    def observe(
        self, batches: Batches, total: int, *, kept: Tensor | None = None, part: Tensor | None = None
    ) -> Observed:
        """One pass over this process's share of the samples; the result is that of all processes.

        Args:
            batches: The share, as pairs of indices and images.
            total: How many samples all processes have together.
            kept: The indices of the samples whose features are kept; by default all, if a score needs any.
            part: The indices of samples that are looked at by themselves as well, if all are kept.
        """
        sums: Sums | None = None
        positions = _positions(kept, total)
        in_part = torch.zeros(total, dtype=torch.bool)
        if part is not None:
            in_part[part] = True
        rows = total if kept is None else len(kept)
        for index, images in with_progress(batches, total):
            seen = self.extractor(images)
            if not len(index):
                seen = seen.some(slice(0))
            if sums is None:
                sums = self._sums(_widths(seen), rows, seen.features.device)
            sums.update(seen, positions[index], in_part[index])
        if not (known := [each for each in everyones(sums and sums.widths) if each]):
            raise Refused("There is not a single image to score.")
        # A process without a share learns from the others what they add up.
        return (sums or self._sums(known[0], rows)).compute(part)

    def _sums(self, widths: Widths, rows: int, device: torch.device | None = None) -> Sums:
        width, classes, places = widths
        places = places if self.needs("spatial") else None
        of_all, of_part = (Summed.begin(width, places, device) for _ in range(2))
        return Sums(widths, of_all, of_part, Features(rows, width, classes) if self.keeps_features else None)

    def score(
        self, real: Reals, fake: Observed, *, floor: bool = False
    ) -> tuple[dict[str, float | None], dict[str, str]]:
        """The scores' numbers by name, and by name the reason for each that is None.

        Args:
            floor: The fakes are reals of the other split.
        """
        values: dict[str, float | None] = {}
        reasons: dict[str, str] = {}
        widths = len(real.moments.mean), len(fake.moments.mean)
        if widths[0] != widths[1]:
            raise Refused(
                f"The reals have {widths[0]:,} features and the fakes {widths[1]:,}: their images differ in\n"
                "channels or size, and so do this extractor's features. Bring both to one form first."
            )
        flaw = None if fake.moments.mean.isfinite().all() else "some samples are not finite"
        pair = Pair(real, fake)
        for score in self.chosen:
            row = TABLE[score]
            if row.needs == "logits" and (fake.rows is None or fake.rows.logits is None):
                raise Refused(
                    f"The score {score} needs logits, which {type(self.extractor).__name__} does not give."
                )
            compute = (floor and row.floor) or row.compute
            numbers = [nan] * len(row.values) if flaw else compute(pair)
            for name, value in zip(self.names(score), numbers, strict=True):
                values[name] = float(value) if isfinite(value) else None
                if values[name] is None:
                    reasons[name] = flaw or "undefined for so few or so equal samples"
        return values, reasons

    def warning(self, real: Reals, values: Mapping[str, float | None]) -> str | None:
        """A sentence where more samples are copies of training images than chance makes."""
        copied = values.get(self.names("copied")[0])
        if not copied or not real.training or not real.training.alarms(copied, self.samples):
            return None
        eyes = self.extractor.name
        return f"about {copied:.0%} of the samples are copies of training images, as {eyes} sees them"


class Summed(NamedTuple):
    """The moments that are added up of some samples; of spatial features if a score needs them."""

    moments: Moments
    spatial: Moments | None

    @classmethod
    def begin(cls, width: int, places: int | None, device: torch.device | None) -> Summed:
        of_places = Moments(torch.zeros(places, device=device)) if places else None
        return cls(Moments(torch.zeros(width, device=device)), of_places)

    def update(self, seen: Seen) -> None:
        self.moments.update(seen.features)
        if self.spatial and seen.spatial is not None:
            self.spatial.update(seen.spatial)

    def compute(self, rows: FeatureRows | None, part: Observed | None) -> Observed:
        spatial = _on_cpu(self.spatial.compute()) if self.spatial else None
        return Observed(_on_cpu(self.moments.compute()), rows, part, spatial)


class Sums(NamedTuple):
    """What is added up in a pass: moments of all samples and of some of them, and rows of features."""

    widths: Widths
    of_all: Summed
    of_part: Summed
    rows: Features | None

    def update(self, seen: Seen, positions: Tensor, in_part: Tensor) -> None:
        self.of_all.update(seen)
        if in_part.any():
            self.of_part.update(seen.some(in_part.to(seen.features.device)))
        if self.rows is None:
            return
        kept = positions >= 0
        logits = None if seen.logits is None else seen.logits.cpu()[kept]
        self.rows.update(positions[kept], seen.features.cpu()[kept], logits)

    def compute(self, part: Tensor | None) -> Observed:
        """Of all processes, which all have to call this."""
        rows = self.rows.compute() if self.rows else None
        of_part = None if part is None else self.of_part.compute(some_rows(rows, part), None)
        return self.of_all.compute(rows, of_part)


def some_rows(rows: FeatureRows | None, chosen: Tensor) -> FeatureRows | None:
    if rows is None:
        return None
    return FeatureRows(rows.features[chosen], None if rows.logits is None else rows.logits[chosen])


def _widths(seen: Seen) -> Widths:
    logits, spatial = (None if part is None else part.shape[1] for part in seen[1:])
    return seen.features.shape[1], logits, spatial


def with_progress(batches: Batches, total: int) -> Batches:
    """The same batches; the first process shows a progress bar, if it has a terminal and they are many."""
    console = Console(stderr=True)
    if not console.is_terminal or rank_and_world()[0] or total < LONG:
        yield from batches
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("scoring", total=-(-total // rank_and_world()[1]))
        for index, images in batches:
            yield index, images
            progress.advance(task, len(index))


def _positions(kept: Tensor | None, total: int) -> Tensor:
    """The position of each index among those kept, or -1."""
    if kept is None:
        return torch.arange(total)
    positions = torch.full((total,), -1)
    positions[kept] = torch.arange(len(kept))
    return positions


def _on_cpu(moments: Gaussian) -> Gaussian:
    return Gaussian(moments.mean.cpu(), moments.covariance.cpu(), moments.count)


def described(values: Mapping[str, Any]) -> str:
    """All in one line, with a dash for None."""
    return "  ".join(f"{name} {'-' if value is None else f'{value:.4g}'}" for name, value in values.items())
