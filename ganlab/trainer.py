"""Lightning's Trainer with the defaults that a game needs."""

import inspect
import os
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import DDPStrategy

from ganlab.hardware import best_precision

Precision = Literal[
    "auto", "32", "bf16-mixed", "16-mixed", "64", "32-true", "64-true", "16-true", "bf16-true"
]


class Trainer(pl.Trainer):
    """Everything Lightning's Trainer does, counted in generator steps.

    Args:
        max_steps: The budget, in generator steps.
        precision: auto is bf16-mixed where this machine multiplies bf16 fast, else 32.
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
        **lightning: Any,
    ) -> None:
        super().__init__(
            max_steps=max_steps,
            precision=best_precision(accelerator) if precision == "auto" else precision,  # type: ignore[arg-type]
            accelerator=accelerator,
            strategy=strategy,
            log_every_n_steps=log_every_n_steps,
            num_sanity_val_steps=num_sanity_val_steps,
            use_distributed_sampler=use_distributed_sampler,
            **lightning,
        )
        if not torch.cuda.is_available():
            # Set by Lightning's import, it makes each optimizer step look for a driver that is not there.
            os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
        if strategy == "auto" and isinstance(self.strategy, DDPStrategy):
            # The idle side's parameters get no gradient, at which plain DDP raises an error.
            self.strategy._ddp_kwargs["find_unused_parameters"] = True


def _spell_out(own: Any, inherited: Any) -> None:
    """Let the command line see the inherited arguments: Lightning's decorated constructor hides them
    behind **kwargs.
    """
    mine = {n: p for n, p in inspect.signature(own).parameters.items() if p.kind is not p.VAR_KEYWORD}
    theirs = inspect.signature(inherited).parameters
    own.__signature__ = inspect.Signature([mine.get(name, parameter) for name, parameter in theirs.items()])


_spell_out(Trainer.__init__, pl.Trainer.__init__)
