"""The two sides of a game, and the states of their networks during a turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganlab.errors import Refused
from ganlab.game.stages import Name
from ganlab.game.terms import Terms, checked
from ganlab.game.turn import Turn

SIDES: tuple[Name, Name] = ("discriminator", "generator")  # in the order of their turns
AVERAGE = "ema."
LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}  # by a tensor's number of axes


class Game(Protocol):
    """The part of a GAN of which its sides are made."""

    generator: nn.Module
    discriminator: nn.Module
    generator_clip: float | None
    discriminator_clip: float | None

    def generator_terms(self, turn: Turn) -> Terms: ...

    def discriminator_terms(self, turn: Turn) -> Terms: ...

    def learns(self, side: Name) -> Mapping[str, nn.Parameter]: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...


def keep_channels_last(*players: nn.Module) -> None:
    """Keep the weights of convolutions with the channels last."""
    for player in players:
        for tensor in (*player.parameters(), *player.buffers()):
            if layout := LAYOUTS.get(tensor.ndim):
                tensor.data = tensor.data.to(memory_format=layout)


@contextmanager
def frozen(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
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
    """What a side learns, and how it is trained.

    Attributes:
        learned: The parameters that it moves.
        others: Those of the game that it does not.
        rests: Whether it rested in its last turn.
    """

    name: Name
    learned: list[nn.Parameter]
    others: list[nn.Parameter]
    terms: Callable[[Turn], Terms]
    optimizer: Optimizer
    scheduler: LRScheduler | None
    clip: float | None
    generating: bool
    penalised: bool
    variant: str
    rests: bool = False

    @property
    def source(self) -> str:
        """The method that gives its terms, as messages name it."""
        return f"{self.variant}.{self.name}_terms"

    def checked_terms(self, turn: Turn) -> Terms:
        return checked(self.terms(turn), self.source, self.name)


def sides(
    game: Game, optimizers: Sequence[Optimizer], schedulers: Sequence[LRScheduler | None], *, penalised: bool
) -> tuple[Side, Side]:
    """A game's two sides, in the order of their turns: first the discriminator, as in all that is given."""
    terms = game.discriminator_terms, game.generator_terms
    clips = game.discriminator_clip, game.generator_clip
    first, second = (
        Side(
            name=name,
            learned=[*learned(game, name).values()],
            others=_others(game, name),
            terms=terms[index],
            optimizer=optimizers[index],
            scheduler=schedulers[index],
            clip=clips[index],
            generating=name == "generator",
            penalised=penalised and name == "discriminator",
            variant=type(game).__name__,
        )
        for index, name in enumerate(SIDES)
    )
    return first, second


def learned(game: Game, side: Name) -> dict[str, nn.Parameter]:
    """What a side learns, each parameter once; what is no parameter of the game's networks is refused."""
    own = {id(p) for name, p in game.named_parameters() if not name.startswith(AVERAGE)}
    result: dict[int, tuple[str, nn.Parameter]] = {}
    for name, parameter in _by_name(game, side).items():
        if id(parameter) not in own:
            raise Refused(
                f"{type(game).__name__}.learns('{side}') names '{name}': no parameter of this game, or\n"
                "one of the generator's average. Name parameters of its networks."
            )
        result.setdefault(id(parameter), (name, parameter))
    return dict(result.values())


def _by_name(game: Game, side: Name) -> Mapping[str, nn.Parameter]:
    named: Any = game.learns(side)
    if not isinstance(named, Mapping):
        raise Refused(
            f"{type(game).__name__}.learns('{side}') returned {named!r:.60}.\n"
            "It returns parameters by name, such as dict(module.named_parameters())."
        )
    return named


def _others(game: Game, side: Name) -> list[nn.Parameter]:
    own = {id(parameter) for parameter in _by_name(game, side).values()}
    return [parameter for _, parameter in game.named_parameters() if id(parameter) not in own]


def refuse_forgotten(game: Game) -> None:
    """Refuse a parameter that requires gradients, but that no side learns."""
    known = {id(parameter) for side in SIDES for parameter in _by_name(game, side).values()}
    for name, parameter in game.named_parameters():
        if parameter.requires_grad and id(parameter) not in known:
            raise Refused(
                f"No side of {type(game).__name__} learns '{name}': name it in learns(side), or freeze\n"
                "it, if it shall stay what it is: module.requires_grad_(False)."
            )
