"""The part of a game that logs the terms of its steps, and finds those that are no numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor

from ganlab.game.players import SIDES
from ganlab.game.stages import Name, Stage
from ganlab.game.terms import TermRecord, Terms


class Recording(LightningModule):
    """What a game's steps leave in loggers and checkpoints.

    Attributes:
        record: The terms since the last check, and the latest values.
        skipped_steps: How many steps of each side a gradient scaler skipped.
        images_seen: Real images shown to the discriminator, over all processes.
        stage: The number of the stage that is played, from 1 on.
        last_played: After which step each side last moved.
    """

    record: TermRecord
    skipped_steps: Tensor
    images_seen: int
    stages: Sequence[Stage]
    stage: int
    last_played: dict[Name, int]
    penalty_every: int

    @property
    def _has_scaler(self) -> bool:
        plugin = self.trainer.precision_plugin
        return isinstance(plugin, MixedPrecision) and plugin.scaler is not None

    def logs_at(self, step: int) -> bool:
        """Whether terms are logged after this generator step."""
        return bool(every := cast(Any, self.trainer).log_every_n_steps) and step % every == 0

    def _log_terms(self) -> None:
        self._check_terms()
        logged = self.record.latest(after=self.last_logged)
        if self._has_scaler:
            skipped = (f"{side}_skipped" for side in SIDES)
            logged |= dict(zip(skipped, self.skipped_steps, strict=True))
        values = self._means(logged) | {"images": float(self.images_seen)}
        if self.stages:
            values["stage"] = float(self.stage)
        self.log_dict(values, logger=False)
        # Lightning would hand them to loggers only after the callbacks that save or end the run at this step.
        for logger in self.loggers:
            logger.log_metrics(values, step=self.global_step)

    @property
    def last_logged(self) -> int:
        """The step after which a value is one of the current log's.

        Penalties may be rarer than logs; of a discriminator that rests they are older values, as all its own.
        """
        every = max(cast(Any, self.trainer).log_every_n_steps, 1)
        plays = self.has_played("discriminator", after=self.global_step - every)
        return self.global_step - max(every, self.penalty_every if plays else 0)

    def has_played(self, side: Name, *, after: int) -> bool:
        """Whether a side made a step after this one."""
        return self.last_played[side] > after

    def current(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Without the terms and notes of a side that has rested since the last log: they are older values."""
        return {
            name: value
            for name, value in metrics.items()
            if not self.record.is_old(name, after=self.last_logged)
        }

    def _means(self, values: Terms) -> dict[str, float]:
        """Over processes, in one message for all values."""
        return dict(zip(values, self._reduced(values).tolist(), strict=True)) if values else {}

    def _reduced(self, values: Terms) -> Tensor:
        stacked = torch.stack([value.to(self.device) for value in values.values()]).to(self.dtype)
        return cast(Tensor, self.trainer.strategy.reduce(stacked, reduce_op="mean"))

    def _check_terms(self) -> None:
        self.record.check(
            lambda first: self.trainer.strategy.reduce(first, reduce_op="min"),
            skips_bad_steps=self._has_scaler,
        )
