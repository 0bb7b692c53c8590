"""Labels: what is known of an item, as whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganlab.errors import Refused
from ganlab.media.medium import Medium


class Labels(Medium):
    """One class of several, or of each of several attributes whether an item has it.

    Args:
        classes: How many classes or attributes there are.
        names: Of the classes or attributes, in the order of their numbers.
        several: An item has a row of zeros and ones, one for each attribute.
    """

    form = "whole numbers of shape (n,), or of shape (n, attributes)"
    array = "labels"

    def __init__(self, classes: int, names: Sequence[str] | None = None, several: bool = False) -> None:
        super().__init__((classes,) if several else ())
        self.classes, self.several = classes, several
        self.names = None if names is None else tuple(map(str, names))

    def played(self, stored: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        return stored

    def stored(self, items: Tensor) -> Tensor:
        return items

    def blank(self) -> Tensor:
        return torch.zeros(1, *self.shape, dtype=torch.long)

    def number_of(self, label: int | str) -> int:
        """The number of a class that is given by number or name."""
        if self.names and label in self.names:
            return self.names.index(str(label))
        if not str(label).isdecimal() or int(label) >= self.classes:
            known = ", ".join(self.names[:20]) if self.names else f"0 to {self.classes - 1}"
            raise Refused(f"There is no class {label}: classes are {known}.")
        return int(label)

    @property
    def class_names(self) -> tuple[str, ...]:
        return () if self.several else self._all_names

    @property
    def _all_names(self) -> tuple[str, ...]:
        return self.names or tuple(map(str, range(self.classes)))

    @classmethod
    def holds(cls, items: Tensor) -> bool:
        return not items.is_floating_point() and items.ndim in (1, 2)

    def captions(self, stored: Tensor) -> list[str]:
        """Each item's class or attributes in words, or their numbers where they have no names."""
        names = self._all_names
        rows = stored.tolist()
        if not self.several:
            return [names[number] if 0 <= number < len(names) else str(number) for number in rows]
        return [", ".join(name for name, has in zip(names, row, strict=True) if has) for row in rows]

    def plain(self) -> dict[str, Any]:
        arguments = {
            "classes": self.classes,
            "names": self.names and list(self.names),
            "several": self.several,
        }
        return {**super().plain(), "init_args": arguments}
