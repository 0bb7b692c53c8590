"""Symptoms of a run that goes wrong: which there are, what each means, and since when one holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Symptom(NamedTuple):
    """A row of the table.

    Attributes:
        kind: What a run that ends with it is called.
        words: What was seen.
        patience: How many looks in a row, or for scores evaluations, make it more than an accident.
        counted: It is told with the number of distinct samples.
    """

    kind: str
    words: str
    patience: int
    counted: bool = False


TABLE = {
    "alike": Symptom("collapsed", "samples of a class look alike, far more than reals do", 3, counted=True),
    "few": Symptom("collapsed", "far fewer samples are distinct than of as many reals", 3, counted=True),
    "lost": Symptom("collapsed", "samples differ less and less", 3, counted=True),
    "uncovered": Symptom("collapsed", "fewer and fewer modes or classes are covered", 2),
    "won": Symptom(
        "not learning",
        "the discriminator has won: its loss is near nothing, and samples are far from reals",
        1,
    ),
    "outplayed": Symptom(
        "not learning",
        "look after look the discriminator's loss is near nothing, and samples are far from reals",
        4,
    ),
    "still": Symptom("not learning", "samples do not change any more, and are far from reals", 3),
    "stalled": Symptom("not learning", "samples are no nearer to the reals than at the start", 1),
    "away": Symptom("diverged", "samples move away from the reals", 3),
    "exploded": Symptom("diverged", "a term has exploded", 3),
    "misled": Symptom("diverged", "the discriminator does far worse than one that cannot tell", 3),
    "worse": Symptom("diverged", "the score is far above its best", 2),
    "copied": Symptom(
        "memorising", "more samples than of held-out reals are all but equal to a training item", 1
    ),
}


@dataclass
class Symptoms:
    """How often in a row each has held, and after how many images it began.

    Attributes:
        alarms: One for each time that one became more than an accident, with its step and images.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TABLE, 0))
    since: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TABLE, 0))
    alarms: list[dict[str, Any]] = field(default_factory=list)

    def count(self, symptom: str, holds: bool, images: int) -> None:
        self.counts[symptom] = self.counts[symptom] + 1 if holds else 0
        if self.counts[symptom] == 1:
            self.since[symptom] = images

    def present(self) -> list[str]:
        return [name for name, symptom in TABLE.items() if self.counts[name] >= symptom.patience]

    def raise_alarms(self, step: int) -> list[str]:
        """Add alarms for new symptoms, which are returned, and end those that are over."""
        before, now = {alarm["symptom"] for alarm in self.alarms if not alarm["over"]}, self.present()
        new = [name for name in now if name not in before]
        self.alarms += [
            {"symptom": name, "step": step, "images": self.since[name], "over": False} for name in new
        ]
        for alarm in self.alarms:
            alarm["over"] |= alarm["symptom"] not in now
        return new
