"""Checks of the two sides: what each of them moves, and that it stands still while it rests."""

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import SkipTest

import torch
from lightning.pytorch import Callback
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR
from torch.utils._pytree import tree_map

from ganlab.game.gan import GAN
from ganlab.game.players import AVERAGE, SIDES, Side
from ganlab.game.stages import Stage
from ganlab.game.terms import Terms
from ganlab.judgements import Judged
from ganlab.networks import Several
from ganlab.testing.games import Game, apart, assert_same, learning, state, tensors_of
from ganlab.testing.training_checks import count_rests

Tensors = dict[str, Tensor]


def moves_only_what_a_side_learns(build: Game) -> None:
    """In a turn what the other side alone learns is bitwise untouched, and what both learn moves in both."""
    game = build()
    original, turns = game._play_turn, set()

    def watched(side: Side, *arguments: Any) -> Terms:
        resting = game._sides[not side.generating]
        before, shared = _alone(resting, side), _shared(side, resting)
        logged = original(side, *arguments)
        assert_same(before, _alone(resting, side), what=f"the {side.name}'s turn touched the {resting.name}")
        if shared and not side.rests:
            assert _changed(shared, _shared(side, resting)), f"the {side.name} never moves what both learn"
        turns.add(side.name)
        return logged

    game._play_turn = watched  # type: ignore[method-assign,assignment]
    trainer = build.play(game, steps=4)
    assert turns == {*SIDES}
    _has_no_stray_parameters(game, trainer.optimizers)


def _has_no_stray_parameters(game: GAN, optimizers: list[Optimizer]) -> None:
    """Each parameter that requires gradients is learned, and an optimizer holds what its side learns."""
    learned = [{id(p) for p in game.learns(side).values()} for side in SIDES]
    for name, parameter in game.named_parameters():
        known = any(id(parameter) in each for each in learned)
        assert known or name.startswith(AVERAGE) or not parameter.requires_grad, f"nobody learns {name}"
    for side, own, optimizer in zip(SIDES, learned, optimizers, strict=True):
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        assert held == own, f"the {side}'s optimizer holds other parameters than the {side} learns"


def _alone(side: Side, other: Side) -> Tensors:
    """What a side alone learns, with its gradients, and the state of its optimizer and its schedule."""
    shared = {id(parameter) for parameter in other.learned}
    alone = {str(n): p for n, p in enumerate(side.learned) if id(p) not in shared}
    gradients = {f"gradient of {n}": p.grad.clone() for n, p in alone.items() if p.grad is not None}
    values = {name: parameter.detach().clone() for name, parameter in alone.items()}
    kept = tensors_of("optimizer", side.optimizer.state_dict()["state"])
    rates = [torch.tensor(group["lr"]) for group in side.optimizer.param_groups]
    return {**values, **gradients, **kept, **{f"rate {n}": rate for n, rate in enumerate(rates)}}


def _shared(side: Side, other: Side) -> Tensors:
    both = {id(p) for p in side.learned} & {id(p) for p in other.learned}
    return {str(n): p.detach().clone() for n, p in enumerate(side.learned) if id(p) in both}


def _changed(before: Tensors, after: Tensors) -> bool:
    return any(name not in before or not torch.equal(before[name], after[name]) for name in after)


STAGES = (Stage(2, "discriminator"), Stage(2, "generator", adversarial=True))
STEPS = 6  # of which the last two are played by both


def lets_sides_rest(build: Game) -> None:
    """A side that rests in a stage stands still, and so does the average while that is the generator. The run
    ends when it shall, reals are counted where they are shown, and it resumes exactly within a stage.
    """
    _skip_what_rests(build)
    build = build.having(stages=STAGES, discriminator_scheduler=_fading, generator_scheduler=_fading)
    game, watch = build(), _Watch()
    trainer = build.play(game, steps=STEPS, callbacks=[watch])
    expected = state(game, trainer)
    assert trainer.global_step == len(watch.moved) == STEPS, "the run did not end at its last step"
    played = {"discriminator": (0, 1, 4, 5), "generator": (2, 3, 4, 5), "average": (2, 3, 4, 5)}
    for part, steps in played.items():
        moved = tuple(step for step, parts in enumerate(watch.moved) if part in parts)
        assert moved == steps, f"the {part} moved in steps {moved}, and plays in {steps}"
    assert game.images_seen == len(played["discriminator"]) * game.images_per_step
    with tempfile.TemporaryDirectory() as folder:
        for stop in (1, 3):
            path = Path(folder) / f"{stop}.ckpt"
            build.play(build(), steps=stop).save_checkpoint(path)
            resumed = build(seed=0)
            again = build.play(resumed, steps=STEPS, resume=path)
            assert_same(expected, state(resumed, again), what=f"the run resumed after step {stop}")
            assert resumed.images_seen == game.images_seen


