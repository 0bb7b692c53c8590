"""What an evaluation leaves: a row of the run's records, values in all loggers, and the best checkpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from ganlab.game.gan import GAN
from ganlab.runs.status import SCORES
from ganlab.system.row_files import Records


def record(trainer: Trainer, game: GAN, row: dict[str, Any]) -> None:
    """Log the scores to all loggers, and add them to the run's records."""
    position = {"step": trainer.global_step, "images": game.images_seen}
    known = {name: value for name, value in row["scores"].items() if value is not None}
    for logger in trainer.loggers:
        protocol = {"contract": row["contract"], "floor": row["floor"]}
        logger.log_hyperparams(protocol)  # type: ignore[call-arg]
        logger.log_metrics({**known, "images": float(game.images_seen)}, step=trainer.global_step)
        logger.save()
    if trainer.is_global_zero:
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        Records(folder / SCORES).append(position | row)


def save_best(trainer: Trainer) -> None:
    """Save a checkpoint as best.ckpt; all processes must call this."""
    folder = Path(trainer.default_root_dir) / "checkpoints"
    unfinished = folder / "best.unfinished"
    trainer.save_checkpoint(unfinished)
    if trainer.is_global_zero:
        os.replace(unfinished, folder / "best.ckpt")
