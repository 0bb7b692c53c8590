"""Checks before the first step: settings, batches and networks that cannot work are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import Any, Protocol

import torch
from lightning.pytorch.strategies import ParallelStrategy
from lightning.pytorch.utilities import rank_zero_only
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.game.parts import Penalty
from ganlab.game.players import evaluating
from ganlab.game.turn import Turn
from ganlab.losses import boundary_of
from ganlab.media import Video
from ganlab.networks.heads import Heads
from ganlab.networks.several import single_networks, wrapped_networks


class Game(Protocol):
    """The part of a GAN that is checked."""

    critic_steps: int
    accumulation: int
    packing: int
    penalty_share: float
    images_per_step: int

    @property
    def trainer(self) -> Any: ...


def numbers(game: Game) -> None:
    counts = "critic_steps", "accumulation", "penalty_every", "instance_noise_steps"
    amounts = "latent_size", "ema_half_life", "ema_ramp", "instance_noise"
    clips = "generator_clip", "discriminator_clip"
    given = vars(game)
    bounds.at_least(1, game, **{name: given[name] for name in counts})
    bounds.at_least(0, game, **{name: given[name] for name in amounts})
    bounds.above(0, game, **{name: given[name] for name in clips})
    bounds.seed(game, seed=given["seed"])
    bounds.share(game, penalty_share=given["penalty_share"])


def penalties(returned: Any, given: Sequence[Penalty], source: str) -> None:
    """Refuse what a variant's own method returned if it forgets the penalties that the game was given."""
    missing = [
        penalty.name for penalty in given if isinstance(returned, dict) and penalty.name not in returned
    ]
    if missing:
        raise Refused(
            f"{source} does not return what penalty_terms ask for ({', '.join(missing)}).\n"
            "Add it to what the base returns: {**super().penalties(turn), …}."
        )


def parts(game: Any, *, has_penalties: bool) -> None:
    """Refuse penalties of one name, and tell regularisers that read it above which logit samples are real."""
    names = [penalty.name for penalty in game.penalty_terms]
    if twice := {name for name in names if names.count(name) > 1}:
        raise Refused(
            f"{type(game).__name__}: two of its penalties are called '{twice.pop()}' (penalty_terms).\n"
            "Add up their weights in one, or leave one out."
        )
    if game.penalty_share < 1 and not has_penalties:
        raise Refused(
            f"{type(game).__name__}: penalty_share is {game.penalty_share}, but there are no penalties.\n"
            "Give it some (penalty_terms), or leave penalty_share out."
        )
    by_chance = [type(each).__name__ for each in game.regularisers if each.judges_by_chance]
    comparing = [type(each).__name__ for each in game.regularisers if each.compares_logits]
    if by_chance and comparing:
        raise Refused(
            f"{comparing[0]} compares logits of near points, which {by_chance[0]} tells apart by chance.\n"
            "Leave out one of the two (regularisers)."
        )
    for regulariser in game.regularisers:
        if regulariser.needs_boundary:
            regulariser.boundary = boundary_of(getattr(game, "loss", None), game, regulariser)


def augmentations(game: Any) -> None:
    """Refuse augmentations, which are of pictures and clips, where data told that something else is made."""
    made = game.media[0] if game.media else None
    if made is None or len(made.shape) == 3 or isinstance(made, Video):
        return
    for owner in (game, *game.regularisers):
        if owner.augmentations:
            raise Refused(
                f"{type(owner).__name__} augments pictures ({', '.join(owner.augmentations)}), and the data\n"
                f"hold {type(made).__name__} of the shape {made.shape}: leave that out."
            )


def loss(game: Game, base: type[Game]) -> None:
    variant = type(game)
    for terms in ("discriminator_terms", "generator_terms"):
        if getattr(variant, terms) is getattr(base, terms) and not getattr(game, "loss", None):
            raise Refused(
                f"{variant.__name__} says no loss. A variant has one (loss = ganlab.losses.hinge) or\n"
                "its own discriminator_terms and generator_terms. Those there are: ganlab list."
            )


