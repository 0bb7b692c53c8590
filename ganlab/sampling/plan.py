"""Which samples are drawn: sample i of a seed is the same whatever the number of samples and processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from ganlab.game.draws import BLOCK
from ganlab.game.gan import GAN
from ganlab.metrics.scorer import Batches
from ganlab.system.processes import rank_and_world, shares


def portions(samples: int) -> Iterator[tuple[int, int]]:
    """Of each block its first sample, and how many of it are asked for."""
    for start in range(0, samples, BLOCK):
        yield start, min(BLOCK, samples - start)


def fake_batches(model: GAN, samples: int, seed: int, *, raw: bool = False) -> Batches:
    """This process's share of the samples with their indices, as data store them: pictures as bytes.

    A process without a share yields a block without indices, because it needs the shape of the features.
    """
    blocks = [*portions(samples)]
    own = [int(block) for block in shares(len(blocks), 1)]
    for block in own or [0]:
        start, count = blocks[block]
        made = model.sample(count, seed=seed, raw=raw, at=start, whole=True)
        yield start + torch.arange(count if own else 0), model.medium(made).stored(made)


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
