"""A run's scores: their bests, and which symptoms they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ganlab.metrics.copied import no_chance
from ganlab.metrics.names import measured, numbers_of_score

COVERED = ("modes", "coverage", "recall")  # names of scores that measure how much is covered
NOT_COVERED = ("class_distance",)  # and of those that measure the share that is not
CLEARLY = 0.1  # of all that could be covered
NOISES = 5.0  # standard errors that make a difference


@dataclass
class ScoreHistory:
    """What was scored until now.

    Attributes:
        bests: Each score's best, and the number of images after which it was reached.
        now: All numbers of the last evaluation.
        floor: Those of held-out reals.
        comparable: Those of as many samples as the floor, under its names.
        step: Of the last evaluation.
        parameters: By score what it alone depends on, which tells of scores of a user's own.
    """

    bests: dict[str, list[float]] = field(default_factory=dict)
    now: dict[str, float | None] = field(default_factory=dict)
    floor: dict[str, Any] = field(default_factory=dict)
    comparable: dict[str, float | None] = field(default_factory=dict)
    step: int = -1
    parameters: dict[str, Any] = field(default_factory=dict)

    def is_far(self, name: str, value: float, *, ratio: float, noise: Callable[[str], float | None]) -> bool:
        """Whether a distance is far above its best and its floor, and farther than its noise explains.

        Its noise costs some time, and is asked for only where the rest speaks for it. Shares, and scores that
        may be near 0 or less, have no ratios.
        """
        best, floor = self.bests[name][0], floor_of(name, self.floor, self.contract)
        least = max(best, floor[1] if floor else 0.0)
        if not self.is_first_distance(name) or best <= 0 or value <= ratio * least:
            return False
        error = noise(name)
        return error is not None and value - best > NOISES * error

    def is_uncovered(self, name: str, value: float) -> bool:
        """Whether a score shows that less than half of what was covered still is."""
        if not is_named(name, *COVERED, *NOT_COVERED):
            return False
        best = self.bests[name][0]
        covered, most = (1 - value, 1 - best) if name.startswith(NOT_COVERED) else (value, best)
        return covered < most / 2 and (name.startswith("modes") or most - covered > CLEARLY)

    def keep_best(self, name: str, value: float, images: int) -> bool:
        """Keep it if it is the best so far; whether it is a number of which more or less is better."""
        row, best = measured(name, self.contract), self.bests.get(name)
        if row is None or row.value.better is None:
            return False
        if best is None or (value < best[0] if row.value.better == "min" else value > best[0]):
            self.bests[name] = [value, images]
        return True

    def is_first_distance(self, name: str) -> bool:
        """Whether a number is the first of its score, and one whose ratios runs are compared by."""
        row = measured(name, self.contract)
        if row is None or row.value != numbers_of_score(row.score, self.contract).values[0]:
            return False
        return row.value.scale == "log" and row.value.better == "min"

    @property
    def contract(self) -> dict[str, Any]:
        """As far as names of numbers depend on it."""
        return {"parameters": self.parameters}


def is_named(name: str, *scores: str) -> bool:
    """Whether a number of ganlab's own begins with one of these names."""
    return measured(name) is not None and name.startswith(scores)


def floor_of(name: str, floor: Mapping[str, Any], contract: Mapping[str, Any]) -> tuple[str, float] | None:
    """What held-out reals have of a score, and its name, which tells if theirs are fewer."""
    own = measured(name, contract)
    same = (each for each in floor if (other := measured(each, contract)) and own and other == own)
    chosen = name if name in floor else next(same, None)
    return None if chosen is None or floor[chosen] is None else (chosen, float(floor[chosen]))


def copies(values: Mapping[str, float | None], floor: Mapping[str, Any], samples: int) -> bool:
    """Whether a score of copies tells more of them than held-out reals have, by intervals that part.

    Such a score is the share of samples beyond the one in a hundred that comes near by chance.
    """
    for name, value in values.items():
        if not is_named(name, "copied") or value is None:
            continue
        reals = next((value for other, value in floor.items() if is_named(other, "copied")), None)
        if no_chance(value, samples, reals or 0.0, int(floor.get("samples", samples))):
            return True
    return False
