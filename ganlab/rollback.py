"""A new run that begins where another was best, so that what went wrong after it can be played otherwise."""

import shutil
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from ganlab import checkpoint, runs
from ganlab.gan import GAN
from ganlab.refused import Refused
from ganlab.turn import fused

RECORDS = ("metrics.csv", "scores.jsonl", "clock.jsonl")


def source(target: str) -> Path:
    """The checkpoint that is meant: of a run its best."""
    path = Path(target)
    if path.is_dir():
        path = path / "checkpoints" / "best.ckpt"
        if not path.is_file():
            raise Refused(
                f"{target} has no best checkpoint: it kept no score (rollback).\nName one of its own."
            )
    checkpoint.read(path)
    return path


def carry(taken: Path, folder: Path) -> int:
    """What a run has told up to its checkpoint comes along, so that curves are whole; returns its step."""
    step, old = checkpoint.step(taken), runs.holding(taken)
    if not old:
        return step
    pictures = [path for path in old.glob("samples/step-*.png") if int(path.stem[5:]) <= step]
    best = ["checkpoints/best.ckpt"] if taken.name == "best.ckpt" else []
    for path in [*(old / name for name in (*RECORDS, *best)), *pictures]:
        if path.is_file():
            (copy := folder / path.relative_to(old)).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
    runs.rewind(folder, step)
    return step


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
