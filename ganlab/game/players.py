"""The two sides of a game, and the states of their networks during a turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from ganlab.game.terms import Terms, checked
from ganlab.game.turn import Turn

LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}  # by a tensor's number of axes


class Game(Protocol):
    """The part of a GAN of which its sides are made."""

    generator: nn.Module
    discriminator: nn.Module
    generator_clip: float | None
    discriminator_clip: float | None

    def generator_terms(self, turn: Turn) -> Terms: ...

    def discriminator_terms(self, turn: Turn) -> Terms: ...


def keep_channels_last(*players: nn.Module) -> None:
    """Keep the weights of convolutions with the channels last."""
    for player in players:
        for tensor in (*player.parameters(), *player.buffers()):
            if layout := LAYOUTS.get(tensor.ndim):
                tensor.data = tensor.data.to(memory_format=layout)


@contextmanager
def frozen(player: nn.Module) -> Iterator[None]:
    parameters = [p for p in player.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@contextmanager
def evaluating(*players: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards each layer is again in the mode that it was in before."""
    layers = [layer for player in players for layer in player.modules() if layer.training]
    for layer in layers:
        layer.training = False
    try:
        yield
    finally:
        for layer in layers:
            layer.training = True


def fused(optimizer: Optimizer) -> Optimizer:
    """Let Adam update all parameters in one kernel, unless its arguments choose otherwise."""
    if isinstance(optimizer, (Adam, AdamW)):
        for group in optimizer.param_groups:
            chosen = (
                group["foreach"]
                or group["capturable"]
                or group["differentiable"]
                or group["fused"] is not None
            )
            if not chosen and {p.device.type for p in group["params"]} <= {"cpu", "cuda"}:
                group["fused"] = True
        # Otherwise a gradient scaler would leave unscaling to the kernel, and clipping would see scaled
        # gradients.
        optimizer._step_supports_amp_scaling = False
    return optimizer


@dataclass
class Side:
    """A player, its opponent, and how it is trained."""

    name: str
    player: nn.Module
    opponent: nn.Module
    terms: Callable[[Turn], Terms]
    optimizer: Optimizer
    clip: float | None
    generating: bool = False
    penalised: bool = False
    variant: str = ""

    @property
    def source(self) -> str:
        """The method that gives its terms, as messages name it."""
        return f"{self.variant}.{self.name}_terms"

    def checked_terms(self, turn: Turn) -> Terms:
        return checked(self.terms(turn), self.source, self.name)


def sides(
    game: Game, discriminator: Optimizer, generator: Optimizer, *, penalised: bool
) -> tuple[Side, Side]:
    """A game's two sides, in the order of their turns."""
    players = game.discriminator, game.generator
    first = Side("discriminator", *players, game.discriminator_terms, discriminator, game.discriminator_clip)
    second = Side("generator", *players[::-1], game.generator_terms, generator, game.generator_clip)
    first.penalised, second.generating = penalised, True
    first.variant = second.variant = type(game).__name__
    return first, second
