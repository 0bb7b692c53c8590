"""A run's loggers by one line each, and what they are told beside numbers, each in its own words."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from PIL.Image import Image

from ganlab.errors import refuse_missing
from ganlab.loggers import wandb as wandb_logger


def prepare(chosen: Any, folder: Path, *, began: int, **about: Any) -> None:
    """Fill in what a user of `trainer.logger` left out.

    Args:
        began: The step that the run goes on from.
        about: The rest is for Weights & Biases (`ganlab.loggers.wandb.prepare`).
    """
    for name, logger in _by_name(chosen):
        if name == "WandbLogger":
            wandb_logger.prepare(logger, folder, **about)
        elif name == "TensorBoard":
            refuse_missing("TensorBoard (trainer.logger)", "tensorboard", "tensorboard")
            logger.init_args.save_dir = logger.init_args.save_dir or str(folder)
            logger.init_args.purge_step = began + 1 if began else None


def plan(chosen: Any, folder: Path, group: Callable[[], str]) -> None:
    """Of a run that will only be begun, from its folder alone, what is known now and not then."""
    if any(name == "WandbLogger" for name, _ in _by_name(chosen)):
        wandb_logger.remember(folder, {"group": group()})


def _by_name(chosen: Any) -> Iterator[tuple[str, Any]]:
    for logger in chosen if isinstance(chosen, list) else [chosen]:
        yield str(getattr(logger, "class_path", "")).rsplit(".", 1)[-1], logger


def show(trainer: Trainer, name: str, picture: Image, *, images: int) -> None:
    """A picture of this step, at which so many images were seen."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            import wandb

            told: Any = {name: wandb.Image(picture), "images": float(images)}
            logger.log_metrics(told, trainer.global_step)
        elif isinstance(logger, TensorBoardLogger):
            form = "HWC" if picture.mode == "RGB" else "HW"
            logger.experiment.add_image(name, np.asarray(picture), trainer.global_step, dataformats=form)


def conclude(trainer: Trainer, **facts: Any) -> None:
    """What can be said of the run as a whole."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(facts)
        elif isinstance(logger, TensorBoardLogger):
            for name, fact in facts.items():
                logger.experiment.add_text(name, str(fact), trainer.global_step)
