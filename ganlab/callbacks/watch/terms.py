"""A run's terms: which of them explode, and whether the discriminator has won."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from statistics import median
from typing import Any

import torch

from ganlab.game.gan import GAN

EXPLODED, LARGE = 100.0, 1000.0  # times its own median; a term below LARGE has not exploded
REMEMBERED = 200  # values of a term
WON, WORSE = 0.02, 10.0  # times the loss of a discriminator that cannot tell fakes from reals
LOSSES, MOSTLY = 20, 0.8  # values of the discriminator's loss, and the share of them that it has won


@dataclass
class TermHistory:
    """Last values: of each term; and the discriminator's losses, in those of one that cannot tell."""

    values: dict[str, list[float]] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)

    def explodes(self, logged: Mapping[str, Any], *, after_explosion: bool, besides: Iterable[str]) -> bool:
        """Whether a term is far above its own past; names `besides` are no terms."""
        exploded, besides = False, {"images", *besides}
        for name, value in ((name, float(value)) for name, value in logged.items()):
            if name in besides or not isfinite(value):
                continue
            past = self.values.setdefault(name, [])
            # After an explosion its own past is no measure any more: only LARGE counts.
            usual = 0.0 if after_explosion or not past else median(map(abs, past))
            exploded |= abs(value) > max(LARGE, EXPLODED * usual)
            past.append(value)
            del past[:-REMEMBERED]
        return exploded

    def add_loss(self, game: GAN, logged: Mapping[str, Any]) -> bool:
        """Add the discriminator's loss, if there is one, and a loss of one that cannot tell; whether so."""
        loss, chance = logged.get("discriminator"), _chance(game)
        if loss is None or chance <= 0:
            return False
        self.losses = [*self.losses[1 - LOSSES :], float(loss) / chance]
        return True

    @property
    def tells_all_apart(self) -> bool:
        """Whether the discriminator's loss has mostly been near nothing of late."""
        return sum(loss < WON for loss in self.losses) >= MOSTLY * LOSSES

    @property
    def misleads(self) -> bool:
        """Whether the discriminator has been far worse of late than one that cannot tell."""
        return sum(self.losses) > WORSE * LOSSES


def _chance(game: GAN) -> float:
    """The loss of a discriminator that cannot tell fakes from reals; of a critic it is 0."""
    if not getattr(game, "loss", None):
        return 0.0
    undecided = torch.zeros(2)
    return float(game.loss.discriminator(undecided, undecided))
