"""Several scores from one pass over the samples, each number under its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.metrics.contract import short
from ganlab.metrics.extractors.extractor import Extractor, Seen
from ganlab.metrics.registry import TABLE, Better, Observed, Pair, Reals
from ganlab.metrics.statistics import Features, Gaussian, Moments
from ganlab.system.processes import everyones, rank_and_world

MOST_SAMPLES = 10**8
LONG = 5000  # samples from which on a progress bar is shown

# Indices and images of each batch.
Batches = Iterable[tuple[Tensor, Tensor]]
# Of a row of features, of logits and of spatial features.
Widths = tuple[int, int | None, int | None]


@dataclass(frozen=True)
class Scorer:
    """Takes the scores `chosen`, names in TABLE, of so many samples by the features of an extractor."""

    extractor: Extractor
    chosen: tuple[str, ...]
    samples: int

    def __post_init__(self) -> None:
        if unknown := [name for name in self.chosen if name not in TABLE]:
            raise Refused(f"There is no score {', '.join(unknown)}. Scores: {', '.join(TABLE)}.")
        bounds.between(2, MOST_SAMPLES, self, samples=self.samples)
        if self.needs("spatial") and not self.extractor.spatial:
            raise Refused(
                "The score sfid needs features that keep places apart, which Inception gives, and\n"
                f"{type(self.extractor).__name__} does not."
            )

    def needs(self, *what: str) -> bool:
        """Whether a score needs one of these, as the table has it."""
        return any(TABLE[name].needs in what for name in self.chosen)

    @property
    def keeps_features(self) -> bool:
        """Whether a score needs the features of each sample."""
        return self.needs("features", "logits", "classes")

    def names(self, score: str) -> list[str]:
        """Of the numbers that a score gives: fid10k_digits."""
        n = short(self.samples)
        return [value.name.format(n=n) + self.extractor.suffix for value in TABLE[score].values]

    @property
    def directions(self) -> dict[str, Better]:
        """Which direction is better, by the first name of each score."""
        directions = {self.names(score)[0]: TABLE[score].values[0].better for score in self.chosen}
        return {name: better for name, better in directions.items() if better}

    def observe(self, batches: Batches, total: int, *, kept: Tensor | None = None) -> Observed:
        """One pass over this process's share of the samples; the result is that of all processes.

        Args:
            batches: The share, as pairs of indices and images.
            total: How many samples all processes have together.
            kept: The indices of the samples whose features are kept; by default all, if a score needs any.
        """
        sums: _Sums | None = None
        positions = _positions(kept, total)
        kept_rows = total if kept is None else len(kept)
        for index, images in with_progress(batches, total):
            seen = self.extractor(images)
            if not len(index):
                features, *others = seen
                seen = Seen(features[:0], *(None if part is None else part[:0] for part in others))
            if sums is None:
                sums = self._sums(_widths(seen), kept_rows, seen.features.device)
            sums.update(positions[index], seen)
        if not (known := [each for each in everyones(sums and sums.widths) if each]):
            raise Refused("There is not a single image to score.")
        # A process without a share learns from the others what they add up.
        return (sums or self._sums(known[0], kept_rows)).compute()

    def _sums(self, widths: Widths, rows: int, device: torch.device | None = None) -> _Sums:
        width, classes, places = widths
        return _Sums(
            widths,
            Moments(torch.zeros(width, device=device)),
            Features(rows, width, classes) if self.keeps_features else None,
            Moments(torch.zeros(places, device=device)) if places and self.needs("spatial") else None,
        )

    def score(self, real: Reals, fake: Observed) -> tuple[dict[str, float | None], dict[str, str]]:
        """The scores' numbers by name, and by name the reason for each that is None."""
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
            numbers = [nan] * len(row.values) if flaw else row.compute(pair)
            for name, value in zip(self.names(score), numbers, strict=True):
                values[name] = float(value) if isfinite(value) else None
                if values[name] is None:
                    reasons[name] = flaw or "undefined for so few or so equal samples"
        return values, reasons


@dataclass
class _Sums:
    """What one pass adds up."""

    widths: Widths
    moments: Moments
    features: Features | None
    spatial: Moments | None

    def update(self, rows: Tensor, seen: Seen) -> None:
        """With the positions of these samples among those whose features are kept, or -1."""
        self.moments.update(seen.features)
        if self.spatial and seen.spatial is not None:
            self.spatial.update(seen.spatial)
        if self.features:
            kept = rows >= 0
            logits = None if seen.logits is None else seen.logits.cpu()[kept]
            self.features.update(rows[kept], seen.features.cpu()[kept], logits)

    def compute(self) -> Observed:
        return Observed(
            _on_cpu(self.moments.compute()),
            self.features.compute() if self.features else None,
            _on_cpu(self.spatial.compute()) if self.spatial else None,
        )


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
