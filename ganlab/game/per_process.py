"""Buffers that differ by process, such as a pool of generated images: each process keeps its own."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from ganlab.errors import Refused
from ganlab.game.terms import refuse_non_finite
from ganlab.system.processes import everyones

KEY = "per_process"  # in a checkpoint


class Game(Protocol):
    """The part of a GAN that is used here."""

    per_process: tuple[str, ...]

    @property
    def global_rank(self) -> int: ...

    def named_buffers(self) -> Any: ...


def names(game: Game) -> list[str]:
    """The buffers that a game names, by their own names or by those of the modules that they are in."""
    return [name for named in game.per_process for name in _within(game, named)]


def _within(game: Game, named: str) -> list[str]:
    found = [name for name, _ in game.named_buffers() if f"{name}.".startswith(f"{named}.")]
    if not found:
        raise Refused(
            f"{type(game).__name__}.per_process names {named!r}, which is neither a buffer of the game nor\n"
            "a module with some. It is a tuple of dotted names, such as ('pool',) or ('pool.images',)."
        )
    return found


def keep_apart(game: Any) -> None:
    """Have DistributedDataParallel send none of them, neither at the beginning nor in a forward pass."""
    if own := names(game):
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(game, own)


def save(game: Game, checkpoint: dict[str, Any]) -> None:
    """Add those of all processes to a checkpoint, in the order of ranks; the first's are also its weights.

    All processes call this. What is no number is refused by all of them alike.
    """
    state = checkpoint["state_dict"]
    own = {name: state[name].cpu() for name in names(game) if name in state}
    if not own:
        return
    checkpoint[KEY] = saved = everyones(own)
    ranked = [(name, rank, value) for rank, kept in enumerate(saved) for name, value in kept.items()]
    refuse_non_finite({f"{name} of process {rank}": value for name, rank, value in ranked})
    # The same tensors, so that the file holds them once.
    state.update(saved[0])


def restore(game: Game, checkpoint: dict[str, Any]) -> None:
    """Put those of this process among a checkpoint's weights, before they are loaded.

    They are exact if as many processes wrote the checkpoint. Else they are dealt again in order.
    """
    if saved := checkpoint.get(KEY):
        mine: dict[str, Tensor] = saved[game.global_rank % len(saved)]
        checkpoint["state_dict"].update({name: mine[name] for name in names(game) if name in mine})
