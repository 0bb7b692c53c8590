"""Weights & Biases and TensorBoard: their settings, and pictures and summaries in the form each takes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from PIL.Image import Image

from ganlab.errors import refuse_missing
from ganlab.loggers import wandb as wandb_logger


def fill_in_settings(loggers: Any, folder: Path, *, first_step: int, **about: Any) -> None:
    """Fill in what the user left out of `trainer.logger`.

    Args:
        first_step: The step at which training starts.
        about: Passed on to Weights & Biases (`ganlab.loggers.wandb.prepare`).
    """
    for name, logger in _by_name(loggers):
        if name == "WandbLogger":
            wandb_logger.prepare(logger, folder, **about)
        elif name == "TensorBoard":
            refuse_missing("TensorBoard (trainer.logger)", "tensorboard", "tensorboard")
            logger.init_args.save_dir = logger.init_args.save_dir or str(folder)
            logger.init_args.purge_step = first_step + 1 if first_step else None


def remember_group(loggers: Any, folder: Path, group: Callable[[], str]) -> None:
    """Record the name of a planned run's group in its folder, if it will log to Weights & Biases.

    The name needs the experiment's file, which the run, started from its folder, will not read.
    """
    if any(name == "WandbLogger" for name, _ in _by_name(loggers)):
        wandb_logger.remember(folder, {"group": group()})


def _by_name(loggers: Any) -> Iterator[tuple[str, Any]]:
    for logger in loggers if isinstance(loggers, list) else [loggers]:
        yield str(getattr(logger, "class_path", "")).rsplit(".", 1)[-1], logger


def log_picture(trainer: Trainer, name: str, picture: Image, *, images: int) -> None:
    """Log a picture at the current step; `images` is how many training images were seen."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            import wandb

            metrics: Any = {name: wandb.Image(picture), "images": float(images)}
            logger.log_metrics(metrics, trainer.global_step)
        elif isinstance(logger, TensorBoardLogger):
            form = "HWC" if picture.mode == "RGB" else "HW"
            logger.experiment.add_image(name, np.asarray(picture), trainer.global_step, dataformats=form)
            # A resumed run draws only those that are missing among its files.
            logger.save()


def log_summary(trainer: Trainer, **facts: Any) -> None:
    """Log facts about the run as a whole."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(facts)
        elif isinstance(logger, TensorBoardLogger):
            for name, fact in facts.items():
                logger.experiment.add_text(name, str(fact), trainer.global_step)
