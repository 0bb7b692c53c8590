from collections.abc import Callable, Sequence
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.seed import isolate_rng

from ganlab.game.gan import GAN
from ganlab.runs.own import signature_of


class Beginning(Callback):
    """Let a run change what it has recorded only when its first step is certain: a refusal changes nothing.

    By then the checkpoint is loaded, the data are open, and a batch has been tried.

    Args:
        begin: Called then in the first process, for what is to be changed.
        loggers: They are told of the run only then.
        settings: What may not change while the run goes on; kept in its checkpoints.
    """

    def __init__(
        self, begin: Callable[[], None], loggers: Sequence[Logger], settings: dict[str, Any]
    ) -> None:
        self.begin, self.loggers, self.settings = begin, loggers, settings

    def on_train_start(self, trainer: Trainer, model: LightningModule) -> None:
        if trainer.ckpt_path:
            cast(GAN, model).check_batch(_first_batch(trainer))
        trainer.strategy.barrier()
        if trainer.is_global_zero:
            self.begin()
        trainer.strategy.barrier()
        for logger in self.loggers:
            logger.log_hyperparams(model.hparams_initial)  # type: ignore[call-arg, arg-type]
        trainer.loggers = [*trainer.loggers, *self.loggers]

    def on_save_checkpoint(
        self, trainer: Trainer, model: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["settings"] = self.settings
        checkpoint["signature"] = signature_of(checkpoint.get("hyper_parameters"))


def _first_batch(trainer: Trainer) -> Any:
    """The batch that training will begin with, on its device."""
    with isolate_rng():
        batch = next(iter(cast(Any, trainer.train_dataloader)))
    return trainer.strategy.batch_to_device(trainer.precision_plugin.convert_input(batch))
