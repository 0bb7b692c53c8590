"""Several scores from one pass over the samples, each number under its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite, nan
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media import Medium
from ganlab.metrics.contract import short
from ganlab.metrics.extractors.extractor import Extractor
from ganlab.metrics.gathering import Gathering
from ganlab.metrics.names import FULL, measured
from ganlab.metrics.observed import Observed, Pair, Reals
from ganlab.metrics.registry import TABLE
from ganlab.metrics.score import OF_ITEMS, Better, Score, refuse_malformed
from ganlab.metrics.statistics import Features
from ganlab.metrics.sums import Summed, Sums, Widths, widths_of
from ganlab.system.processes import everyones, rank_and_world

MOST_SAMPLES = 10**8
LONG = 5000  # samples from which on a progress bar is shown

# Indices and samples of each batch; for scores of pairs also the real batch that they were made from, and for
# those of the way back what it makes again of them.
Batches = Iterable[tuple[Any, ...]]


@dataclass(frozen=True)
class Scorer:
    """Takes the scores `chosen` of so many samples by the features of an extractor.

    Attributes:
        chosen: Names in TABLE, and scores of a user's own.
        reals: How many reals they are taken against, where that is known.
    """

    extractor: Extractor
    chosen: tuple[str | Score, ...]
    samples: int
    reals: int | None = None

    def __post_init__(self) -> None:
        refuse_unknown(self.chosen)
        self._refuse_names()
        bounds.between(2, MOST_SAMPLES, self, samples=self.samples)
        for score, row in self.rows.items():
            if self.samples < row.least:
                raise Refused(
                    f"The score {score} needs {row.least:,} samples, not {self.samples:,}: fewer are a guess."
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

    def _refuse_names(self) -> None:
        """Refuse two numbers of one name, which would be one column."""
        names: set[str] = set()
        scores: set[str] = set()
        for row in map(row_of, self.chosen):
            refuse_malformed(row)
            kind = type(row).__name__
            if row.name in scores:
                raise Refused(
                    f"Two scores are named {row.name}, as their first numbers begin: leave one out\n"
                    "(scores), or name a number of your own otherwise (values)."
                )
            scores.add(row.name)
            for name in row.names("2", ""):
                known = measured(name)
                if known and type(TABLE[known.score]) is not type(row):
                    raise Refused(
                        f"{kind} names a number {name}, as ganlab's {known.score} does: name it otherwise."
                    )
                if name in names:
                    raise Refused(f"Two scores are named {row.name}: leave one out (scores).")
                names.add(name)

    @cached_property
    def rows(self) -> dict[str, Score]:
        """The chosen scores by their names."""
        return {row.name: row for row in map(row_of, self.chosen)}

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """By score what it alone depends on, as a contract has it."""
        return {score: own for score, row in self.rows.items() if (own := row.parameters())}

    def needs(self, *what: str) -> bool:
        """Whether a score needs one of these, as the table has it."""
        return any(row.needs in what for row in self.rows.values())

    def of(self, count: int) -> Scorer:
        """The same with another number of samples, without scores that need more or have no floor."""
        return replace(self, samples=count, chosen=self._chosen(lambda r: r.least <= count and r.has_floor))

    def _chosen(self, fits: Callable[[Score], bool]) -> tuple[str | Score, ...]:
        return tuple(each for each in self.chosen if fits(row_of(each)))

    @property
    def compares_classes(self) -> bool:
        """Whether a score takes the extractor's logits for those of the data's classes."""
        return any(row.compares_classes for row in self.rows.values())

    @property
    def keeps_features(self) -> bool:
        """Whether a score needs the features of each sample."""
        return self.needs("features", "logits", "classes", "training")

    def of_features(self) -> Scorer:
        """With the scores of features alone."""
        return replace(self, chosen=self._chosen(lambda row: row.of_features))

    @property
    def of_sources(self) -> Scorer | None:
        """With the scores of sources alone; None if there is none."""
        chosen = self._chosen(lambda row: row.of_sources)
        return replace(self, chosen=chosen) if chosen else None

    def without_training(self) -> Scorer:
        """For the statistics of reals, which hold no more than the other scores need."""
        return replace(self, chosen=self._chosen(lambda row: row.needs != "training"))

    def names(self, score: str) -> list[str]:
        """Of the numbers that a score gives: fid10k_digits; of the published network also fid50k_full."""
        row = self.rows[score]
        beyond = self.extractor.published and (self.reals or 0) > self.samples
        suffix = self.extractor.suffix * row.of_features
        return row.names(short(self.samples), suffix, FULL * beyond)

    @property
    def directions(self) -> dict[str, Better]:
        """Which direction is better, by the name of the number by which each score is judged."""
        directions = {
            self.names(score)[row.judged]: row.values[row.judged].better for score, row in self.rows.items()
        }
        return {name: better for name, better in directions.items() if better}

    def observe(
        self, batches: Batches, total: int, *, kept: Tensor | None = None, part: Tensor | None = None
    ) -> Observed:
        """One pass over this process's share of the samples; the result is that of all processes.

        Args:
            batches: The share: indices and samples, and with them what else scores need.
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
        gathering = self.gathering(total)
        for index, images, *beside in with_progress(batches, total):
            seen = self.extractor(images)
            for each in gathering.values() if len(index) else ():
                each.add(index, images, beside, in_part[index])
            if not len(index):
                seen = seen.some(slice(0))
            if sums is None:
                sums = self._sums(widths_of(seen), rows, seen.features.device)
            sums.update(seen, positions[index], in_part[index])
        if not (known := [each for each in everyones(sums and sums.widths) if each]):
            raise Refused("There is not a single image to score.")
        # A process without a share learns from the others what they add up.
        observed = (sums or self._sums(known[0], rows)).compute(part)
        return observed.with_gathered({score: each.compute() for score, each in gathering.items()})

    def look(self, batches: Batches) -> None:
        """Show extractor and scores some samples, for what they refuse."""
        for _, images, *beside in batches:
            self.refuse_no_logits(self.extractor(images).logits)
            for each in self.gathering(len(images)).values():
                index = torch.arange(len(images))
                each.add(index, images, beside, index < 0)

    def gathered(self, batches: Callable[[], Batches], total: int) -> dict[str, Any]:
        """Of reals by score what is needed of them besides features; one pass over them, if any is needed."""
        of_no_items = replace(self, chosen=self._chosen(lambda row: row.needs not in OF_ITEMS))
        if not (gathering := of_no_items.gathering(total)):
            return {}
        for index, images in with_progress(batches(), total):
            for each in gathering.values():
                each.add(index, images, (), torch.zeros(len(index), dtype=torch.bool))
        return {score: each.compute()[0] for score, each in gathering.items()}

    def gathering(self, total: int) -> dict[str, Gathering]:
        """By score what a pass gathers for it besides features."""
        begun = {score: row.gathering(total) for score, row in self.rows.items()}
        return {score: each for score, each in begun.items() if each}

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
        self.refuse_no_logits(fake.rows.logits if fake.rows else None)
        pair = Pair(real, fake)
        for score, row in self.rows.items():
            compute = row.floor if floor else row.compute
            numbers = [nan] * len(row.values) if flaw else _as_many(row, compute(pair))
            for name, value in zip(self.names(score), numbers, strict=True):
                values[name] = float(value) if isfinite(value) else None
                if values[name] is None:
                    reasons[name] = flaw or row.undefined
        return values, reasons

    def refuse_no_logits(self, logits: Tensor | None) -> None:
        """Refuse an extractor that gives no logits of samples, if a score needs them."""
        rows = self.rows.items()
        needing = (name for name, row in rows if row.needs == "logits" or row.compares_classes)
        if logits is None and (score := next(needing, None)):
            raise Refused(
                f"The score {score} needs logits, which {type(self.extractor).__name__} does not give."
            )


