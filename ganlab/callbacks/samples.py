from math import prod
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ganlab import bounds
from ganlab.data.stream import StreamData
from ganlab.game.gan import GAN
from ganlab.loggers import dispatch, looks
from ganlab.sampling.sheet import sheet
from ganlab.seeds import seed_for
from ganlab.system.atomic_file import atomic_write
from ganlab.system.memory import refuse_beyond_memory
from ganlab.training.trainer import data_of, is_trial_run


class Samples(Callback):
    """Draw samples of the same latents every so many generator steps, by the generator's average.

    Args:
        every_n_steps: Generator steps between two pictures.
        count: Samples in a picture, or as many as there are items to tell.
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
        if step and step % self.every_n_steps == 0 and not _is_kept(trainer, model):
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
        count, seed = model.at_most(self.count), seed_for("samples", self.seed)
        samples = model.sample(count, seed=seed).cpu()
        medium, folder = model.medium(samples), _folder(trainer)
        picture = sheet(model, samples, seed) if medium.drawable else None
        files = looks.keep_files(folder, trainer.global_step, medium, samples)
        dispatch.log_samples(trainer, picture, files, images=model.images_seen)
        if picture:
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(looks.sheet_file(folder, trainer.global_step)) as unfinished:
                picture.save(unfinished, "png")


def _is_kept(trainer: Trainer, model: LightningModule) -> bool:
    """Whether the look at this step is whole: its sheet, if it has one, is written last."""
    look = next((look for look in looks.looks(_folder(trainer)) if look.step == trainer.global_step), None)
    has_sheet = not isinstance(model, GAN) or not model.media or model.media[0].drawable
    return look is not None and (look.sheet is not None or not has_sheet)


def _folder(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / looks.FOLDER
