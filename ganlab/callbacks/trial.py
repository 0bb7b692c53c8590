"""Before the first step two samples go all the ways that samples will go, so that none fails hours later."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from ganlab.callbacks.watch.likeness import reals_of
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.loggers.looks import keep_files
from ganlab.media import Medium
from ganlab.media.shown import KINDS, Unreadable
from ganlab.sampling.sheet import sheet
from ganlab.seeds import seed_for
from ganlab.training.trainer import data_of


def try_all_ways(trainer: Trainer, game: GAN) -> None:
    """Draw two samples as one picture, write their files, compare with reals; write and read a checkpoint.

    Nothing is scored or written into the run; random numbers, buffers and modes stay as they were. The first
    evaluation's extractor is tried by the evaluation itself.
    """
    devices = [game.device] if game.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad():
        seed = seed_for("trial")
        made = game.sample(game.at_most(2), seed=seed)
        if isinstance(made, Tensor):
            medium = game.medium(made)
            stored = medium.stored(made)
            medium.as_array(stored)
            if medium.drawable:
                sheet(game, stored, seed)
            _write_and_read(medium, stored)
        reals_of(game, data_of(trainer))
    _save_and_load(trainer)


def _write_and_read(medium: Medium, stored: Tensor) -> None:
    """In the files that a look keeps, if the medium has any."""
    with tempfile.TemporaryDirectory() as folder:
        for file in keep_files(Path(folder), 0, medium, stored):
            try:
                KINDS[file.suffix].read(file.read_bytes())
            except Unreadable as error:
                raise Refused(
                    f"What {type(medium).__name__}.write writes is {error}: nobody could be shown it.\n"
                    f"Write what the suffix {medium.suffix} says, or name another."
                ) from error


def _save_and_load(trainer: Trainer) -> None:
    """On all processes, because what is saved is gathered from all."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trial.ckpt"
        try:
            trainer.save_checkpoint(path)
        except OSError:  # Temporary files may have less room than the run; the other processes wait there.
            trainer.strategy.barrier("Trainer.save_checkpoint")
        if not path.is_file():
            return
        try:
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise Refused(
                "A checkpoint of this run could not be loaded again: it holds more than plain values.\n"
                f"{reason}"
            ) from error
