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
LOST = 0.35  # of the run's greatest number of distinct ones
ALIKE = 1e-3  # samples are one if they are no farther apart
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

    def add(self, seen: Likeness, reals: Reals, step: int) -> dict[str, bool]:
        """Whether each symptom holds in this look; the first shows none."""
        if self.start is None:
            self.unit = reals.apart if reals.apart > reals.width else max(seen.distance, reals.width)
            self.start, self.apart_at_start = seen.distance / self.unit, seen.apart / self.unit
            self.reals_distinct = reals.distinct
        self.recent.append(seen.distance / self.unit)
        self.nearest = min(self.nearest, *self.recent[:-RECENT], inf)
        del self.recent[:-RECENT]
        symptoms = self._symptoms(seen) if self.before is not None else {}
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
        # A generator that only begins to learn makes samples that are nearly one, but less and less so.
        one = apart < ALIKE and apart <= 2 * self.apart_at_start
        unlearnt = distance > FAR and distance > UNLEARNT * self.start
        # Far from the reals, samples that do not change are first of all a game that does not learn.
        ended = one or (stands and not unlearnt) or (moved < STILL and distance <= FAR)
        return {
            "few": seen.distinct < FEW * self.reals_distinct and ended,
            "lost": seen.distinct < LOST * self.most_distinct and stands,
            "still": moved < STILL and distance > OUTSIDE,
            "stalled": stands and unlearnt,
            "away": distance > FAR + AWAY * min(self.nearest, *self.recent),
        }
