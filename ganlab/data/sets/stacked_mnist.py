"""MNIST's digits stacked as colour channels: a data set with a thousand modes."""

from __future__ import annotations

from copy import copy
from typing import Any

import torch
from torch import Tensor

from ganlab import bounds
from ganlab.data.rows import Rows
from ganlab.data.sets.mnist import MNIST
from ganlab.data.stream import ModeIndices
from ganlab.errors import Refused
from ganlab.seeds import seed_for

HELD_OUT = 26_000
DIGITS = 10
ENOUGH = 10  # samples: a classifier's errors alone put a few on modes that the generator never makes
POWERS = torch.tensor([DIGITS**2, DIGITS, 1])


class Stacked(Rows):
    """Pictures whose three channels are pictures of another set.

    Args:
        stacks: n x 3, the positions of the digits that each picture is made of.
    """

    def __init__(self, digits: Rows, stacks: Tensor) -> None:
        assert digits.labels is not None
        super().__init__(digits.images, (digits.labels[stacks] * POWERS).sum(1))
        self.stacks = stacks

    def __len__(self) -> int:
        return len(self.stacks)

    def pixels(self, positions: Tensor) -> Tensor:
        stacks = self.stacks[positions.to(self.stacks.device)].to(self.images.device)
        return super().pixels(stacks.flatten()).squeeze(-1).unflatten(0, stacks.shape).movedim(1, -1)

    def some(self, positions: Tensor) -> Stacked:
        assert self.labels is not None
        rows = copy(self)
        rows.stacks, rows.labels = self.stacks[positions], self.labels[positions]
        return rows


class StackedMNIST(MNIST):
    """Three digits of MNIST in the three channels of one picture: 1,000 modes, all equally likely.

    Metz et al. 2017, arXiv:1611.02163, section 3.3.1. It reads MNIST's files.

    Args:
        count: Pictures to train on, each of three digits drawn at random.
        stacking_seed: Determines the digits of each picture. It is not the run's seed, so that all runs see
            the same set.
    """

    classes = DIGITS**3

    def __init__(self, *, count: int = 128_000, stacking_seed: int = 0, **base: Any) -> None:
        super().__init__(channels=1, **base)
        bounds.at_least(1, self, count=count)
        bounds.seed(self, stacking_seed=stacking_seed)
        self.shape = (3, self.size, self.size)
        self.count, self.stacking_seed = count, stacking_seed

    def load(self) -> tuple[Rows, Rows]:
        train, held_out = super().load()
        return self._stacked(train, "train", self.count), self._stacked(held_out, "held_out", HELD_OUT)

    def modes(self, features: Tensor, logits: Tensor | None) -> ModeIndices:
        """The mode is the number that the digits form; `logits` holds a classifier's for each of them."""
        if logits is None or logits.shape[1] != 3 * DIGITS:
            raise Refused("The modes of StackedMNIST are named by the extractor StackedClassifier.")
        digits = logits.unflatten(1, (3, DIGITS)).argmax(2)
        return ModeIndices((digits * POWERS).sum(1), self.classes, enough=ENOUGH)

    def _stacked(self, digits: Rows, split: str, count: int) -> Stacked:
        source = torch.Generator().manual_seed(seed_for("stacked", split, self.stacking_seed))
        return Stacked(digits, torch.randint(len(digits), (count, 3), generator=source))
