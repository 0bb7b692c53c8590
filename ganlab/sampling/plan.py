"""Which samples are drawn: sample i of a seed is the same whatever the number of samples and processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from ganlab.data.stream import Split
from ganlab.errors import Refused
from ganlab.game.conditions import ITEMS, Conditions
from ganlab.game.draws import BLOCK
from ganlab.game.gan import GAN
from ganlab.metrics.class_scores import no_classes
from ganlab.metrics.observed import Classes
from ganlab.metrics.scorer import Batches, Scorer
from ganlab.system.processes import rank_and_world, shares


def portions(samples: int) -> Iterator[tuple[int, int]]:
    """Of each block its first sample, and how many of it are asked for."""
    for start in range(0, samples, BLOCK):
        yield start, min(BLOCK, samples - start)


def scored_samples(game: GAN, asked: int | None, default: int) -> int:
    """How many samples are scored: as many as are asked for, else `default`, or as many as can be told."""
    if asked is None:
        return game.at_most(default)
    if game.conditions:
        game.conditions.refuse_beyond(asked)
    return asked


def compared_split(conditions: Conditions | None, asked: Split | None) -> Split:
    """The split of the reals that samples are compared with: that of the items which they are told of.

    Else samples made of held-out items would be nearer to these than to what they are compared with.
    """
    told = conditions and conditions.split
    if told and asked not in (None, told):
        raise Refused(
            f"Samples are told what {ITEMS[told]} hold, so that the reals are those of {told}, too, and not\n"
            f"of {asked}: leave out split."
        )
    return told or asked or "train"


def refuse_without_reals(scorer: Scorer, conditions: Conditions | None) -> None:
    """Refuse scores of pairs where samples are made of no real batch."""
    paired = [score for score, row in scorer.rows.items() if row.needs == "pairs"]
    if paired and not (conditions and conditions.split):
        told = f"told {conditions.rule}" if conditions else "told nothing of data"
        raise Refused(
            f"The score {paired[0]} compares each sample with the real that it was made from, and these\n"
            f"samples are made from none ({told}): leave it out (scores)."
        )


def given_choices(choices: Mapping[str, Any] | None) -> dict[str, Any]:
    """Those that are chosen: one that is None is as good as left out."""
    return {name: value for name, value in (choices or {}).items() if value is not None}


def fake_batches(
    model: GAN, samples: int, seed: int, *, raw: bool = False, beside: bool = False, **choices: Any
) -> Batches:
    """This process's share of the samples with their indices, as data store them: pictures as bytes.

    A process without a share yields a block without indices, because it needs the shape of the features.

    Args:
        beside: Yield with each block, too, the real batch that its conditions come from, as data store it, on
            the device of the samples.
        choices: What samples are drawn with.
    """
    blocks = [*portions(samples)]
    own = [int(block) for block in shares(len(blocks), 1)]
    for block in own or [0]:
        start, count = blocks[block]
        made = model.sample(count, seed=seed, raw=raw, at=start, whole=True, **choices)
        numbered = start + torch.arange(count if own else 0), model.medium(made).stored(made)
        yield (*numbered, _reals(model, start + torch.arange(count), seed)) if beside else numbered


def _reals(model: GAN, numbers: Tensor, seed: int) -> tuple[Any, ...]:
    """The batch that the conditions of samples of these numbers come from."""
    assert model.conditions
    batch = model.conditions.batch(numbers, seed)
    if batch[0] is None:
        raise Refused(
            "An export holds no reals that samples could be compared with: name data (--reference)."
        )
    known = [medium.stored(column) for medium, column in zip(model.media, batch, strict=False)]
    moved: tuple[Any, ...] = apply_to_collection(
        (*known, *batch[len(known) :]), Tensor, lambda column: column.to(model.device)
    )
    return moved


def fake_classes(scorer: Scorer, model: GAN, seed: int) -> Classes | None:
    """The classes that samples are told, those of all processes, if a score needs them; else None.

    A game that tells no single class is refused.
    """
    if not scorer.needs("classes"):
        return None
    labels, known = model.told_classes(torch.arange(scorer.samples), seed=seed), model.condition_medium
    if labels is None or not known:
        raise no_classes("a game's samples")
    return Classes.of(known.class_names, labels)


@contextmanager
def first_process_buffers(model: GAN) -> Iterator[None]:
    """Within, all processes have the buffers of the first, which are those in checkpoints.

    Otherwise they differ: normalisation keeps statistics of each process's own batches.
    """
    if rank_and_world()[1] == 1:
        yield
        return
    buffers = [*model.generator.buffers(), *model.ema.buffers()]
    copies = [buffer.clone() for buffer in buffers]
    for buffer in buffers:
        dist.broadcast(buffer, 0)
    try:
        yield
    finally:
        for buffer, copy in zip(buffers, copies, strict=True):
            buffer.copy_(copy)
