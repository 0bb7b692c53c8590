"""A labelled set of which few labels are known, for semi-supervised games."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ganlab import bounds
from ganlab.data.classes import refuse_without_classes
from ganlab.data.order import Batch, FiniteItems
from ganlab.data.pictures.images import Images
from ganlab.data.stream import Split, StreamData, labels_of, splits_of
from ganlab.errors import Refused
from ganlab.media import Medium
from ganlab.seeds import seed_for


class Labelled(StreamData):
    """Another set, of which few training items have their label: beside each item stands one that has.

    Columns: an item, a labelled item, the label of that. The labelled are `labels` items, as many of each
    class, or one more of some; which they are follows from `draw` alone. Item i stands beside the labelled
    item i mod `labels`. A held-out item stands beside itself, with its own label.

    Args:
        data: The set, with a class for each item.
        labels: How many items are labelled, of all classes together.
        draw: Which are: another number, others.
    """

    def __init__(self, *, data: StreamData, labels: int = 100, draw: int = 0, **base: Any) -> None:
        super().__init__(**base)
        bounds.at_least(1, self, labels=labels)
        bounds.seed(self, draw=draw)
        refuse_without_classes("Labelled", data)
        if isinstance(data, Images) and (data.flip or data.load_size):
            raise Refused("Labelled shows items as they are: leave flip and load_size out of its data.")
        self.data, self.labels, self.draw = data, labels, draw
        self.shape, self.classes, self.class_names = data.shape, data.classes, data.class_names

    @cached_property
    def media(self) -> tuple[Medium, ...]:
        item, label = self.data.media
        return item, item, label

    def prepare_data(self) -> None:
        self.data.prepare_data()

    def load(self) -> tuple[FiniteItems, FiniteItems | None]:
        items, held_out = splits_of(self, self.data)
        chosen = balanced(labels_of(items), self.labels, self.data.classes or 0, self.draw)
        return _Beside(items, chosen), None if held_out is None else _Beside(held_out, None)

    @cached_property
    def label_counts(self) -> list[int]:
        return self.data.label_counts

    @property
    def _pin_memory(self) -> bool:
        return self.data._pin_memory

    def identity(self, split: Split) -> tuple[Any, ...]:
        chosen = (self.labels, self.draw) if split == "train" else ()
        return *chosen, self.data.fingerprint_of(split)


class _Beside:
    """Items, each beside a labelled one: those of these numbers in turn, or itself."""

    def __init__(self, items: FiniteItems, labelled: Tensor | None) -> None:
        self.items, self.labelled = items, labelled

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, positions: Tensor, /) -> Batch:
        (item, label), labelled = self.items[positions], self.labelled
        if labelled is None:
            return item, item, label
        return item, *self.items[labelled[positions % len(labelled)]]


def balanced(labels: Tensor, count: int, classes: int, draw: int) -> Tensor:
    """The numbers of `count` items, as many of each class or one more of some, in an order by chance."""
    source = torch.Generator().manual_seed(seed_for("labelled", draw))
    order = torch.randperm(len(labels), generator=source)
    of_class = [order[labels[order] == number] for number in torch.randperm(classes, generator=source)]
    each = [count // classes + (place < count % classes) for place in range(classes)]
    if short := [len(items) for items, wanted in zip(of_class, each, strict=True) if len(items) < wanted]:
        raise Refused(
            f"Labelled: labels is {count}, so that {max(each)} items of a class are labelled, and one\n"
            f"of the {classes} classes has {short[0]}. Label fewer."
        )
    chosen = torch.cat([items[:wanted] for items, wanted in zip(of_class, each, strict=True)])
    return chosen[torch.randperm(count, generator=source)]
