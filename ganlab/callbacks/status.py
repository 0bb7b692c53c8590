import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from ganlab import loggers
from ganlab.callbacks.evaluation import Evaluation
from ganlab.callbacks.preemption import Preempted
from ganlab.durable import beside
from ganlab.hardware import peak_memory

FILE, CLOCK = "status.json", "clock.jsonl"


class Status(Callback):
    """Tell in the run's folder how far the run is, and keep its clock over all its starts.

    The clock counts training, not scoring, and not what was done after the checkpoint a run goes on from.

    Args:
        every: Seconds between two words.
        clock_every: Seconds between two rows of the clock.
    """

    def __init__(self, every: float = 5.0, clock_every: float = 20.0) -> None:
        self.every, self.clock_every = every, clock_every
        self._rate = 0.0
        self._began: float | None = None

    def on_train_start(self, trainer: Trainer, model: LightningModule) -> None:
        self._began = self._told = self._clocked = time.monotonic()
        self._last, self._scoring = trainer.global_step, _scoring(trainer)
        rows = clock(Path(trainer.default_root_dir))
        self._before = rows[-1]["seconds"] if rows else 0.0
        self._tell(trainer, model, "running")
        if not rows:
            self._clock(trainer, model)

    def on_train_batch_end(
        self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        waited = time.monotonic() - self._told
        if waited >= self.every:
            step = trainer.global_step
            self._rate = (step - self._last) * cast(Any, model).images_per_step / waited
            self._told, self._last = time.monotonic(), step
            self._tell(trainer, model, "running")
        if time.monotonic() - self._clocked >= self.clock_every:
            self._clock(trainer, model)

    def on_save_checkpoint(
        self, trainer: Trainer, model: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """A run that goes on from here finds the time that it took."""
        self._clock(trainer, model)

    def on_fit_end(self, trainer: Trainer, model: LightningModule) -> None:
        self._tell(trainer, model, "done" if trainer.global_step >= trainer.max_steps else "stopped")
        if trainer.is_global_zero and (rows := clock(Path(trainer.default_root_dir))):
            facts = {"seconds": rows[-1]["seconds"], "images_per_second": rate(rows)}
            loggers.conclude(trainer, **facts, peak_memory=max(row["memory"] or 0 for row in rows) or None)

    def on_exception(self, trainer: Trainer, model: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, Preempted):
            self._tell(trainer, model, "preempted")
        else:
            self._tell(trainer, model, "failed", error=sentence(exception))

    def _clock(self, trainer: Trainer, model: LightningModule) -> None:
        self._clocked = time.monotonic()
        # An evaluation that is made up for saves its best before training has begun.
        if self._began is None or not trainer.is_global_zero or cast(Any, trainer).fast_dev_run:
            return
        spent = self._clocked - self._began - (_scoring(trainer) - self._scoring)
        row = {
            "step": trainer.global_step,
            "images": cast(Any, model).images_seen,
            "seconds": self._before + spent,
            "memory": peak_memory(trainer.strategy.root_device),
        }
        with suppress(OSError), (Path(trainer.default_root_dir) / CLOCK).open("a") as file:
            file.write(json.dumps(row) + "\n")

    def _tell(self, trainer: Trainer, model: LightningModule, state: str, **more: Any) -> None:
        if trainer.is_global_zero and not cast(Any, trainer).fast_dev_run:
            at = {"step": trainer.global_step, "max_steps": trainer.max_steps}
            seen = {"images": cast(Any, model).images_seen, "images_per_second": self._rate}
            tell(Path(trainer.default_root_dir), state, **at, **seen, **more)


def clock(folder: Path) -> list[dict[str, Any]]:
    """Step, images, seconds of training and peak memory in bytes, as they went by."""
    try:
        lines = (folder / CLOCK).read_text().splitlines(keepends=True)
    except OSError:
        return []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def rate(rows: list[dict[str, Any]]) -> float | None:
    """Images a second over a whole clock."""
    images, seconds = (rows[-1][name] - rows[0][name] for name in ("images", "seconds"))
    return images / seconds if images > 0 and seconds > 0 else None


def _scoring(trainer: Trainer) -> float:
    return sum(each.seconds for each in cast(Any, trainer).callbacks if isinstance(each, Evaluation))


def tell(folder: Path, state: str, **more: Any) -> None:
    who = {"host": socket.gethostname(), "pid": os.getpid(), "job": os.environ.get("SLURM_JOB_ID")}
    path = folder / FILE
    # A reader never meets half of it; that it outlives the machine is not needed.
    made = beside(path)
    try:
        made.write_text(json.dumps({"state": state, "time": time.time(), **who, **more}))
        made.replace(path)
    except OSError:
        made.unlink(missing_ok=True)


def sentence(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
