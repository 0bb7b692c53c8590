"""Weights & Biases and TensorBoard: their settings, and samples and summaries in the form each takes."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from PIL.Image import Image

from ganlab.errors import refuse_missing
from ganlab.loggers import tensorboard
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


LogSamples = Callable[[Any, Image | None, Sequence[Path], int, float], None]
OF_SAMPLES: dict[type, LogSamples] = {
    WandbLogger: wandb_logger.log_samples,
    TensorBoardLogger: tensorboard.log_samples,
}


def log_samples(trainer: Trainer, picture: Image | None, files: Sequence[Path], *, images: int) -> None:
    """Log a look at the current step: its sheet, and files of single samples that are played or read.

    Args:
        images: How many training images were seen.
    """
    if not picture and not files:
        return
    for logger in trainer.loggers:
        for kind, log in OF_SAMPLES.items():
            if isinstance(logger, kind):
                log(logger, picture, files, trainer.global_step, float(images))


def log_summary(trainer: Trainer, **facts: Any) -> None:
    """Log facts about the run as a whole."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(facts)
        elif isinstance(logger, TensorBoardLogger):
            for name, fact in facts.items():
                logger.experiment.add_text(name, str(fact), trainer.global_step)
