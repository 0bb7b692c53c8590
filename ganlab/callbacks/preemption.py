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

from ganlab import bounds
from ganlab.callbacks.checkpoints import Checkpoints
from ganlab.callbacks.process_agreement import Agreement
from ganlab.game.draws import BLOCK
from ganlab.metrics.scorer import Batches
from ganlab.system import slurm
from ganlab.system.processes import is_first_process
from ganlab.training.trainer import callbacks_of

# What a run is requested to do; of several requests the largest holds.
NOTHING, REQUEUE, LEAVE, INTERRUPT = range(4)
REQUESTS = {
    signal.SIGUSR1: REQUEUE,
    signal.SIGUSR2: REQUEUE,
    signal.SIGTERM: LEAVE,
    signal.SIGINT: INTERRUPT,
}
EXIT_CODES = {REQUEUE: 75, LEAVE: 75, INTERRUPT: 130}


class Preempted(Exception):
    """A run was requested to stop; it has finished its step and saved it.

    Attributes:
        code: What the process should exit with: 75, or 130 where a user interrupted it.
    """

    def __init__(self, step: int, code: int) -> None:
        super().__init__(f"stopped after step {step:,}, which is saved")
        self.step, self.code = step, code


class Preemption(Callback):
    """Finish the step, save it and stop when a cluster or a user requests it.

    Requests are SIGTERM, SIGUSR1, SIGUSR2, Ctrl-C and the end of a SLURM job's time; a second Ctrl-C ends at
    once. On SIGUSR1, SIGUSR2 and at the end of its time a SLURM job puts itself back into the queue; on
    SIGTERM that is left to SLURM, so that a cancelled job stays cancelled. All processes raise `Preempted`.

    Args:
        margin: Seconds before the end of a SLURM job's time at which to stop; none: only signals count.
    """

    def __init__(self, margin: float | None = 60.0) -> None:
        bounds.at_least(0, self, margin=margin)
        self.margin = margin
        self._request = NOTHING

    def on_train_start(self, trainer: Trainer, model: LightningModule) -> None:
        self._request, self._agreement = NOTHING, Agreement(seconds=1, steps=10)
        end = slurm.end(job) if self.margin is not None and (job := slurm.job()) else None
        self._end = float("inf") if end is None else end - cast(float, self.margin)
        if threading.current_thread() is threading.main_thread():
            # In place of Lightning's handlers, one of which waits for other processes. At the end Lightning
            # restores those from before its own.
            for number in REQUESTS:
                signal.signal(number, self._on_signal)
            # Lightning's handler also needs a message between the processes in every step, which is left out.
            trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _send_nothing  # type: ignore[method-assign]

    def on_train_batch_end(
        self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.time() >= self._end:
            self._request = max(self._request, REQUEUE)
        if request := self._agreement(trainer, self._request):
            self._stop(trainer, request)

    def obey(self, trainer: Trainer) -> None:
        """Stop if any process was requested to; all processes must call it between the same steps."""
        request = self._request
        if trainer.world_size > 1:
            strategy: Any = trainer.strategy
            message = torch.tensor(request, device=strategy.root_device)
            request = int(strategy.reduce(message, reduce_op="max"))
        if request:
            self._stop(trainer, request)

    def _on_signal(self, number: int, frame: Any) -> None:
        if number == signal.SIGINT and self._request == INTERRUPT:
            os._exit(EXIT_CODES[INTERRUPT])
        self._request = max(self._request, REQUESTS[signal.Signals(number)])

    def _stop(self, trainer: Trainer, request: int) -> None:
        (callbacks_of(trainer, Checkpoints) or [Checkpoints()])[0].save(trainer)
        request = max(request, self._request)  # While it was saved, a larger one may have come.
        stopped = Preempted(trainer.global_step, EXIT_CODES[request])
        if trainer.is_global_zero:
            print(f"ganlab: {stopped}", file=sys.stderr, flush=True)
            if request == REQUEUE and (job := slurm.job()):
                print(f"ganlab: {slurm.requeue(job)}", file=sys.stderr, flush=True)
        raise stopped


@contextmanager
def before_training() -> Iterator[None]:
    """While data are prepared, SIGUSR1 and SIGUSR2 requeue the job and end it; there is nothing to save."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _requeue_and_exit) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _requeue_and_exit(number: int, frame: Any) -> None:
    first = is_first_process()
    if first and (job := slurm.job()):
        print(f"ganlab: {slurm.requeue(job)}", file=sys.stderr, flush=True)
    raise SystemExit(EXIT_CODES[REQUEUE] if first else 0)


def _send_nothing() -> None:
    pass


def interruptible(trainer: Trainer, batches: Batches, samples: int) -> Batches:
    """The same batches, until the run is asked to stop; the resumed run repeats the evaluation."""
    preemptions = callbacks_of(trainer, Preemption)
    # All processes must take part; some have one batch more than others.
    common = -(-samples // BLOCK) // trainer.world_size
    for count, batch in enumerate(batches, 1):
        yield batch
        for preemption in preemptions if count <= common else ():
            preemption.obey(trainer)
