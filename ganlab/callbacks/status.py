import json
import os
import socket
import time
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from ganlab.callbacks.preemption import Preempted
from ganlab.durable import beside

FILE = "status.json"


class Status(Callback):
    """Tell in the run's folder how far the run is, for whoever looks from outside.

    Args:
        every: Seconds between two words.
    """

    def __init__(self, every: float = 5.0) -> None:
        self.every = every
        self._rate = 0.0

    def on_train_start(self, trainer: Trainer, model: LightningModule) -> None:
        self._told, self._last = time.monotonic(), trainer.global_step
        self._tell(trainer, model, "running")

    def on_train_batch_end(
        self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        waited = time.monotonic() - self._told
        if waited >= self.every:
            step = trainer.global_step
            self._rate = (step - self._last) * cast(Any, model).images_per_step / waited
            self._told, self._last = time.monotonic(), step
            self._tell(trainer, model, "running")

    def on_fit_end(self, trainer: Trainer, model: LightningModule) -> None:
        self._tell(trainer, model, "done" if trainer.global_step >= trainer.max_steps else "stopped")

    def on_exception(self, trainer: Trainer, model: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, Preempted):
            self._tell(trainer, model, "preempted")
        else:
            self._tell(trainer, model, "failed", error=sentence(exception))

    def _tell(self, trainer: Trainer, model: LightningModule, state: str, **more: Any) -> None:
        if trainer.is_global_zero and not cast(Any, trainer).fast_dev_run:
            at = {"step": trainer.global_step, "max_steps": trainer.max_steps}
            seen = {"images": cast(Any, model).images_seen, "images_per_second": self._rate}
            tell(Path(trainer.default_root_dir), state, **at, **seen, **more)


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
