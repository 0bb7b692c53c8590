"""Two domains of pictures without pairs, for translation from one to the other."""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from ganlab.data.classes import class_number
from ganlab.data.order import Batch, FiniteItems, Items
from ganlab.data.pictures.file_sets import empty_folder_beside
from ganlab.data.pictures.images import Images
from ganlab.data.pictures.picture_files import PictureFiles
from ganlab.data.stream import Split, StreamData, labels_of, splits_of
from ganlab.errors import Refused
from ganlab.media import Labels, Medium
from ganlab.seeds import seed_for
from ganlab.system.untrusted import readable


class Unpaired(StreamData):
    """Two classes of another set, or the two halves of pairs, as domains: targets, and beside each a source.

    Columns: a target, and a source that has nothing to do with it. Of the smaller domain items are met more
    often. Held-out items are as many as the smaller domain has; those of pairs stay pairs, so that what is
    made can be compared with the truth. What the set mirrors or cuts out, it does for each picture by itself.

    Args:
        of: The set: with a class for each item, such as an `ImageFolder` with two folders, or `Pairs`.
        source: The class that is translated, by its name or number; the first, if there are two.
        target: The class that is made; the second, if there are two.
        back: For the way back: exchange both columns.
    """

    def __init__(
        self,
        *,
        of: StreamData,
        source: str | int | None = None,
        target: str | int | None = None,
        back: bool = False,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self._base = base
        self.of, self.source, self.target, self.back = of, source, target, back
        self.shape = of.shape

    @cached_property
    def media(self) -> tuple[Medium, ...]:
        return self.of.media[0], self.of.media[0]

    def turned(self) -> Unpaired:
        return Unpaired(of=self.of, source=self.source, target=self.target, back=not self.back, **self._base)

    def belong_together(self, split: Split) -> bool:
        return split == "held_out" and self._classes() is None

    def prepare_data(self) -> None:
        self.of.prepare_data()

    def load(self) -> tuple[FiniteItems, FiniteItems | None]:
        train, held_out = splits_of(self, self.of)
        others = None if held_out is None else self._domains(held_out, held_out=True)
        return self._domains(train, held_out=False), others

    def _domains(self, items: FiniteItems, *, held_out: bool) -> _Domains:
        domains = self._classes()
        if domains is None:
            order = torch.arange(len(items))
            return _Domains(items, order, order if held_out else _mixed(order), column=1, back=self.back)
        labels = labels_of(items)
        source, target = (_of_class(labels, number, self.of, items) for number in domains)
        count = min(len(source), len(target)) if held_out else max(len(source), len(target))
        each = torch.arange(count)
        rows = target[each % len(target)], _mixed(source)[each % len(source)]
        return _Domains(items, *rows, column=0, back=self.back)

    def _classes(self) -> tuple[int, int] | None:
        """The numbers of the source's and the target's class; None: the data are pairs."""
        condition, name = self.of.condition, type(self.of).__name__
        if condition is not None and condition.shape == self.of.media[0].shape:
            if not (self.source is self.target is None):
                raise Refused(f"{name} are pairs, without classes: leave source and target out of Unpaired.")
            return None
        if not isinstance(condition, Labels) or condition.several or not self.of.classes:
            self._refuse_empty_folder()
            raise Refused(
                f"Unpaired takes a set with a class for each item, or pairs; {name} has neither.\n"
                "Of two folders of pictures, put both into one folder: ImageFolder has a class for each."
            )
        names = self.of.class_names or tuple(map(str, range(self.of.classes)))
        if (self.source is None) != (self.target is None) or (self.source is None and len(names) != 2):
            raise Refused(
                f"{name} has {len(names)} classes: name Unpaired's source and target, two of\n"
                f"{', '.join(names[:20])}."
            )
        source, target = (
            (0, 1) if self.source is None else (class_number("Unpaired", each, names) for each in self._named)
        )
        if source == target:
            raise Refused("Unpaired: source and target are one class. Name two.")
        return source, target

    def _refuse_empty_folder(self) -> None:
        if isinstance(self.of, PictureFiles):
            archive, pictures = self.of.source
            if empty := empty_folder_beside(archive, [picture.name for picture in pictures]):
                raise Refused(f"Unpaired: {readable(empty)} holds no pictures, and one domain is none.")

    @property
    def _named(self) -> tuple[Any, Any]:
        return self.source, self.target

    @property
    def _streamed(self) -> Items:
        return self._domains(cast(FiniteItems, self.of._streamed), held_out=False)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        columns = super().on_after_batch_transfer(batch, dataloader_idx)
        if not isinstance(self.of, Images):
            return columns
        target, source = columns
        return (
            self.of.augmented(target, self, "target", self.seed),
            self.of.augmented(source, self, "source", self.seed),
        )

    @property
    def _pin_memory(self) -> bool:
        return self.of._pin_memory

    def identity(self, split: Split) -> tuple[Any, ...]:
        return self._classes(), self.back, self.of.fingerprint_of(split)


class _Domains:
    """Targets at these positions of a set, beside sources at those: of its first column, or another.

    Args:
        back: Exchange both columns.
    """

    def __init__(
        self, items: FiniteItems, targets: Tensor, sources: Tensor, *, column: int, back: bool
    ) -> None:
        self.items, self.targets, self.sources, self.column, self.back = items, targets, sources, column, back

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, positions: Tensor, /) -> Batch:
        target, source = self.items[self.targets[positions]], self.items[self.sources[positions]]
        columns = target[0], source[self.column]
        return columns[::-1] if self.back else columns


def _mixed(positions: Tensor) -> Tensor:
    source = torch.Generator().manual_seed(seed_for("unpaired"))
    return positions[torch.randperm(len(positions), generator=source)]


def _of_class(labels: Tensor, number: int, data: StreamData, items: FiniteItems) -> Tensor:
    positions = (labels == number).nonzero().squeeze(1)
    if not len(positions):
        name = data.class_names[number] if data.class_names else number
        raise Refused(
            f"Unpaired: of {len(items):,} items none is of class {name}. Are too few held out (held_out)?"
        )
    return positions
