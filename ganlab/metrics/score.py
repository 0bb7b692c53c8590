"""What a score is: the numbers that it gives, which direction is better, and what they are made from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

from torch import Tensor

from ganlab.class_paths import public_path
from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.media import Medium
from ganlab.metrics.code_identity import code_identity
from ganlab.metrics.gathering import Gathering, Sum, ValuesOfPairs
from ganlab.metrics.observed import Pair

Better = Literal["min", "max"]
Scale = Literal["log", "raw"]
Needs = Literal[
    "moments", "spatial", "features", "logits", "classes", "training", "pairs", "again", "samples"
]
OF_ITEMS = ("pairs", "again")  # what is made from an item, beside that item
RealBatch = tuple[Any, ...]  # its columns as data store them


class Value(NamedTuple):
    """One of the numbers of a score.

    Attributes:
        name: With {n} in the place of the number of samples.
        better: Which direction is better; none for a number that only says how certain another one is.
        scale: The scale on which runs are compared: log for distances, which differ by factors.
        of_all_reals: It is taken against all reals, and others against as many as there are samples.
    """

    name: str
    better: Better | None = None
    scale: Scale = "raw"
    of_all_reals: bool = False


class Numbers(NamedTuple):
    """The numbers of a score, and which of them runs and checkpoints are judged by."""

    values: tuple[Value, ...]
    judged: int = 0


class Score(ABC):
    """A score; one of a user's own is a subclass of PairScore, SampleScore or FeatureScore.

    Its class, its file and its arguments stand in the contract of what it gives: keep nothing in its
    attributes that changes from one evaluation to the next.

    Attributes:
        values: The numbers that it gives.
        judged: Which of them runs and checkpoints are judged by.
        needs: What it is made from.
        least: How many samples it needs.
        suffix: What the names of its numbers end in, where arguments make it another score.
        of_features: Whether it is made from an extractor's features, whose suffix its names have then, too.
        has_floor: Whether reals in place of the samples have such a score.
        undefined: Why a number of it may be none.
        compares_classes: Whether it takes an extractor's logits for those of the samples' classes.
        of_sources: Whether it is of what samples were made from, in place of them.
        of_reals: Whether it compares each sample with the real that belongs to it.
        medium: Of the samples that it takes, if it takes those of one alone, and no features of them.
    """

    values: tuple[Value, ...]
    judged: int = 0
    needs: Needs
    least: int = 2
    suffix: str = ""
    of_features: bool = False
    has_floor: bool = True
    undefined: str = "undefined for so few or so equal samples"
    compares_classes: bool = False
    of_sources: bool = False
    of_reals: bool = False
    medium: type[Medium] | None = None

    @property
    def name(self) -> str:
        """Under which its own parameters stand in a contract."""
        return self.values[0].name.partition("{n}")[0].rstrip("_") + self.suffix

    @property
    def numbers(self) -> Numbers:
        return Numbers(self.values, self.judged)

    def names(self, n: str, suffix: str, beyond: str = "") -> list[str]:
        """Of its numbers for n samples.

        Args:
            suffix: The extractor's.
            beyond: A word for those that are taken against all reals, where these are more.
        """
        ends = self.suffix + suffix
        return [value.name.format(n=n) + beyond * value.of_all_reals + ends for value in self.values]

    @abstractmethod
    def compute(self, pair: Pair) -> Sequence[float]:
        """Its numbers, from what was gathered of both sides."""

    def floor(self, pair: Pair) -> Sequence[float]:
        """What reals have, if it is not what the other split has."""
        return self.compute(pair)

    def refuse_unfit(self, data: StreamData) -> None:  # noqa: B027, most are of any data
        """Refuse data that it cannot be taken of; called before the first step."""

    def gathering(self, total: int) -> Gathering | None:
        """What a pass over so many samples gathers for it besides features; none: nothing."""
        return None

    @property
    def ships(self) -> bool:
        """Whether its class is ganlab's own and no user's."""
        return type(self).__module__.startswith("ganlab.")

    def parameters(self) -> dict[str, Any]:
        """What it alone depends on, and what its numbers say, as plain data in its contract."""
        values = [[value.name + self.suffix, value.better, value.scale] for value in self.values]
        told = {"class": public_path(type(self)), **code_identity(self, "score")}
        return {**told, "values": values, "judged": self.judged}


class FeatureScore(Score):
    """A score of features: `needs` says of which, and `compute` makes the numbers of a pair's two sides."""

    of_features = True


class PairScore(Score):
    """The mean over pairs: each sample beside the real batch that it was made from."""

    needs: Needs = "pairs"
    of_reals: bool = True
    has_floor = False
    undefined = "not every pair has a finite value"

    @abstractmethod
    def compare(self, made: Tensor, real: RealBatch) -> Tensor:
        """A number for each pair; of several values a row of them.

        Args:
            made: Some samples as data store them; for a score that needs `again`, what the way back makes of
                them.
            real: The real batch that their conditions come from, each column as data store it; of equal
                length, on the device of the samples.
        """

    def gathering(self, total: int) -> Gathering:
        return ValuesOfPairs(self.compare, total, len(self.values), self.needs == "again")

    def compute(self, pair: Pair) -> Sequence[float]:
        return pair.fake.gathered[self.name].mean(0).tolist()


class SampleScore(Score):
    """A score of what is counted of samples as data store them, such as n-grams or lengths.

    The reals that are counted are all of their split.
    """

    needs = "samples"

    @abstractmethod
    def count(self, samples: Tensor) -> Tensor | Counter[Any] | float:
        """What adds, of some samples on the CPU: of two portions it is the sum of theirs."""

    @abstractmethod
    def compare(self, real: Any, fake: Any) -> Sequence[float]:
        """The score's numbers, by what was counted of all reals and of all samples."""

    def gathering(self, total: int) -> Gathering:
        return Sum(self.count)

    def compute(self, pair: Pair) -> Sequence[float]:
        return self.compare(pair.real.gathered[self.name], pair.fake.gathered[self.name])


def refuse_malformed(score: Score) -> None:
    """Refuse numbers that no table could hold, and one that nothing can be judged by."""
    kind = type(score).__name__
    if not getattr(score, "values", ()):
        raise Refused(
            f"{kind} has no values: name the numbers that it gives, such as Value('mine{{n}}', 'min')."
        )
    if getattr(score, "needs", None) not in get_args(Needs):
        raise Refused(f"{kind} does not say what it needs: one of {', '.join(get_args(Needs))}.")
    if score.needs in OF_ITEMS and score.has_floor:
        raise Refused(
            f"{kind} compares pairs, which reals in place of samples do not have: has_floor = False."
        )
    names = [value.name for value in score.values]
    for name in names:
        before, number, after = name.partition("{n}")
        if not (number and before.isidentifier() and f"a{after}".isidentifier() and name.isascii()):
            raise Refused(
                f"{kind} names a number '{name}': a name is of letters, digits and _, and has {{n}} in the\n"
                "place of the number of samples, such as vowels{n}."
            )
    if not 0 <= score.judged < len(names) or score.values[score.judged].better is None:
        raise Refused(
            f"{kind} says of none of its numbers that runs are judged by it: give it values, and the one at"
            f"\nthe position judged ({score.judged}) a direction, min or max."
        )
