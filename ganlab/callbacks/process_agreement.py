import time
from math import ceil
from typing import Any

import torch
from lightning.pytorch import Trainer


class Agreement:
    """Lets the processes of a run agree on a request, so rarely that it takes hardly any time.

    All of them exchange their requests at the same steps: every `seconds`, by the pace of the slowest, but at
    least every `steps`.
    """

    def __init__(self, *, seconds: float, steps: int) -> None:
        self.seconds, self.steps = seconds, steps
        self._next = -1

    def __call__(self, trainer: Trainer, request: int) -> int:
        """The largest request of all processes; 0 at the steps in between, where nothing is exchanged."""
        if trainer.world_size == 1:
            return request
        step, now = trainer.global_step, time.monotonic()
        if self._next < 0:
            self._next, self._last = step + 1, (step, now)
        if step < self._next:
            return 0
        last_step, last_time = self._last
        seconds_per_step = (now - last_time) / max(step - last_step, 1)
        strategy: Any = trainer.strategy
        message = torch.tensor([float(request), seconds_per_step], device=strategy.root_device)
        agreed, slowest = strategy.reduce(message, reduce_op="max").tolist()
        self._last = step, now
        self._next = step + min(self.steps, max(1, ceil(self.seconds / max(slowest, 1e-9)) - 1))
        return int(agreed)
