"""What a pass over samples gathers for scores besides features, in all processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from ganlab.errors import Refused
from ganlab.system.processes import everyones, summed


class Gathering(ABC):
    """Given portion after portion of this process's share of the samples."""

    @abstractmethod
    def add(self, index: Tensor, made: Tensor, beside: Sequence[Any], in_part: Tensor) -> None:
        """Some samples.

        Args:
            index: Their numbers.
            made: They themselves, as data store them.
            beside: Where a score asks for it the real batch that their conditions come from, and what the way
                back makes again of them.
            in_part: Whether each is one of those that are looked at by themselves as well.
        """

    @abstractmethod
    def compute(self) -> tuple[Any, Any]:
        """Of the samples of all processes, which all have to call this, and of those in the part."""


class Sum(Gathering):
    """What is counted of samples, added up."""

    def __init__(self, count: Callable[[Tensor], Any]) -> None:
        self.count = count
        self.of_all: Any = None
        self.of_part: Any = None

    def add(self, index: Tensor, made: Tensor, beside: Sequence[Any], in_part: Tensor) -> None:
        made = made.cpu()
        self.of_all = _plus(self.of_all, self._counted(made))
        if in_part.any():
            self.of_part = _plus(self.of_part, self._counted(made[in_part]))

    def _counted(self, made: Tensor) -> Any:
        if not isinstance(counted := self.count(made), Tensor | Counter | int | float):
            raise Refused(
                f"{self.count.__qualname__} gives a {type(counted).__name__}, and portions of it cannot be"
                " added:\ngive a tensor, a Counter or a number."
            )
        return counted

    def compute(self) -> tuple[Any, Any]:
        of_all, of_part = (reduce(_plus, everyones(side), None) for side in (self.of_all, self.of_part))
        return of_all, of_part


class ValuesOfPairs(Gathering):
    """A row of values for each pair, in the order of their numbers, however many processes there are.

    Args:
        again: Compare what the way back makes again of samples in place of them.
    """

    def __init__(
        self, compare: Callable[[Tensor, Any], Tensor], total: int, values: int, again: bool = False
    ) -> None:
        self.compare, self.again = compare, again
        self.rows = torch.zeros(total, values, dtype=torch.float64)
        self.occurrences = torch.zeros(total, dtype=torch.long)

    def add(self, index: Tensor, made: Tensor, beside: Sequence[Any], in_part: Tensor) -> None:
        rows = self.compare(beside[1] if self.again else made, beside[0])
        if rows.numel() != len(made) * self.rows.shape[1]:
            raise Refused(
                f"{self.compare.__qualname__} gives numbers of the shape {tuple(rows.shape)} for {len(made)}"
                f" pairs:\ngive {self.rows.shape[1]} for each (values)."
            )
        self.rows[index] = rows.detach().to("cpu", torch.float64).reshape(len(made), -1)
        self.occurrences += index.bincount(minlength=len(self.occurrences))

    def compute(self) -> tuple[Tensor, None]:
        occurrences = summed(self.occurrences)
        if not bool((occurrences == 1).all()):
            raise Refused(
                f"Of {len(occurrences)} pairs {int((occurrences != 1).sum())} are missing or came twice."
            )
        return summed(self.rows), None


def _plus(first: Any, second: Any) -> Any:
    if first is None or second is None:
        return first if second is None else second
    return first + second
