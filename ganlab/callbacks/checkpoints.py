import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from ganlab import bounds
from ganlab.callbacks.process_agreement import Agreement
from ganlab.checkpoints.checksummed import newest_first
from ganlab.training.trainer import is_trial_run


class Checkpoints(Checkpoint):
    """Save the whole state in the run's folder: every so many generator steps or minutes, and at the end.

    The best by a score is kept by Lightning's ModelCheckpoint beside it.

    Args:
        every_n_steps: Generator steps between two checkpoints.
        every_minutes: Minutes between two checkpoints, where steps are slow.
        keep: How many of the newest are kept.
    """

    def __init__(self, every_n_steps: int = 1000, every_minutes: float = 10.0, keep: int = 2) -> None:
        bounds.at_least(1, self, every_n_steps=every_n_steps, keep=keep)
        bounds.at_least(0, self, every_minutes=every_minutes)
        self.every_n_steps, self.every_minutes, self.keep = every_n_steps, every_minutes, keep
        self._saved_at = -1

    def on_train_start(self, trainer: Trainer, model: LightningModule) -> None:
        self._agreement = Agreement(seconds=10, steps=1000)
        self._saved_at, self._saved = trainer.global_step, time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        late = time.monotonic() - self._saved >= 60 * self.every_minutes
        if trainer.global_step % self.every_n_steps == 0 or self._agreement(trainer, late):
            self.save(trainer)

    def on_train_end(self, trainer: Trainer, model: LightningModule) -> None:
        self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Save this step, unless it is saved already."""
        if is_trial_run(trainer) or trainer.global_step == self._saved_at:
            return
        folder = Path(trainer.default_root_dir) / "checkpoints"
        for logger in trainer.loggers:
            logger.save()
        path = folder / f"step-{trainer.global_step:09d}.ckpt"
        trainer.save_checkpoint(path)
        self._saved_at, self._saved = trainer.global_step, time.monotonic()
        if trainer.is_global_zero:
            saved = newest_first(folder)
            later = [file for file in saved if file.name > path.name]
            # Later steps are trained again: the run went back, or their files are damaged.
            for old in [*later, *saved[len(later) + self.keep :]]:
                old.unlink()
