"""Which samples are drawn: sample i of a seed is the same whatever the number of samples and processes."""

from __future__ import annotations

import torch

from ganlab.data.grid import quantise
from ganlab.game.gan import GAN
from ganlab.metrics.scorer import Batches
from ganlab.seeds import seed_for
from ganlab.system.processes import shares

BLOCK = 250  # samples that follow from one seed


def fake_batches(model: GAN, samples: int, seed: int, *, raw: bool = False) -> Batches:
    """This process's share of the samples with their indices: pictures as bytes, anything else as float32.

    A process without a share yields a block without indices, because it needs the shape of the features.
    """
    blocks = [int(block) for block in shares(-(-samples // BLOCK), 1)]
    for block in blocks or [0]:
        start = block * BLOCK
        count = min(BLOCK, samples - start)
        drawn = model.sample(BLOCK, seed=seed_for("evaluation", seed, block), raw=raw)[:count]
        index = start + torch.arange(count if blocks else 0)
        yield index, quantise(drawn) if drawn.ndim == 4 else drawn.float()
