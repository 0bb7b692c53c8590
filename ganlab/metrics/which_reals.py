"""Which items of a split are the reals, in portions as they are stored, and what their classes are."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, cast

import torch
from torch import Tensor

from ganlab.data.stream import Split, StreamData
from ganlab.media import stored
from ganlab.metrics.class_scores import classes_of, refuse_other_logits
from ganlab.metrics.observed import Classes
from ganlab.metrics.pairs import unrestored
from ganlab.metrics.scorer import Batches, Scorer
from ganlab.system.processes import shares

BATCH = 250
TRIED = 256  # reals whose classes an extractor's logits have to tell, before the first step


def kept_indices(total: int, samples: int) -> Tensor | None:
    """Which reals keep their features: as many as there are fakes; None for all.

    One of each of so many equal parts, by chance: sets are often sorted by class, and MNIST's images come
    from two groups of writers in turn, so that every sixth would be of one of them.
    """
    if total <= samples:
        return None
    edges = torch.arange(samples + 1) * total // samples
    chance = torch.rand(samples, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return edges[:-1] + (chance * edges.diff()).long()


def counted(items: Any, samples: int) -> int:
    """How many reals are used: all, but of an endless stream as many as there are fakes."""
    return len(items) if isinstance(items, Sized) else samples


def spread(items: Any, index: Tensor, total: int) -> Tensor:
    """Which items are taken for these of `total`."""
    kept = kept_indices(counted(items, total), total)
    return index if kept is None else kept[index]


def batches_of(data: StreamData, items: Any, total: int) -> Batches:
    """This process's share of `total` items, as they are stored."""
    for index in shares(total, BATCH):
        yield index, data.media[0].stored(items[spread(items, index, total)][0])


def source_batches(data: StreamData, items: Any, total: int) -> Batches:
    """This process's share of what so many samples are made from, as pictures of the reals' shape."""
    for index in shares(total, BATCH):
        yield index, _sources(data, items, index)


def _sources(data: StreamData, items: Any, index: Tensor) -> Tensor:
    return unrestored(stored(data.media, items[index]))


def refuse_without_sources(scorer: Scorer, data: StreamData, split: Split) -> None:
    """Try two of the sources, if a score is of them."""
    if scorer.of_sources:
        scorer.extractor(_sources(data, getattr(data.splits, split), torch.arange(2)))


def real_classes(
    scorer: Scorer, data: StreamData, items: Any, kept: Tensor | None, total: int
) -> Classes | None:
    """The classes of those of `total` items that keep their features, if a score needs them."""
    if not (score := next((name for name, row in scorer.rows.items() if row.needs == "classes"), None)):
        return None
    indices = spread(items, torch.arange(total) if kept is None else kept, total)
    return classes_of(data, items, indices, score)


def refuse_unfit_extractor(scorer: Scorer, data: StreamData, split: Split) -> None:
    """Tell the extractor the medium; show it some reals, if its logits have to be those of their classes."""
    scorer.extractor.refuse_unfit(data.media[0])
    items: Any = getattr(data.splits, split)
    if items is None or not scorer.compares_classes:
        return
    total = min(counted(items, TRIED), TRIED)
    images = data.media[0].stored(items[spread(items, torch.arange(total), total)][0])
    logits = scorer.extractor(images).logits
    refuse_unfit_logits(scorer, logits, real_classes(scorer, data, items, None, total))


def refuse_unfit_logits(scorer: Scorer, logits: Tensor | None, classes: Classes | None) -> None:
    """Refuse logits of reals that are not those of their classes, if a score takes them for these."""
    if scorer.compares_classes and classes:
        scorer.refuse_no_logits(logits)
        refuse_other_logits(type(scorer.extractor).__name__, cast(Tensor, logits).cpu(), classes)
