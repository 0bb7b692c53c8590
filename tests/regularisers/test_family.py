"""What every regulariser does in every game: whoever adds one gets these tests."""

from functools import partial, partialmethod
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from regularised_games import GAMES, NAMES, nothing_by_chance, regularised, regulariser
from torch import nn

from ganlab.game.gan import GAN
from ganlab.game.passes import Pass, passing
from ganlab.testing import SHAPE, Specks, assert_same, on_two_processes, play, state, tried_with

each_one = pytest.mark.parametrize("name", NAMES)
State = dict[str, torch.Tensor]
OWN = "regularisers."  # how the names of its buffers begin


@each_one
@pytest.mark.parametrize("game", GAMES)
def test_it_joins_a_game(name: str, game: str) -> None:
    """Its terms and notes stand beside the game's own, which are all there."""
    without = play(GAMES[game](), steps=1, log_every_n_steps=1).callback_metrics
    joined = play(regularised(name, game), steps=2, log_every_n_steps=1).callback_metrics
    assert without.keys() < joined.keys()
    assert all(value.isfinite() for value in joined.values())


@each_one
def test_it_changes_what_is_learned(name: str) -> None:
    with_it, without = regularised(name), GAMES["hinge"]()
    one, other = (state(game, play(game, steps=3)) for game in (with_it, without))
    assert not all(torch.equal(one[key], other[key]) for key in other)


@each_one
def test_it_resumes_exactly(name: str, tmp_path: Path) -> None:
    straight = regularised(name)
    expected = state(straight, play(straight, steps=5))
    play(regularised(name), steps=3).save_checkpoint(tmp_path / "half.ckpt")
    torch.load(tmp_path / "half.ckpt", weights_only=True)
    resumed = regularised(name)
    trainer = play(resumed, steps=5, resume=tmp_path / "half.ckpt")
    assert_same(expected, state(resumed, trainer), what="the resumed run")


def exactly(game: GAN, *, batch: int = 8, **settings: Any) -> State:
    with nothing_by_chance():
        data = tried_with(type(game)).data(batch_size=batch)
        play(game, data, steps=4, precision="64-true", **settings)
    return state(game)


def apart(one: State, other: State) -> float:
    assert one.keys() == other.keys()
    return max((float((one[key] - other[key]).abs().max()) for key in one), default=0.0)


@each_one
def test_micro_batches_add_up_to_their_batch(name: str) -> None:
    whole, cut = (exactly(regularised(name, accumulation=parts)) for parts in (1, 2))
    couples = "ouples samples" in (type(regulariser(name)).__doc__ or "")
    assert (apart(whole, cut) > 1e-9) if couples else (apart(whole, cut) <= 1e-9)


@pytest.mark.parametrize("name", ["CHAIN", "SAN"])
def test_its_hooks_are_compiled_also_after_a_game_without(name: str) -> None:
    torch.compiler.reset()
    left = []
    with patch.object(nn.Module, "compile", partialmethod(nn.Module.compile, backend="eager")):
        for game in (GAMES["hinge"](compile=True), regularised(name, compile=True)):
            game.configure_model()
            current = Pass(of_reals=True)
            with passing(current):
                game.discriminator.requires_grad_(False)(torch.zeros(2, *SHAPE))
            left.append(bool(current.left))
    assert left == [False, True]


@each_one
def test_it_trains_in_bf16(name: str) -> None:
    trainer = play(regularised(name), steps=2, precision="bf16-mixed", log_every_n_steps=1)
    assert all(value.isfinite() for value in trainer.callback_metrics.values())


def by_one_of_two(name: str) -> tuple[State, State]:
    """With nothing by chance, then as it is."""
    pair = {"devices": 2, "plugins": [LightningEnvironment()]}
    exact = exactly(regularised(name), **pair)
    game = regularised(name)
    play(game, Specks(), steps=4, precision="64-true", **pair)
    return exact, state(game)


@pytest.mark.slow
@each_one
def test_two_processes_are_one_of_twice_the_batch(name: str) -> None:
    (exact, by_chance), (exact_too, by_chance_too) = on_two_processes(partial(by_one_of_two, name))
    assert_same(exact, exact_too, what="the second process")
    assert_same(by_chance, by_chance_too, what="the second process")
    if "ouples samples" not in (type(regulariser(name)).__doc__ or ""):
        assert apart(exact, exactly(regularised(name), batch=16)) <= 1e-9
