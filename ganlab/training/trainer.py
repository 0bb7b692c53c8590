"""Lightning's Trainer with the defaults that a game needs."""

import inspect
import os
from typing import Any, Literal, TypeVar, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins import CheckpointIO
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from ganlab import bounds
from ganlab.checkpoints.checksummed import ChecksummedIO
from ganlab.errors import Failed, Refused
from ganlab.system.hardware import best_precision
from ganlab.training.launcher import Launcher
from ganlab.training.strategy import TwoPlayers

Precision = Literal[
    "auto", "32", "bf16-mixed", "16-mixed", "64", "32-true", "64-true", "16-true", "bf16-true"
]

# Lightning's arguments that need one loss and one optimizer, and what to use instead.
INSTEAD = {
    "accumulate_grad_batches": "model.accumulation, which cuts a turn's batch",
    "gradient_clip_val": "model.discriminator_clip and model.generator_clip",
    "gradient_clip_algorithm": "model.discriminator_clip and model.generator_clip, which are norms",
}
MOST_BATCHES, MOST_NODES = 10**12, 10_000
MOST_PROCESSES = 8  # for each core; Lightning itself counts GPUs

Kind = TypeVar("Kind", bound=pl.Callback)


# Attributes that Lightning sets, but does not declare for type checkers.


def is_trial_run(trainer: pl.Trainer) -> bool:
    """Whether only a few batches are tried (fast_dev_run), of which nothing is to be written."""
    return bool(cast(Any, trainer).fast_dev_run)


def callbacks_of(trainer: pl.Trainer, kind: type[Kind]) -> list[Kind]:
    return [callback for callback in cast(Any, trainer).callbacks if isinstance(callback, kind)]


def data_of(trainer: pl.Trainer) -> pl.LightningDataModule | None:
    return cast(Any, trainer).datamodule


class Trainer(pl.Trainer):
    """Lightning's Trainer, whose steps are generator steps.

    Args:
        max_steps: The budget, in generator steps.
        precision: auto is bf16-mixed where this machine multiplies bf16 fast, else 32.
        strategy: auto is ganlab.training.TwoPlayers wherever there are several processes.
    """

    def __init__(
        self,
        *,
        max_steps: int = 10_000,
        precision: Precision = "auto",
        accelerator: str = "auto",
        strategy: str | pl.strategies.Strategy = "auto",
        log_every_n_steps: int = 50,
        num_sanity_val_steps: int = 0,
        use_distributed_sampler: bool = False,
        plugins: Any = None,
        **lightning: Any,
    ) -> None:
        self._refuse_numbers(max_steps=max_steps, log_every_n_steps=log_every_n_steps, **lightning)
        plugins = plugins if isinstance(plugins, list) else [plugins] if plugins else []
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins = [*plugins, ChecksummedIO()]
        settings: dict[str, Any] = dict(
            max_steps=max_steps,
            precision=best_precision(accelerator) if precision == "auto" else precision,
            accelerator=accelerator,
            log_every_n_steps=log_every_n_steps,
            num_sanity_val_steps=num_sanity_val_steps,
            use_distributed_sampler=use_distributed_sampler,
            plugins=plugins,
            **lightning,
        )
        super().__init__(strategy=strategy, **settings)
        if strategy == "auto" and isinstance(self.strategy, DDPStrategy):
            # Only Lightning knows how many devices there are, and by then it has chosen a strategy.
            super().__init__(strategy=TwoPlayers(start_method=self.strategy._start_method), **settings)
        self._refuse_strategy()
        if not torch.cuda.is_available():
            # Lightning sets it when imported; then each optimizer step looks for a driver that is not there.
            os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
        if isinstance(launcher := self.strategy.launcher, _SubprocessScriptLauncher):
            cast(Any, self.strategy)._launcher = Launcher(
                launcher.cluster_environment, launcher.num_processes, launcher.num_nodes
            )

    def _refuse_numbers(self, *, max_steps: int, log_every_n_steps: int, **lightning: Any) -> None:
        """Refuse what Lightning would take, and then train nothing, divide by zero or ignore it."""
        for name, instead in INSTEAD.items():
            if lightning.get(name) is not None and (name, lightning[name]) != ("accumulate_grad_batches", 1):
                raise Refused(f"Trainer: {name} is for a single optimizer. Use {instead}.")
        if max_steps == 0:
            raise Refused("Trainer: max_steps is 0, so nothing would be trained; -1 trains without end.")
        bounds.at_least(0, self, log_every_n_steps=log_every_n_steps)
        counts = "limit_train_batches", "val_check_interval", "check_val_every_n_epoch"
        bounds.between(1, MOST_BATCHES, self, **{name: lightning.get(name) for name in counts})
        bounds.between(1, MOST_NODES, self, num_nodes=lightning.get("num_nodes"))
        devices = lightning.get("devices")
        devices = int(devices) if isinstance(devices, str) and devices.isdecimal() else devices
        bounds.between(-1, MOST_PROCESSES * (os.cpu_count() or 1), self, devices=devices)

    def _refuse_strategy(self) -> None:
        """Refuse the form of DDP that fails in the first turn, in which one player has no gradients."""
        strategy = self.strategy
        if not isinstance(strategy, DDPStrategy) or isinstance(strategy, TwoPlayers):
            return
        if not strategy._ddp_kwargs.get("find_unused_parameters"):
            raise Refused(
                "Trainer: strategy ddp needs all gradients in each backward pass, but players take turns.\n"
                "Use auto: it is ganlab.training.TwoPlayers wherever there are several processes."
            )

    def save_checkpoint(
        self, filepath: Any, weights_only: bool | None = None, storage_options: Any = None
    ) -> None:
        """Raise on all processes if one cannot save: Lightning would have the others wait for ever."""
        failure: Exception | None = None
        try:
            super().save_checkpoint(filepath, weights_only, storage_options)
        except Exception as error:
            failure = error
            if self.world_size > 1:
                self.strategy.barrier("Trainer.save_checkpoint")
        if self.world_size > 1:
            failed = torch.tensor(float(failure is not None), device=self.strategy.root_device)
            if self.strategy.reduce(failed, reduce_op="max") and failure is None:
                raise Failed(f"Another process could not save {filepath}.")
        if failure is not None:
            raise failure


def _declare_inherited(constructor: Any, inherited: Any) -> None:
    """Let the command line see the inherited arguments: Lightning's decorated constructor hides them
    behind **kwargs.
    """
    parameters = inspect.signature(constructor).parameters
    named = {name: p for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD}
    every = inspect.signature(inherited).parameters
    constructor.__signature__ = inspect.Signature([named.get(name, p) for name, p in every.items()])


_declare_inherited(Trainer.__init__, pl.Trainer.__init__)
