"""Which samples there are: sample i of seed s is the same however many are drawn, and by whom."""

from __future__ import annotations

import torch

from ganlab.data.grid import quantise
from ganlab.game.gan import GAN
from ganlab.metrics.scorer import Batches
from ganlab.seeds import seed_for
from ganlab.system.processes import shares

BLOCK = 250  # samples that follow from one seed


def fake_batches(model: GAN, samples: int, seed: int, *, raw: bool = False) -> Batches:
    """This process's share of the samples, as bytes or, on a plane, as points.

    One without a share makes a block that does not count, for it has to know what features look like.
    """
    blocks = [int(block) for block in shares(-(-samples // BLOCK), 1)]
    for block in blocks or [0]:
        start = block * BLOCK
        count = min(BLOCK, samples - start)
        made = model.sample(BLOCK, seed=seed_for("evaluation", seed, block), raw=raw)[:count]
        index = start + torch.arange(count if blocks else 0)
        yield index, quantise(made) if made.ndim == 4 else made.float()
