"""What a game is put together from besides its loss: penalties and regularisers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from ganlab.augment import Augmentation
from ganlab.game.terms import Terms

if TYPE_CHECKING:
    from ganlab.game.turn import Turn


class Penalty:
    """A term of the discriminator that is differentiated with respect to samples.

    Attributes:
        name: Of the term in logs and tables.
    """

    name: str

    def __call__(self, turn: Turn) -> Tensor:
        """The weighted mean over the turn's samples, which require gradients."""
        raise NotImplementedError


class Game(Protocol):
    """The part of a game that a regulariser may read."""

    generator: nn.Module
    discriminator: nn.Module


class Regulariser(nn.Module):
    """Terms, or a change of what the discriminator is shown, that any game can have besides its own.

    What it remembers from step to step lies in buffers, which are in checkpoints.

    Attributes:
        needs_boundary: Whether it reads from a logit if the discriminator takes a sample for real. Losses
            whose logits do not say so are refused.
        judges_by_chance: Whether with it the discriminator says of one sample now this, now that.
        compares_logits: Whether it compares logits of near points, which chance would tell apart.
        augmentations: What it makes of samples, if anything; these are pictures then.
    """

    needs_boundary = False
    judges_by_chance = False
    compares_logits = False
    augmentations: tuple[Augmentation, ...] = ()
    boundary = 0.0  # that of the game's loss

    def attach(self, game: Game) -> None:
        """Called once, when the game's networks are there: the place for buffers of their sizes.

        A network must not become an attribute, which would make it a part of the regulariser.
        """

    def seen(self, samples: Tensor) -> Tensor:
        """What the discriminator is shown of samples, augmented ones, in the turns of both sides."""
        return samples

    def terms(self, turn: Turn) -> Terms:
        """Named terms of the side whose turn it is: `turn.generating` is true in the generator's."""
        return {}

    def after_discriminator_step(self, logged: Terms, images: int) -> None:
        """Called with the turn's terms and notes, averaged over the batches of all processes.

        Args:
            images: Reals of the turn, over all processes.
        """

    def after_generator_step(self, logged: Terms, images: int) -> None:
        """The same of the generator's turn."""


def heard_after(generating: bool, regulariser: Any) -> Callable[[Terms, int], None] | None:
    """What a regulariser does after the step of a side; None: nothing."""
    if generating:
        unheard = type(regulariser).after_generator_step is Regulariser.after_generator_step
        return None if unheard else regulariser.after_generator_step
    unheard = type(regulariser).after_discriminator_step is Regulariser.after_discriminator_step
    return None if unheard else regulariser.after_discriminator_step


def replace_by_finite(buffer: Tensor, value: Tensor) -> None:
    """Set a buffer to a value, but for what is no finite number: that stays what it was.

    A scaler skips a step in which half precision overflows; a running mean would remember it for ever.
    """
    buffer.copy_(torch.where(value.isfinite(), value, buffer))


def without_hooks_of(kind: type, layer: nn.Module) -> nn.Module:
    """The layer, without what regularisers have hooked into it in another game that it was in before."""
    for hooks in (layer._forward_hooks, layer._forward_pre_hooks):
        for number, hook in [*hooks.items()]:
            bound = hook.func if isinstance(hook, partial) else hook
            if isinstance(getattr(bound, "__self__", None), kind):
                del hooks[number]
    return layer