def trainer_settings(game: Game) -> None:
    trainer: Any = game.trainer
    if batch := getattr(trainer.datamodule, "batch_size", None):
        batch_size(game.critic_steps * batch, game)
    if trainer.precision in ("16-true", "bf16-true"):
        raise Refused(
            f"trainer.precision {trainer.precision} keeps weights in half precision, which small updates do\n"
            "not change. Use bf16-mixed or 16-mixed (half-precision products, float32 weights), or 32."
        )
    # A trial run of a few batches sets one epoch by itself.
    if trainer.max_epochs not in (None, -1) and not trainer.fast_dev_run:
        raise Refused(
            f"trainer.max_epochs is {trainer.max_epochs}, but training data are one endless stream.\n"
            "Give the budget in generator steps: trainer.max_steps."
        )

    synchronised = isinstance(trainer.strategy, ParallelStrategy) and trainer.strategy._layer_sync is not None
    if synchronised and trainer.strategy.root_device.type == "cpu":
        raise Refused("trainer.sync_batchnorm works on GPUs only: PyTorch has no SyncBatchNorm for CPUs.")
    if trainer.overfit_batches:
        raise Refused(
            "trainer.overfit_batches would replace the stream of positions by a plain sampler.\n"
            "For a tiny training set give the data a folder with few images."
        )


def batch_size(size: int, game: Game) -> None:
    every = round(1 / game.penalty_share)
    parts = game.critic_steps * game.accumulation * game.packing * every
    if size % parts:
        packs = f" x packing {game.packing}" if game.packing > 1 else ""
        packs += f" x 1/penalty_share {every}" if every > 1 else ""
        raise Refused(
            f"A batch of {size} images cannot be cut into {parts} equal parts (critic_steps "
            f"{game.critic_steps} x accumulation {game.accumulation}{packs}).\n"
            f"Choose a batch size that is a multiple of {parts}."
        )


def heads_of_samples(game: Game) -> None:
    """Refuse a discriminator that judges packs, in a game that reads what its heads say of each sample."""
    if game.packing > 1:
        raise Refused(
            f"{type(game).__name__} reads what heads say of each sample, and its discriminator judges\n"
            f"{game.packing} as one (networks.Packed, packing): take one that judges each by itself."
        )


def features_themselves(game: Any) -> None:
    """Refuse a head called `features` that has weights, in a game that trains none there."""
    for part in game.discriminator.modules():
        head = part.heads["features"] if isinstance(part, Heads) and "features" in part.heads else None
        if head is not None and [*head.parameters()]:
            raise Refused(
                f"{type(game).__name__} matches features, and here their head has weights of its own, but\n"
                "nobody trains them. Take the features themselves: heads: {features: features}."
            )


def networks_of_conditions(game: Any, base: type[Game]) -> None:
    """Refuse networks that take no condition in a game that tells them one."""
    calls = {"generator": ("fake", "latents"), "discriminator": ("judge", "images")}
    for player, (method, first) in calls.items():
        if player not in game.tells or getattr(type(game), method) is not getattr(base, method):
            continue
        for network in single_networks(getattr(game, player)):
            takes_condition(network, player, first)


def takes_condition(network: nn.Module, player: str, *first: str) -> None:
    """Refuse a player's network that takes no condition after what it takes first, or wraps such a one."""
    calls = [(network, first), *((inner, first[:1]) for inner in wrapped_networks(network))]
    for called, before in calls:
        if not takes(called, *before, "condition"):
            raise Refused(
                f"{type(called).__name__} takes {first[0]} and no condition, but the game is conditional\n"
                f"(model.conditional): choose another {player}, or leave conditional out."
            )


def takes(network: nn.Module, *arguments: str) -> bool:
    """Whether a network can be called with so many arguments."""
    try:
        signature(network.forward).bind(*arguments)
    except TypeError:
        return False
    return True


def takes_labels_alone(game: Any) -> bool:
    """Whether a game takes its condition from labels, and from nothing else of a batch."""
    return takes_alone(game, 1, torch.zeros(2, dtype=torch.long))


