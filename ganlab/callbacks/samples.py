from math import prod
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ganlab import bounds
from ganlab.data.stream import StreamData
from ganlab.game.gan import GAN
from ganlab.loggers import dispatch
from ganlab.seeds import seed_for
from ganlab.system.atomic_file import atomic_write
from ganlab.system.memory import refuse_beyond_memory
from ganlab.training.trainer import data_of, is_trial_run


class Samples(Callback):
    """Draw samples of the same latents every so many generator steps, by the generator's average.

    Args:
        every_n_steps: Generator steps between two pictures.
        count: Samples in a picture.
        seed: The latents follow from it alone, so that runs can be compared sample by sample.
    """

    def __init__(self, every_n_steps: int = 500, count: int = 64, seed: int = 0) -> None:
        bounds.at_least(1, self, every_n_steps=every_n_steps, count=count)
        bounds.seed(self, seed=seed)
        self.every_n_steps, self.count, self.seed = every_n_steps, count, seed
        self._drawn_at = -1

    def setup(self, trainer: Trainer, model: LightningModule, stage: str) -> None:
        data = data_of(trainer)
        if isinstance(data, StreamData):
            refuse_beyond_memory(2 * self.count * prod(data.shape), f"Samples: count {self.count}")

    def on_train_start(self, trainer: Trainer, model: LightningModule) -> None:
        """Draw the picture that is missing if the run was stopped right after a step that has one."""
        step = trainer.global_step
        if step and step % self.every_n_steps == 0 and not _file(trainer).exists():
            self._draw(trainer, model)

    def on_train_batch_end(
        self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % self.every_n_steps == 0:
            self._draw(trainer, model)

    def on_train_end(self, trainer: Trainer, model: LightningModule) -> None:
        if trainer.global_step != self._drawn_at:
            self._draw(trainer, model)

    def on_fit_end(self, trainer: Trainer, model: LightningModule) -> None:
        """Draw the last picture if the run was stopped right after its last step: then no step is left."""
        if trainer.global_step >= trainer.max_steps > 0 and trainer.global_step != self._drawn_at:
            self._draw(trainer, model)

    def _draw(self, trainer: Trainer, model: LightningModule) -> None:
        self._drawn_at = trainer.global_step
        if not trainer.is_global_zero or not isinstance(model, GAN) or is_trial_run(trainer):
            return
        seed = seed_for("samples", self.seed)
        samples = model.sample(self.count, seed=seed).cpu()
        medium = model.medium(samples)
        if not medium.drawable:
            return
        picture = medium.captioned(samples, model.captions(self.count, seed=seed))
        dispatch.log_picture(trainer, "samples", picture, images=model.images_seen)
        file = _file(trainer)
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as unfinished:
            picture.save(unfinished, "png")


def _file(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / "samples" / f"step-{trainer.global_step:09d}.png"
