from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from ganlab.errors import Refused
from ganlab.game.gan import GAN


class Rollback(Callback):
    """Give the optimizers, whose state is the old run's, the new run's settings from the first step on."""

    def on_train_start(self, trainer: Trainer, model: LightningModule) -> None:
        game = cast(GAN, model)
        for optimizer, configured in zip(trainer.optimizers, game.new_optimizers(), strict=True):
            rates = [_update(optimizer, configured, index) for index in range(len(configured.param_groups))]
            for config in trainer.lr_scheduler_configs:
                if config.scheduler.optimizer is optimizer:
                    cast(Any, config.scheduler).base_lrs = rates


def _update(optimizer: Optimizer, configured: Optimizer, index: int) -> float:
    """Change the settings of one group of parameters, and return its learning rate before any schedule.

    A schedule goes on from where it was; the rate that it has come to is scaled.
    """
    group, new = optimizer.param_groups[index], dict(configured.param_groups[index])
    if unknown := sorted(new.keys() - group.keys()):
        raise Refused(f"The old run's optimizer knew no {', '.join(unknown)}: it was another one (rollback).")
    rate = new.pop("lr")
    old_rate = group.get("initial_lr", group["lr"])
    group["lr"] = group["lr"] * rate / old_rate if rate != old_rate else group["lr"]
    if "initial_lr" in group:
        group["initial_lr"] = rate
    del new["params"]
    group.update(new)
    return rate
