"""One side's turn on one micro-batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from ganlab.draws import Draws
from ganlab.record import Terms

if TYPE_CHECKING:
    from ganlab.gan import GAN

HALF = (torch.float16, torch.bfloat16)


def raised(values: Any) -> Any:
    """Half precision becomes float32; float64 stays what it is."""
    return apply_to_collection(values, Tensor, lambda v: v.float() if v.dtype in HALF else v)


def split(batch: Any, parts: int) -> list[Any]:
    """Cut each tensor of a batch into `parts` equal runs, in order."""
    if parts == 1:
        return [batch]
    return [apply_to_collection(batch, Tensor, lambda t, i=i: t.chunk(parts)[i]) for i in range(parts)]


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
    """Afterwards each layer is in the mode that it was in, whatever the others were in."""
    layers = [layer for player in players for layer in player.modules() if layer.training]
    for layer in layers:
        layer.training = False
    try:
        yield
    finally:
        for layer in layers:
            layer.training = True


def fused(optimizer: Optimizer) -> Optimizer:
    """Let Adam update all parameters in one kernel, wherever its author did not choose otherwise."""
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
        # Or else a gradient scaler would leave unscaling to the kernel, and clipping would see scaled
        # gradients.
        optimizer._step_supports_amp_scaling = False
    return optimizer


@dataclass
class Side:
    """A player, with all that its turn needs."""

    name: str
    player: nn.Module
    opponent: nn.Module
    terms: Callable[[Turn], Terms]
    optimizer: Optimizer
    clip: float | None
    generating: bool = False
    penalised: bool = False


def sides(game: GAN, discriminator: Optimizer, generator: Optimizer, *, penalised: bool) -> tuple[Side, Side]:
    """Of a game and its optimizers; who plays first comes first."""
    players = game.discriminator, game.generator
    critic = Side("discriminator", *players, game.discriminator_terms, discriminator, game.discriminator_clip)
    maker = Side("generator", *players[::-1], game.generator_terms, generator, game.generator_clip)
    critic.penalised, maker.generating = penalised, True
    return critic, maker


class Turn:
    """What is played with, each computed on first use, so that only who needs a thing pays for it.

    `generating` says whose turn it is. In a turn with penalties real and fake require gradients.
    """

    def __init__(self, game: GAN, batch: Any, draws: Draws, *, generating: bool, penalised: bool) -> None:
        self.batch = batch
        self.draws = draws
        self.generating = generating
        self.penalised = penalised
        self.notes: dict[str, Tensor] = {}
        self._game = game

    @cached_property
    def real(self) -> Any:
        return self._offered(self._game.real(self.batch))

    @cached_property
    def condition(self) -> Any:
        return self._game.condition(self.batch)

    @cached_property
    def latent(self) -> Tensor:
        return self._game.latent(self.draws)

    @cached_property
    def fake(self) -> Any:
        # The critic's pass in a turn with penalties leaves autocast; the generator's need not.
        precision = self._game.trainer.precision_plugin.forward_context()
        with precision, torch.set_grad_enabled(self.generating):
            fake = self._game.fake(self._game.generator, self.latent, self.condition)
        return self._offered(raised(fake))

    @cached_property
    def real_logits(self) -> Tensor:
        logits = self.logits(self.real)
        self.note("real_logit", logits)
        return logits

    @cached_property
    def fake_logits(self) -> Tensor:
        logits = self.logits(self.fake)
        self.note("fake_logit", logits)
        return logits

    def logits(self, images: Any) -> Any:
        """How the discriminator judges any images under this turn's condition."""
        with self._game.uncompiled(self.penalised):
            return raised(self._game.judge(self._game.seen(images), self.condition))

    def note(self, name: str, value: Tensor) -> None:
        """Log the mean of a quantity that is no loss."""
        self.notes[name] = value.detach().mean()

    def _offered(self, images: Any) -> Any:
        if not self.penalised:
            return images
        return apply_to_collection(images, Tensor, lambda t: t.detach().requires_grad_())
