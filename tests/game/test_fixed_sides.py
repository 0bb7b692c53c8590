"""A side that learns nothing and rests for ever: its networks are finished, or have no parameters."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn

from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.game.terms import NonFiniteError
from ganlab.networks import Pretrained
from ganlab.testing import Discriminator, Generator, assert_same, new, play, state
from ganlab.variants import HingeGAN


class FixedCritic(GAN):
    """The generator alone learns, by what a finished critic says."""

    def discriminator_terms(self, turn: Any) -> Any:
        return {}

    def generator_terms(self, turn: Any) -> Any:
        return {"score": -turn.fake_logits.mean()}


class FixedGenerator(HingeGAN):
    """The discriminator alone learns."""

    def generator_terms(self, turn: Any) -> Any:
        return {}


class Mean(nn.Module):
    """A critic without parameters."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).mean(1)


class Rows(nn.Module):
    """A generator without parameters."""

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return latent[:, None, None, :].expand(-1, 1, 8, 8).tanh()


class Beyond(nn.Module):
    """A generator of which a part is finished, and behind it a layer that learns."""

    def __init__(self) -> None:
        super().__init__()
        self.finished = Pretrained(network=Generator())
        self.layer = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return self.layer(self.finished(latent))


def finished(kind: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: Pretrained(network=kind())


# The game, and the name of the side that rests.
GAMES: dict[str, tuple[Callable[..., GAN], str]] = {
    "a finished critic": (
        lambda **a: new(FixedCritic, discriminator=finished(Discriminator), **a),
        "discriminator",
    ),
    "a critic without parameters": (lambda **a: new(FixedCritic, discriminator=Mean, **a), "discriminator"),
    "a finished generator": (
        lambda **a: new(FixedGenerator, generator=finished(Generator), **a),
        "generator",
    ),
    "a generator without parameters": (lambda **a: new(FixedGenerator, generator=Rows, **a), "generator"),
}
every_game = pytest.mark.parametrize("name", GAMES)


@every_game
def test_the_other_side_learns_and_all_else_stands_still(name: str) -> None:
    build, resting = GAMES[name]
    clips = {"generator_clip": 0.1, "discriminator_clip": 0.1}
    game = build(critic_steps=2, accumulation=2, **clips)
    before = state(game)
    trainer = play(game, steps=6, log_every_n_steps=1)
    learning = "generator" if resting == "discriminator" else "discriminator"
    moved = {
        key.partition(".")[0] for key, value in state(game).items() if not torch.equal(value, before[key])
    }
    assert moved == {learning, *(["ema"] if learning == "generator" else [])}
    assert trainer.global_step == 6
    assert game.images_seen == (0 if resting == "discriminator" else 6 * 2 * 8)
    logged = {key: float(value) for key, value in trainer.callback_metrics.items()}
    assert all(value == value for value in logged.values()), logged
    assert f"{learning}_gradient_norm" in logged
    assert f"{resting}_gradient_norm" not in logged


@pytest.mark.parametrize("precision", ["32", "bf16-mixed", "fp16"])
@every_game
def test_a_resumed_run_is_the_straight_one(name: str, precision: str, tmp_path: Path) -> None:
    def train(steps: int, resume: Path | None = None) -> tuple[GAN, Any]:
        how: dict[str, Any] = {"precision": precision}
        if precision == "fp16":
            scaler: Any = torch.amp.GradScaler("cpu", init_scale=2.0**10)
            how = {"precision": None, "plugins": [MixedPrecision("16-mixed", "cpu", scaler)]}
        game = GAMES[name][0]()
        return game, play(game, steps=steps, resume=resume, **how)

    straight = train(7)
    train(4)[1].save_checkpoint(tmp_path / "stopped.ckpt")
    resumed = train(7, tmp_path / "stopped.ckpt")
    assert resumed[1].global_step == 7
    assert_same(state(*straight), state(*resumed), what="the resumed run")


@every_game
def test_a_term_that_is_no_number_is_reported(name: str) -> None:
    game = GAMES[name][0]()
    learning = "generator" if GAMES[name][1] == "discriminator" else "discriminator"
    original = {"generator": game.generator_terms, "discriminator": game.discriminator_terms}[learning]

    def bad(turn: Any) -> Any:
        return {
            key: term * (torch.nan if game.global_step == 3 else 1) for key, term in original(turn).items()
        }

    setattr(game, f"{learning}_terms", bad)
    with pytest.raises(NonFiniteError, match="at step 3"):
        play(game, steps=8)


@every_game
def test_a_side_with_terms_but_nothing_to_learn_is_refused(name: str) -> None:
    build, resting = GAMES[name]
    fixed = build()
    players = {"generator": fixed.generator, "discriminator": fixed.discriminator}
    with pytest.raises(Refused, match=f"HingeGAN.{resting}_terms: no term depends on a parameter") as refusal:
        play(new(HingeGAN, **players), steps=1)
    assert len(str(refusal.value).splitlines()) <= 3


def test_within_a_player_that_learns_a_finished_part_stands_still() -> None:
    game = new(HingeGAN, generator=Beyond)
    before = state(game)
    play(game, steps=5)
    moved = {key for key, value in state(game).items() if not torch.equal(value, before[key])}
    assert {key for key in moved if "finished" in key} == set()
    assert {"generator.layer.weight", "ema.network.layer.weight"} <= moved
