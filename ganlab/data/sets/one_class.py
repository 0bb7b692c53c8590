"""Sets of what is normal alone, for games that are to find what is not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from ganlab.data.classes import class_number, refuse_without_classes
from ganlab.data.order import Batch, FiniteItems, Items
from ganlab.data.pictures.images import Images
from ganlab.data.stream import Split, StreamData, labels_of, splits_of
from ganlab.errors import Refused
from ganlab.media import Medium

Classes = Sequence[int | str]


class NormalItems(StreamData):
    """Another set, of which only items of the normal classes are seen, in training and held out.

    Args:
        of: The set, with a class for each item.
    """

    def __init__(self, *, of: StreamData, **base: Any) -> None:
        super().__init__(**base)
        self.names = refuse_without_classes(type(self).__name__, of)
        self.of, self.shape, self.classes, self.class_names = of, of.shape, of.classes, of.class_names

    @property
    def normal(self) -> tuple[int, ...]:
        """The numbers of the classes that are normal."""
        raise NotImplementedError

    @property
    def setup_name(self) -> str:
        """What is normal and what is not, in a contract's words."""
        normal, others = (
            ", ".join(name for number, name in enumerate(self.names) if (number in self.normal) is wanted)
            for wanted in (True, False)
        )
        return f"normal {normal}; abnormal {others}"

    def tested(self) -> tuple[FiniteItems, Tensor]:
        """The held-out items of all classes, and which of them are abnormal."""
        _, held_out = splits_of(self, self.of)
        if held_out is None or not len(held_out):
            raise Refused(f"{type(self.of).__name__} holds nothing out: there is nothing to test on.")
        return held_out, ~torch.isin(labels_of(held_out), torch.tensor(self.normal))

    @cached_property
    def media(self) -> tuple[Medium, ...]:
        return self.of.media

    def prepare_data(self) -> None:
        self.of.prepare_data()

    def load(self) -> tuple[FiniteItems, FiniteItems | None]:
        train, held_out = splits_of(self, self.of)
        return self._normal_of(train), None if held_out is None else self._normal_of(held_out)

    def _normal_of(self, items: FiniteItems) -> Some:
        return Some(items, torch.isin(labels_of(items), torch.tensor(self.normal)).nonzero().squeeze(1))

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        images, *others = super().on_after_batch_transfer(batch, dataloader_idx)
        if isinstance(self.of, Images):
            images = self.of.augmented(images, self, self.seed)
        return images, *others

    @property
    def _streamed(self) -> Items:
        return self._normal_of(cast(FiniteItems, self.of._streamed))

    @property
    def _pin_memory(self) -> bool:
        return self.of._pin_memory

    def identity(self, split: Split) -> tuple[Any, ...]:
        return self.normal, self.of.fingerprint_of(split)


class OneClass(NormalItems):
    """Another set, of which the named classes are normal and all others are not: trained on these alone.

    Args:
        of: The set, with a class for each item.
        normal: Classes by number or name.
    """

    def __init__(self, *, of: StreamData, normal: Classes, **base: Any) -> None:
        super().__init__(of=of, **base)
        self._normal = chosen_classes(self, "normal", normal, self.names)

    @property
    def normal(self) -> tuple[int, ...]:
        return self._normal


class LeaveOut(NormalItems):
    """Another set, of which the named classes are abnormal and left out, and all others normal.

    Args:
        of: The set, with a class for each item.
        abnormal: Classes by number or name.
    """

    def __init__(self, *, of: StreamData, abnormal: Classes, **base: Any) -> None:
        super().__init__(of=of, **base)
        self.abnormal = chosen_classes(self, "abnormal", abnormal, self.names)

    @property
    def normal(self) -> tuple[int, ...]:
        return tuple(number for number in range(len(self.names)) if number not in self.abnormal)


class Some:
    """These items of a set alone."""

    def __init__(self, items: FiniteItems, positions: Tensor) -> None:
        self.items, self.positions = items, positions

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, positions: Tensor, /) -> Batch:
        return self.items[self.positions[positions]]


def chosen_classes(data: StreamData, name: str, chosen: Classes, names: tuple[str, ...]) -> tuple[int, ...]:
    numbers = tuple(sorted({class_number(type(data).__name__, each, names) for each in chosen}))
    if not 0 < len(numbers) < len(names):
        raise Refused(
            f"{type(data).__name__}: {name} names {len(numbers)} of {len(names)} classes; some have to be\n"
            "normal, and some not."
        )
    return numbers
