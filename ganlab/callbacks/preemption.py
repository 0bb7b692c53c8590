import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from ganlab.callbacks.agreement import Agreement
from ganlab.callbacks.checkpoints import Checkpoints
from ganlab.system import slurm
from ganlab.system.processes import is_first_process

# Where several come together, the one that says most, which has the largest number, is obeyed.
NOTHING, REQUEUE, LEAVE, INTERRUPT = range(4)
WISHES = {
    signal.SIGUSR1: REQUEUE,
    signal.SIGUSR2: REQUEUE,
    signal.SIGTERM: LEAVE,
    signal.SIGINT: INTERRUPT,
}
EXIT_CODES = {REQUEUE: 75, LEAVE: 75, INTERRUPT: 130}


class Preempted(Exception):
    """A run was asked to stop, and is saved as it stands after a whole step.

    Attributes:
        code: What the process should exit with: 75, or 130 where a user interrupted it.
    """

    def __init__(self, step: int, code: int) -> None:
        super().__init__(f"stopped after step {step:,}, which is saved")
        self.step, self.code = step, code


class Preemption(Callback):
    """Save a whole step and stop when a cluster or a user says so.

    SIGTERM, SIGUSR1, SIGUSR2, Ctrl-C and the end of a SLURM job's time count; a second Ctrl-C ends at once.
    On SIGUSR1, SIGUSR2 and at the end of its time a SLURM job puts itself back into the queue; on SIGTERM
    that is left to SLURM, so that a cancelled job stays cancelled. It raises `Preempted` on all processes.

    Args:
        margin: Seconds before the end of a SLURM job's time limit to stop at; none: only signals count.
    """

    def __init__(self, margin: float | None = 60.0) -> None:
        self.margin = margin
        self._wish = NOTHING

    def on_train_start(self, trainer: Trainer, model: LightningModule) -> None:
        self._wish, self._agreement = NOTHING, Agreement(seconds=1, steps=10)
        end = slurm.end(job) if self.margin is not None and (job := slurm.job()) else None
        self._end = float("inf") if end is None else end - cast(float, self.margin)
        if threading.current_thread() is threading.main_thread():
            # In place of Lightning's own, whose handler of SIGTERM waits for other processes. At the end
            # Lightning brings back what was there before both.
            for number in WISHES:
                signal.signal(number, self._hear)
            # With it goes a message between the processes, for which it waits in every step.
            trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]

    def on_train_batch_end(
        self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.time() >= self._end:
            self._wish = max(self._wish, REQUEUE)
        if wish := self._agreement(trainer, self._wish):
            self._stop(trainer, wish)

    def obey(self, trainer: Trainer) -> None:
        """Stop if any process was asked to; called by all of them at one place between steps."""
        wish = self._wish
        if trainer.world_size > 1:
            strategy: Any = trainer.strategy
            wish = int(strategy.reduce(torch.tensor(wish, device=strategy.root_device), reduce_op="max"))
        if wish:
            self._stop(trainer, wish)

    def _hear(self, number: int, frame: Any) -> None:
        if number == signal.SIGINT and self._wish == INTERRUPT:
            os._exit(EXIT_CODES[INTERRUPT])
        self._wish = max(self._wish, WISHES[signal.Signals(number)])

    def _stop(self, trainer: Trainer, wish: int) -> None:
        savers = [each for each in cast(Any, trainer).callbacks if isinstance(each, Checkpoints)]
        (savers or [Checkpoints()])[0].save(trainer)
        wish = max(wish, self._wish)  # Meanwhile more may have been said.
        stopped = Preempted(trainer.global_step, EXIT_CODES[wish])
        if trainer.is_global_zero:
            print(f"ganlab: {stopped}", file=sys.stderr, flush=True)
            if wish == REQUEUE and (job := slurm.job()):
                print(f"ganlab: {slurm.requeue(job)}", file=sys.stderr, flush=True)
        raise stopped


@contextmanager
def before_training() -> Iterator[None]:
    """While data are prepared there is nothing to save yet, but a job's time may end just the same."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.signal(number, _leave) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _leave(number: int, frame: Any) -> None:
    leads = is_first_process()
    if leads and (job := slurm.job()):
        print(f"ganlab: {slurm.requeue(job)}", file=sys.stderr, flush=True)
    raise SystemExit(EXIT_CODES[REQUEUE] if leads else 0)


def _nothing() -> None:
    pass
