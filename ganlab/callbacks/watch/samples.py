"""What a run's samples were like at the start and in the last looks, and which symptoms that shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from torch import Tensor

from ganlab.callbacks.watch.likeness import Likeness, Reals

# Distances are in those among reals, so that noise is 1 to 2 from them and a trained game near 0.
FAR, OUTSIDE = 0.2, 0.05  # from the reals: nothing much is learnt; something is still to be learnt
PROGRESS, RECENT = 0.01, 4  # of the distance at the start, within so many looks
UNLEARNT = 0.5  # of the distance at the start, if samples are still far
AWAY = 3.0  # times the nearest so far
FEW = 0.25  # of the reals' number of distinct ones
# The same, both beyond the first, where each sample is made from an item of its own: what is made is smoother
# than reals, and so of less difference. Maps made of photographs had 0.09 and more; 0 is one for all.
FEW_OF_TOLD = 0.02
# Of the reals' number of distinct ones of a class, both beyond the first. On digits games that come to make
# one picture of each class have 0.001 to 0.05, and others, once they are as near to the reals, 0.18 or more.
FEW_OF_CLASS = 0.1
GROWS = 1.5  # times that number in the last look
SOME_OF_CLASS = 1.1  # distinct reals of a class; of fewer, nothing can be seen
LOST = 0.35  # of the run's greatest number of distinct ones
ALIKE = 1e-3  # samples are one if they are no farther apart
ROUNDING = 1e-6  # how far apart equal samples may be
STILL = 0.01  # samples do not change if they move no farther between two looks
MOVED = 32  # samples whose movement is measured


@dataclass
class SampleHistory:
    """Looks at samples of the same latents.

    Attributes:
        unit: The reals' mean distance from one another; of reals that are all one the first distance.
        start: Distance from the reals in the first look, after the first step.
        recent: Distances in the last looks.
        nearest: The least distance before them.
        before: Some samples of the last look.
        step: Of the last look.
        classes: How many classes the samples are told; 0: none.
        of_class: How many distinct ones a class has in the last look.
        reals_of_class: The same of as many reals.
        are_told: Whether each sample is told an item.
    """

    unit: float = 0.0
    start: float | None = None
    apart_at_start: float = 0.0
    recent: list[float] = field(default_factory=list)
    nearest: float = inf
    distinct: float = 0.0
    most_distinct: float = 0.0
    reals_distinct: float = 0.0
    before: Tensor | None = None
    step: int = -1
    classes: int = 0
    of_class: float = 0.0
    reals_of_class: float = 0.0
    apart_in_class_at_start: float = 0.0
    are_told: bool = False

    def add(self, seen: Likeness, reals: Reals, step: int) -> dict[str, bool]:
        """Whether each symptom holds in this look; the first shows none."""
        if self.start is None:
            self.unit = reals.apart if reals.apart > reals.width else max(seen.distance, reals.width)
            self.start, self.apart_at_start = seen.distance / self.unit, seen.apart / self.unit
            self.reals_distinct, self.are_told = reals.distinct, reals.are_told
            if reals.within and seen.within:
                self.reals_of_class = reals.within.distinct
                self.apart_in_class_at_start = seen.within.apart / self.unit
        self.recent.append(seen.distance / self.unit)
        self.nearest = min(self.nearest, *self.recent[:-RECENT], inf)
        del self.recent[:-RECENT]
        symptoms = self._symptoms(seen) if self.before is not None else {}
        if seen.within:
            self.classes, self.of_class = seen.within.classes, seen.within.distinct
        self.distinct, self.before, self.step = seen.distinct, seen.rows[:MOVED].half(), step
        self.most_distinct = max(self.most_distinct, min(seen.distinct, self.reals_distinct))
        return symptoms

    @property
    def progresses(self) -> bool:
        """Whether samples came nearer to the reals within the last looks, or are nearer than at the start."""
        if self.nearest == inf:
            return self.recent[-1] < (1 - PROGRESS) * (self.start or 0.0)
        return min(self.recent) < self.nearest - PROGRESS * (self.start or 0.0)

    @property
    def is_far(self) -> bool:
        """Whether samples are far from the reals in the last look."""
        return bool(self.recent) and self.recent[-1] > FAR

    @property
    def lingers(self) -> bool:
        """Whether samples are far from the reals, and not even twice as near as some looks ago."""
        return self.is_far and self.recent[-1] > self.recent[0] / 2

    @property
    def learns(self) -> bool:
        """Whether samples are near the reals, or come nearer."""
        return not self.is_far or self.progresses

    def _symptoms(self, seen: Likeness) -> dict[str, bool]:
        assert self.before is not None
        assert self.start is not None
        distance, apart = self.recent[-1], seen.apart / self.unit
        moved = float((seen.rows[:MOVED] - self.before).norm(dim=1).mean()) / self.unit
        stands = self.nearest < inf and not self.progresses
        unlearnt = distance > FAR and distance > UNLEARNT * self.start
        # Far from the reals, samples that do not change are first of all a game that does not learn.
        settled = (stands and not unlearnt) or (moved < STILL and distance <= FAR)
        one = _is_one(apart, self.apart_at_start)
        return self._symptoms_within(seen, settled) | {
            "few": self._are_few(seen.distinct) and (one or settled),
            "lost": seen.distinct < LOST * self.most_distinct and stands,
            "still": moved < STILL and distance > OUTSIDE,
            "stalled": stands and unlearnt,
            "away": distance > FAR + AWAY * min(self.nearest, *self.recent),
        }

    def _are_few(self, distinct: float) -> bool:
        if self.are_told:
            return distinct - 1 < FEW_OF_TOLD * (self.reals_distinct - 1)
        return distinct < FEW * self.reals_distinct

    def _symptoms_within(self, seen: Likeness, settled: bool) -> dict[str, bool]:
        """Whether samples of a class are alike, where they are told classes that have several reals each."""
        if not seen.within or self.reals_of_class < SOME_OF_CLASS:
            return {}
        beyond_one = seen.within.distinct - 1
        alike = beyond_one < FEW_OF_CLASS * (self.reals_of_class - 1)
        # Some games come near to the reals with one sample of each class, and go on to more.
        remain = not self.is_far and beyond_one <= GROWS * (self.of_class - 1)
        one = _is_one(seen.within.apart / self.unit, max(self.apart_in_class_at_start, ROUNDING))
        return {"alike": alike and (one or settled or remain)}


def _is_one(apart: float, at_start: float) -> bool:
    """Of a generator that only begins to learn samples are nearly one, too, but less and less so."""
    return apart < ALIKE and apart <= 2 * at_start
