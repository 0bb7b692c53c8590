"""What samples are told: the condition of sample i of a seed, the same wherever it is drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence, Sized
from typing import Any, cast

import torch
from torch import Tensor

from ganlab.data.order import FiniteItems
from ganlab.data.stream import Split, StreamData
from ganlab.errors import Refused
from ganlab.game.draws import BLOCK
from ganlab.seeds import seed_for
from ganlab.system.untrusted import whole_number

Batch = tuple[Any, ...]
ITEMS: dict[Split, str] = {"train": "training items", "held_out": "items of held_out"}


class Conditions(ABC):
    """Where the conditions of samples come from.

    Attributes:
        rule: In a contract's words.
        split: Whose item i sample i is told of; none: samples are told labels, and are of no item.
        total: For how many samples there are conditions; none: for any number.
        has_reals: Sample i has a real that belongs to it, the first column of its batch.
    """

    rule: str
    split: Split | None = None
    total: int | None = None
    has_reals: bool = False

    def refuse_beyond(self, count: int) -> None:
        """Refuse more samples than there are conditions for."""
        if self.total is not None and count > self.total:
            raise Refused(
                f"Samples are told what {self.rule} hold, and there are {self.total:,} of these:\n"
                f"there is none for sample {count - 1:,}. Draw fewer."
            )

    @abstractmethod
    def batch(self, numbers: Tensor, seed: int) -> Batch:
        """A batch, as data store it, from which a game takes the conditions of samples of these numbers.

        A column that is not known is None.
        """

    @abstractmethod
    def plain(self) -> dict[str, Any] | None:
        """What checkpoints and exports hold of them; None: nothing, because they are somebody's data."""


class LabelFrequencies(Conditions):
    """Labels as often as a split has them: each at a uniform number that follows from seed and number."""

    def __init__(self, counts: Sequence[int], rule: str = "labels of train") -> None:
        self.counts, self.rule = [*counts], rule
        shares = torch.tensor(self.counts, dtype=torch.float64).cumsum(0)
        self._upper = shares / shares[-1]

    def batch(self, numbers: Tensor, seed: int) -> Batch:
        labels = torch.searchsorted(self._upper, _uniform(numbers, seed), right=True)
        return None, labels.clamp(max=len(self.counts) - 1)

    def plain(self) -> dict[str, Any]:
        return {"counts": self.counts, "rule": self.rule}

    @classmethod
    def rebuilt(cls, plain: Any) -> LabelFrequencies | None:
        """From what a file holds; None if that are no counts."""
        counts = plain.get("counts") if isinstance(plain, dict) else None
        values = [whole_number(count) for count in counts] if isinstance(counts, list) else []
        known = [value for value in values if value is not None]
        if len(known) != len(values) or not sum(known):
            return None
        return cls(known, str(plain.get("rule"))[:80])


class ItemsOfSplit(Conditions):
    """Of sample i whatever the game takes from item i of a split.

    Args:
        has_reals: The columns of these items belong together.
    """

    def __init__(self, items: FiniteItems, split: Split, has_reals: bool = True) -> None:
        self.items, self.split, self.total, self.has_reals = items, split, len(items), has_reals
        self.rule = ITEMS[split]

    def batch(self, numbers: Tensor, seed: int) -> Batch:
        self.refuse_beyond(int(numbers.max()) + 1 if len(numbers) else 0)
        return tuple(self.items[numbers])

    def plain(self) -> None:
        return None


def conditions_of(data: StreamData, takes_labels_alone: bool) -> Conditions:
    """Those of a conditional game on these data.

    Args:
        takes_labels_alone: The game takes its condition from the labels, and from nothing else of a batch.
    """
    if takes_labels_alone and data.condition and data.condition.class_names:
        return LabelFrequencies(data.label_counts)
    if (held_out := data.splits.held_out) is not None:
        return ItemsOfSplit(held_out, "held_out", data.belong_together("held_out"))
    train: Any = data.splits.train
    if not isinstance(train, Sized):
        raise Refused(f"{type(data).__name__} is endless and holds nothing out: there is nothing to tell.")
    return ItemsOfSplit(cast(FiniteItems, train), "train", data.belong_together("train"))


def _uniform(numbers: Tensor, seed: int) -> Tensor:
    """A number in [0, 1) for each of these numbers of samples."""
    if not len(numbers):
        return torch.empty(0, dtype=torch.float64)
    first, last = (int(number) // BLOCK for number in numbers.aminmax())
    drawn = [
        torch.rand(BLOCK, dtype=torch.float64, generator=_source(seed, block))
        for block in range(first, last + 1)
    ]
    return torch.cat(drawn)[numbers - first * BLOCK]


def _source(seed: int, block: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed_for("condition", seed, block))
