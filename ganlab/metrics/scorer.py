"""Several scores from one pass over the samples, each number under its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
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

    @property
    def keeps_features(self) -> bool:
        """Whether a score needs the features of each sample."""
        return any(TABLE[name].needs != "moments" for name in self.chosen)

    @property
    def needs_training(self) -> bool:
        """Whether a score compares samples with each training image."""
        return any(TABLE[name].needs == "training" for name in self.chosen)

    def without_training(self) -> Scorer:
        """For the statistics of reals, which hold no more than the other scores need."""
        return replace(self, chosen=tuple(name for name in self.chosen if TABLE[name].needs != "training"))

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
        sums: tuple[Moments, Features | None] | None = None
        widths: tuple[int, int | None] | None = None
        positions = _positions(kept, total)
        kept_rows = total if kept is None else len(kept)
        for index, images in with_progress(batches, total):
            seen = self.extractor(images)
            if not len(index):
                seen = Seen(seen.features[:0], None if seen.logits is None else seen.logits[:0])
            if sums is None:
                widths = seen.features.shape[1], None if seen.logits is None else seen.logits.shape[1]
                sums = self._sums(*widths, rows=kept_rows, device=seen.features.device)
            moments, features = sums
            moments.update(seen.features)
            if features is None:
                continue
            rows = positions[index]
            among_kept = rows >= 0
            logits = None if seen.logits is None else seen.logits.cpu()[among_kept]
            features.update(rows[among_kept], seen.features.cpu()[among_kept], logits)
        if not (known := [each for each in everyones(widths) if each]):
            raise Refused("There is not a single image to score.")
        # A process without a share learns from the others what they add up.
        moments, features = sums or self._sums(*known[0], rows=kept_rows)
        return Observed(_on_cpu(moments.compute()), features.compute() if features else None)

    def _sums(
        self, width: int, classes: int | None, *, rows: int, device: torch.device | None = None
    ) -> tuple[Moments, Features | None]:
        moments = Moments(torch.zeros(width, device=device))
        return moments, Features(rows, width, classes) if self.keeps_features else None

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
