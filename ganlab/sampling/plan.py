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
from ganlab.media import Labels, stored
from ganlab.metrics.class_scores import no_classes
from ganlab.metrics.observed import Classes
from ganlab.metrics.score import OF_ITEMS
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


def refuse_without_reals(scorer: Scorer, game: GAN | None) -> None:
    """Refuse scores of pairs and of sources where samples are made of no real batch, or go no way back."""
    conditions, rows = game.conditions if game else None, scorer.rows.items()
    items = [score for score, row in rows if row.needs in OF_ITEMS or row.of_sources]
    if items and not (conditions and conditions.split):
        told = f"told {conditions.rule}" if conditions else "told nothing of data"
        raise Refused(
            f"The score {items[0]} looks at the items that samples were made from, and these samples are\n"
            f"made from none ({told}): leave it out (scores)."
        )
    if (reals := [score for score, row in rows if row.of_reals]) and not (
        conditions and conditions.has_reals
    ):
        raise Refused(
            f"The score {reals[0]} compares each sample with the real that belongs to it, and none does:\n"
            "the columns of the data have nothing to do with one another. Leave it out (scores)."
        )
    if (again := [score for score, row in rows if row.needs == "again"]) and game and not opposite(game):
        raise Refused(
            f"The score {again[0]} needs a game that goes there and back again, as CycleGAN does, and\n"
            f"{type(game).__name__} goes one way: leave it out (scores)."
        )


def class_names(game: GAN) -> tuple[str, ...]:
    """Of the classes that a game's samples are told; a game that tells none is refused."""
    known = game.condition_medium
    if not (game.is_conditional and isinstance(known, Labels) and known.class_names):
        raise Refused(
            f"{type(game).__name__} tells its samples no class, so that nobody knows theirs:\n"
            "take a conditional game; for samples without classes: ganlab sample RUN --out folder/"
        )
    return known.class_names


def given_choices(choices: Mapping[str, Any] | None) -> dict[str, Any]:
    """Those that are chosen: one that is None is as good as left out."""
    return {name: value for name, value in (choices or {}).items() if value is not None}


def fake_batches(
    model: GAN, samples: int, seed: int, *, raw: bool = False, scorer: Scorer | None = None, **choices: Any
) -> Batches:
    """This process's share of the samples with their indices, as data store them: pictures as bytes.

    A process without a share yields a block without indices, because it needs the shape of the features.

    Args:
        scorer: Yield with each block what its scores need besides, as data store it, on the device of the
            samples: the real batch that conditions come from, and what the way back makes of the block.
        choices: What samples are drawn with.
    """
    blocks = [*portions(samples)]
    own = [int(block) for block in shares(len(blocks), 1)]
    for block in own or [0]:
        start, count = blocks[block]
        where: dict[str, Any] = {"seed": seed, "raw": raw, "at": start, "whole": True, **choices}
        made = model.sample(count, **where)
        samples_of_block = model.medium(made).stored(made)
        beside: list[Any] = []
        if scorer and scorer.needs(*OF_ITEMS):
            beside += [_reals(model, start + torch.arange(count), seed)]
        if scorer and scorer.needs("again"):
            beside += [_again(model, samples_of_block, **where)]
        yield start + torch.arange(count if own else 0), samples_of_block, *beside


def opposite(game: GAN) -> str | None:
    """The other of a game's two directions; None of one that goes one way."""
    others = {*game.directions} - {game.direction}
    return others.pop() if len(others) == 1 else None


def _again(game: GAN, made: Tensor, *, at: int, **where: Any) -> Tensor:
    """What the way back makes of samples as data store them, from number `at` on."""
    here = game.direction
    game.go(opposite(game) or "")
    try:
        # What is given counts from sample 0 on.
        again = game.sample(len(made), given=made.roll(at, 0), at=at, **where)
    finally:
        game.go(here)
    return game.medium(again).stored(again)


def _reals(model: GAN, numbers: Tensor, seed: int) -> tuple[Any, ...]:
    """The batch that the conditions of samples of these numbers come from."""
    assert model.conditions
    batch = model.conditions.batch(numbers, seed)
    if batch[0] is None:
        raise Refused(
            "An export holds no reals that samples could be compared with: name data (--reference)."
        )
    moved: tuple[Any, ...] = apply_to_collection(
        stored(model.media, batch), Tensor, lambda column: column.to(model.device)
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
