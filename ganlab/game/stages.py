"""Stages at the beginning of a run, in which one side plays alone while the other rests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ganlab import bounds
from ganlab.errors import Refused

Name = Literal["generator", "discriminator"]


@dataclass(frozen=True)
class Stage:
    """So many steps in which one side plays alone, or both.

    Args:
        steps: A batch each.
        alone: The side that plays; none: both.
        adversarial: Of a generator alone: whether it plays against the discriminator that rests, or learns
            by its other terms, as one that is trained beforehand.
    """

    steps: int
    alone: Name | None = None
    adversarial: bool = False

    def __post_init__(self) -> None:
        bounds.at_least(1, self, steps=self.steps)
        if self.alone not in (None, "generator", "discriminator"):
            raise Refused(
                f"A stage is played by {self.alone!r} alone: name generator or discriminator (alone)."
            )
        if self.adversarial and self.alone != "generator":
            raise Refused("A stage's adversarial: true is for a generator alone: without one leave it out.")

    @property
    def has_adversary(self) -> bool:
        """Whether the generator is judged by the discriminator."""
        return self.alone != "generator" or self.adversarial

    def is_played_by(self, side: str) -> bool:
        return self.alone in (None, side)

    @property
    def words(self) -> str:
        if self.alone is None:
            return "both sides play"
        how = (
            ""
            if self.alone == "discriminator"
            else (
                ", against the discriminator as it is"
                if self.adversarial
                else ", by its terms without an adversary"
            )
        )
        return f"the {self.alone} plays alone{how}"


def stage_at(stages: Sequence[Stage], step: int) -> tuple[int, Stage]:
    """The stage of a step, and its number from 1 on; after the last both sides play."""
    for number, stage in enumerate(stages, 1):
        if step < stage.steps:
            return number, stage
        step -= stage.steps
    return len(stages) + 1, Stage(1)
