import time
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from ganlab import bounds
from ganlab.callbacks.evaluation import Evaluation
from ganlab.callbacks.preemption import Preempted
from ganlab.loggers import dispatch
from ganlab.runs.status import CLOCK, first_line, images_per_second, read_clock, write_status
from ganlab.system.hardware import peak_memory
from ganlab.system.row_files import Records
from ganlab.training.trainer import callbacks_of, is_trial_run


class Status(Callback):
    """Write to the run's folder how far the run is, and its clock over all its starts.

    The clock counts training without scoring, and without steps that a resumed run repeats.

    Args:
        every: Seconds between two writes of the status.
        clock_every: Seconds between two rows of the clock.
    """

    def __init__(self, every: float = 5.0, clock_every: float = 20.0) -> None:
        bounds.at_least(0, self, every=every, clock_every=clock_every)
        self.every, self.clock_every = every, clock_every
        self._rate = 0.0
        self._began: float | None = None

    def on_train_start(self, trainer: Trainer, model: LightningModule) -> None:
        self._began = self._written = self._clocked = time.monotonic()
        self._last, self._scoring = trainer.global_step, _scoring(trainer)
        rows = read_clock(Path(trainer.default_root_dir))
        self._before = rows[-1]["seconds"] if rows else 0.0
        self._write(trainer, model, "running")
        if not rows:
            self._add_clock_row(trainer, model)

    def on_train_batch_end(
        self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        waited = time.monotonic() - self._written
        if waited >= self.every:
            step = trainer.global_step
            self._rate = (step - self._last) * cast(Any, model).images_per_step / waited
            self._written, self._last = time.monotonic(), step
            self._write(trainer, model, "running")
        if time.monotonic() - self._clocked >= self.clock_every:
            self._add_clock_row(trainer, model)

    def on_save_checkpoint(
        self, trainer: Trainer, model: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add a row to the clock, so that a run resumed from this checkpoint goes on with its time."""
        self._add_clock_row(trainer, model)

    def on_fit_end(self, trainer: Trainer, model: LightningModule) -> None:
        self._write(trainer, model, "done" if trainer.global_step >= trainer.max_steps else "stopped")
        if trainer.is_global_zero and (rows := read_clock(Path(trainer.default_root_dir))):
            facts = {"seconds": rows[-1]["seconds"], "images_per_second": images_per_second(rows)}
            memory = max(row.get("memory") or 0 for row in rows)
            dispatch.log_summary(trainer, **facts, peak_memory=memory or None)

    def on_exception(self, trainer: Trainer, model: LightningModule, exception: BaseException) -> None:
        if self._began is None:
            return  # A run that was refused before its first step is left as it was.
        if isinstance(exception, Preempted):
            self._write(trainer, model, "preempted")
        else:
            self._write(trainer, model, "failed", error=first_line(exception))

    def _add_clock_row(self, trainer: Trainer, model: LightningModule) -> None:
        self._clocked = time.monotonic()
        # An evaluation that a resumed run repeats may save its best before training has begun.
        if self._began is None or not trainer.is_global_zero or is_trial_run(trainer):
            return
        spent = self._clocked - self._began - (_scoring(trainer) - self._scoring)
        row = {
            "step": trainer.global_step,
            "images": cast(Any, model).images_seen,
            "seconds": self._before + spent,
            "memory": peak_memory(trainer.strategy.root_device),
        }
        with suppress(OSError):
            Records(Path(trainer.default_root_dir) / CLOCK).append(row)

    def _write(self, trainer: Trainer, model: LightningModule, state: str, **more: Any) -> None:
        if trainer.is_global_zero and not is_trial_run(trainer):
            steps = {"step": trainer.global_step, "max_steps": trainer.max_steps}
            images = {"images": cast(Any, model).images_seen, "images_per_second": self._rate}
            write_status(Path(trainer.default_root_dir), state, **steps, **images, **more)


def _scoring(trainer: Trainer) -> float:
    """Seconds that evaluations have taken in this process."""
    return sum(evaluation.seconds for evaluation in callbacks_of(trainer, Evaluation))
