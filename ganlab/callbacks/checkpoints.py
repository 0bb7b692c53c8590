import os
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint


class Checkpoints(Checkpoint):
    """Save the whole state every so many generator steps and at the end, in the run's folder.

    Lightning's ModelCheckpoint works beside it, to keep the best by a score.

    Args:
        every_n_steps: Generator steps between two checkpoints.
        keep: How many of the newest stay.
    """

    def __init__(self, every_n_steps: int = 1000, keep: int = 2) -> None:
        self.every_n_steps, self.keep = every_n_steps, keep
        self._saved_at = -1

    def on_train_batch_end(
        self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % self.every_n_steps == 0:
            self._save(trainer)

    def on_train_end(self, trainer: Trainer, model: LightningModule) -> None:
        if trainer.global_step != self._saved_at:
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        if cast(Any, trainer).fast_dev_run:
            return
        folder = Path(trainer.default_root_dir) / "checkpoints"
        path = folder / f"step-{trainer.global_step:09d}.ckpt"
        unfinished = path.with_suffix(".unfinished")
        trainer.save_checkpoint(unfinished)
        self._saved_at = trainer.global_step
        if trainer.is_global_zero:
            os.replace(unfinished, path)
            for old in sorted(folder.glob("step-*.ckpt"))[: -self.keep]:
                old.unlink()