@torch.no_grad()
def takes_alone(game: Any, column: int, items: Tensor) -> bool:
    """Whether a game takes its condition from this column of a batch, and from nothing else of it.

    Args:
        items: Some of that column, as networks play with them.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            condition = game.condition((*[None] * column, items))
    # A user's own method, of a batch that lacks what it needs, may raise anything.
    except Exception:
        return False
    return all(part is not None for part in tree_leaves(condition))


def step_layout(game: Game) -> dict[str, int]:
    """Into how many parts a step's images are divided; saved in checkpoints."""
    processes, parts = game.trainer.world_size, game.accumulation
    return {"images_per_step": game.images_per_step, "processes": processes, "accumulation": parts}


def resumed(saved: dict[str, int], now: dict[str, int], per_process: Sequence[str]) -> None:
    """Compare two step layouts: data go on where they stopped only if a step takes as many images.

    Args:
        per_process: What differs by process, which other processes are dealt again.
    """
    if not saved:
        return
    if saved["images_per_step"] != now["images_per_step"]:
        raise Refused(
            f"This run was begun with {saved['images_per_step']} images a step over all processes, and\n"
            f"would go on with {now['images_per_step']}. Keep data.batch_size x processes what it was."
        )
    if changed := [name for name in ("processes", "accumulation") if saved[name] != now[name]]:
        changes = ", ".join(f"{name} {saved[name]} -> {now[name]}" for name in changed)
        dealt = f"; dealt again: {', '.join(per_process)}" if per_process and "processes" in changed else ""
        rank_zero_only(print)(
            f"not bit-for-bit from here: {changes}; order, noise and counters go on exactly{dealt}"
        )


def first_packs(batch: Any, packing: int) -> Any:
    """The first two samples of a batch, or packs of samples."""
    return apply_to_collection(batch, Tensor, lambda t: t[: 2 * packing])


def whole_packs(batch: Any, packing: int) -> Any:
    """A batch without the samples at its end that are less than a pack."""
    if packing == 1:
        return batch
    return apply_to_collection(batch, Tensor, lambda t: t[: len(t) // packing * packing])


@torch.no_grad()
def players(turn: Turn, generator: nn.Module, discriminator: nn.Module, packing: int) -> None:
    """Run both networks on the turn in evaluation mode, which changes no state, and compare shapes."""
    with evaluating(generator, discriminator):
        if isinstance(turn.real, Tensor):
            if not isinstance(turn.fake, Tensor):
                turn._game.medium(turn.fake)  # refuses it
            _shapes(turn, type(generator).__name__, type(discriminator).__name__, packing)


@contextmanager
def keeping_buffers(game: nn.Module) -> Iterator[None]:
    """Afterwards all buffers, which a variant's methods may change, are what they were before."""
    buffers = [*game.buffers()]
    kept = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, before in zip(buffers, kept, strict=True):
                buffer.copy_(before)


@torch.enable_grad()
def generator_alone(turn: Turn, terms: Callable[[Turn], Any], *players: nn.Module) -> None:
    """Refuse a stage without an adversary of a game whose generator then has nothing to learn by."""
    with evaluating(*players), torch.random.fork_rng(devices=[]):
        if not terms(turn):
            variant = type(turn._game).__name__
            raise Refused(
                f"The generator of {variant} has no term without an adversary, to learn by alone (stages).\n"
                "Let it play against the discriminator as it is: adversarial: true."
            )


def _shapes(turn: Turn, generator: str, discriminator: str, packing: int) -> None:
    real, fake = tuple(turn.real.shape[1:]), tuple(turn.fake.shape[1:])
    if fake != real:
        raise Refused(
            f"The data's images have the shape {real}, but {generator} makes {fake}.\n"
            "Leave shape out of the networks' arguments (the data tell them), or mend the data's size."
        )
    try:
        logits = turn.real_logits
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise Refused(f"{discriminator} cannot judge images of the shape {real}: {reason}") from error
    for each in tree_leaves(logits):
        if isinstance(each, Tensor) and (not each.ndim or len(each) * packing != len(turn.real)):
            of = "an image" if packing == 1 else f"{packing} images (packing)"
            raise Refused(
                f"{discriminator} made logits of the shape {(*each.shape,)} from {len(turn.real)} images.\n"
                f"A discriminator returns one logit, or one map of logits, {of}."
            )