def _as_many(row: Score, numbers: Any) -> Sequence[float]:
    """What a score computed, if it is a number for each of its values."""
    if not isinstance(numbers, Sequence) or len(numbers) != len(row.values):
        raise Refused(
            f"{type(row).__name__} gives {numbers!r:.60}, and has the values "
            f"{', '.join(value.name for value in row.values)}:\ngive a list with a number for each."
        )
    return numbers


def needs_extractor(chosen: Iterable[str | Score]) -> bool:
    """Whether one of these scores is made from features."""
    return any(row_of(each).of_features for each in chosen)


def medium_of_samples(extractor: Extractor, chosen: Iterable[str | Score]) -> type[Medium]:
    """What samples are read as: what a score of no features takes, or else the extractor."""
    named = (row_of(each).medium for each in chosen)
    return next((medium for medium in named if medium), extractor.medium)


def refuse_unknown(chosen: Iterable[str | Score]) -> None:
    if unknown := [each for each in chosen if isinstance(each, str) and each not in TABLE]:
        raise Refused(
            f"There is no score {', '.join(unknown)}. Scores: {', '.join(TABLE)},\n"
            "or the class path of your own, such as my_file.MyScore, with arguments that it has."
        )


def row_of(score: str | Score) -> Score:
    """Of a name its row of the table."""
    return TABLE[score] if isinstance(score, str) else score


def with_progress(batches: Batches, total: int) -> Batches:
    """The same batches; the first process shows a progress bar, if it has a terminal and they are many."""
    console = Console(stderr=True)
    if not console.is_terminal or rank_and_world()[0] or total < LONG:
        yield from batches
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("scoring", total=-(-total // rank_and_world()[1]))
        for batch in batches:
            yield batch
            progress.advance(task, len(batch[0]))


def _positions(kept: Tensor | None, total: int) -> Tensor:
    """The position of each index among those kept, or -1."""
    if kept is None:
        return torch.arange(total)
    positions = torch.full((total,), -1)
    positions[kept] = torch.arange(len(kept))
    return positions


def described(values: Mapping[str, Any]) -> str:
    """All in one line, with a dash for None."""
    return "  ".join(f"{name} {'-' if value is None else f'{value:.4g}'}" for name, value in values.items())
