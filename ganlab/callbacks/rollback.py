from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.game.players import fused


class Rollback(Callback):
    """What is changed of the optimizers holds from the first step on, though their state is the old run's."""

    def on_train_start(self, trainer: Trainer, model: LightningModule) -> None:
        game = cast(GAN, model)
        new = [
            fused(game.discriminator_optimizer(game.discriminator.parameters())),
            fused(game.generator_optimizer(game.generator.parameters())),
        ]
        for optimizer, wanted in zip(trainer.optimizers, new, strict=True):
            rates = [_change(optimizer, index, wanted) for index in range(len(wanted.param_groups))]
            for config in trainer.lr_scheduler_configs:
                if config.scheduler.optimizer is optimizer:
                    cast(Any, config.scheduler).base_lrs = rates


def _change(optimizer: Optimizer, index: int, wanted: Optimizer) -> float:
    """Of one group of parameters; a schedule stays where it was, on another height."""
    group, new = optimizer.param_groups[index], dict(wanted.param_groups[index])
    if unknown := sorted(new.keys() - group.keys()):
        raise Refused(f"The old run's optimizer knew no {', '.join(unknown)}: it was another one (rollback).")
    rate = new.pop("lr")
    before = group.get("initial_lr", group["lr"])
    group["lr"] = group["lr"] * rate / before if rate != before else group["lr"]
    if "initial_lr" in group:
        group["initial_lr"] = rate
    del new["params"]
    group.update(new)
    return rate
