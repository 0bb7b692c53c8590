import time
from math import ceil
from typing import Any

import torch
from lightning.pytorch import Trainer


class Agreement:
    """What the processes of a run want, agreed upon often enough, and never so often that it costs.

    They all ask at the same steps: every `seconds`, as the slowest of them counts, but at least every
    `steps`.
    """

    def __init__(self, *, seconds: float, steps: int) -> None:
        self.seconds, self.steps = seconds, steps
        self._next = -1

    def __call__(self, trainer: Trainer, wish: int) -> int:
        """The largest of all processes' wishes; between two agreements 0."""
        if trainer.world_size == 1:
            return wish
        step, now = trainer.global_step, time.monotonic()
        if self._next < 0:
            self._next, self._asked = step + 1, (step, now)
        if step < self._next:
            return 0
        since, then = self._asked
        pace = (now - then) / max(step - since, 1)
        strategy: Any = trainer.strategy
        told = torch.tensor([float(wish), pace], device=strategy.root_device)
        agreed, slowest = strategy.reduce(told, reduce_op="max").tolist()
        self._asked = step, now
        self._next = step + min(self.steps, max(1, ceil(self.seconds / max(slowest, 1e-9)) - 1))
        return int(agreed)