def _skip_what_rests(build: Game) -> None:
    if resting := {*SIDES} - learning(build()):
        raise SkipTest(f"The {resting.pop()} of {build.variant.__name__} learns nothing.")
    if _own(build.variant, ("discriminator_terms", "generator_terms")):
        rests = count_rests(game := build())
        build.play(game, steps=STEPS)
        if rests.total():
            raise SkipTest(f"A side of {build.variant.__name__} rests by itself, also within a stage.")


def _fading(optimizer: Optimizer) -> LinearLR:
    return LinearLR(optimizer, 1.0, 0.5, total_iters=STEPS)


class _Watch(Callback):
    """Of each step which of the two sides and the average it moved."""

    def __init__(self) -> None:
        self.moved: list[set[str]] = []

    def on_train_batch_start(self, trainer: Any, game: Any, *_: Any) -> None:
        self.before = self._parts(game)

    def on_train_batch_end(self, trainer: Any, game: Any, *_: Any) -> None:
        after = self._parts(game)
        self.moved.append({part for part in after if _changed(self.before[part], after[part])})

    def _parts(self, game: Any) -> dict[str, Tensors]:
        first, second = game._sides
        average = {name: tensor.clone() for name, tensor in game.ema.state_dict().items()}
        return {first.name: _alone(first, second), second.name: _alone(second, first), "average": average}


class Twice(nn.Module):
    """Two critics of equal weights."""

    def __init__(self, critic: nn.Module, again: nn.Module) -> None:
        super().__init__()
        self.critics = nn.ModuleList([critic, again])

    def forward(self, *inputs: Any) -> list[Any]:
        return [critic(*inputs) for critic in self.critics]


# What may rely on there being a single critic.
OF_ONE = ("learns", "tie")
MAYBE_OF_ONE = ("judge", "discriminator_terms", "generator_terms", "penalties", "after_discriminator_step")


def is_judged_by_several_critics(build: Game) -> None:
    """Two critics of equal weights give the terms of one of them, and each of them is trained.

    Of a game that says which parts of its critic are whose, the one critic's judgement is given twice.
    """
    of_one = bool(_own(build.variant, OF_ONE))
    one = build.having(discriminator_optimizer=partial(torch.optim.SGD, lr=0.0))
    two = _judging_twice(one) if of_one else one.having(discriminator=partial(_twice, build))
    try:
        _assert_close(_terms(one), _terms(two))
    # A user's own method, of logits that are a list, may raise anything.
    except Exception as error:
        if own := _own(build.variant, MAYBE_OF_ONE):
            raise SkipTest(f"{build.variant.__name__}'s {own} may be of a single critic: {error}") from error
        raise
    if not of_one and "discriminator" in learning(build()):
        _trains_each_critic(build, build(discriminator=_twice(build)))


def _trains_each_critic(build: Game, game: GAN) -> None:
    critics = {
        name: critic
        for name, critic in game.discriminator.named_modules(prefix="discriminator")
        if name.split(".")[-2:-1] == ["critics"]
    }
    before = state(game)
    build.play(game, steps=3)
    after = state(game)
    for path, critic in critics.items():
        names = [f"{path}.{name}" for name, _ in critic.named_parameters()]
        moved = any(not torch.equal(before[name], after[name]) for name in names)
        assert moved, f"{path} stood still"


def _assert_close(one: Tensors, two: Tensors) -> None:
    assert one.keys() == two.keys()
    for name, value in one.items():
        close = torch.allclose(two[name], value, rtol=1e-6, atol=1e-9)
        assert close, f"{name} is {value} of one critic and {two[name]} of two like it"


def _own(variant: type[GAN], methods: tuple[str, ...]) -> str:
    return " and ".join(name for name in methods if vars(GAN)[name] is not getattr(variant, name))


def _twice(build: Game) -> nn.Module:
    """Each critic twice; those that a game knows by names keep these."""
    one, again = (build().discriminator for _ in range(2))
    if not (isinstance(one, Several) and isinstance(one.networks, nn.ModuleDict)):
        return Twice(one, again)
    for name, critic in one.networks.items():
        one.networks[name] = Twice(critic, again[name])  # type: ignore[index]
    return one


def _judging_twice(build: Game) -> Game:
    class JudgingTwice(build.variant):  # type: ignore[misc, name-defined]
        def judge(self, images: Any, condition: Any) -> Any:
            said = super().judge(images, condition)
            return tree_map(lambda each: [each, each], said, is_leaf=lambda each: isinstance(each, Judged))

    return replace(build, variant=JudgingTwice)


def _terms(build: Game) -> Tensors:
    """What is logged of three steps in which the critics stand still."""
    trainer = build.play(apart(build()), steps=3, precision="64-true", log_every_n_steps=1)
    norm = "discriminator_gradient_norm"
    return {name: value for name, value in trainer.callback_metrics.items() if name != norm}
