"""The user file of the unrolled GAN has the paper's gradient."""

from pathlib import Path
from types import ModuleType

import pytest
import torch
from trained_runs import import_for_test

from ganlab import losses
from ganlab.game.gan import GAN
from ganlab.networks import MLPDiscriminator
from ganlab.testing import SHAPE, assert_same, new, play, state


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "user_files"))
    return import_for_test(monkeypatch, "my_unrolled")


def test_without_steps_it_is_the_plain_game(user: ModuleType) -> None:
    class Plain(GAN):
        loss = losses.non_saturating

    games = new(Plain), new(user.UnrolledGAN, unrolled_steps=0), new(user.UnrolledGAN)
    plain, none, three = (state(game, play(game, steps=4)) for game in games)
    assert_same(plain, none, what="the game without steps")
    assert any(not torch.equal(plain[name], three[name]) for name in plain)


def test_the_generator_is_told_how_its_samples_move_the_critic(user: ModuleType) -> None:
    """The derivative along a direction is that of central differences; the critic itself stays as it is."""
    critic = MLPDiscriminator(shape=SHAPE, hidden=(16,), activation="elu")
    game = new(user.UnrolledGAN, discriminator=critic, unrolled_rate=0.5).double()
    real, fake, direction = torch.randn(3, 6, *SHAPE, dtype=torch.float64)
    before = state(game)

    def loss(images: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
        weights = game.unrolled(real, moving)
        return game.loss.generator(game.judged_with(weights, images), lambda: None)

    fake.requires_grad_()
    (slope,) = torch.autograd.grad(loss(fake, fake), fake)
    (without,) = torch.autograd.grad(loss(fake, fake.detach()), fake)
    ends = [loss(fake + step * direction, fake + step * direction) for step in (1e-4, -1e-4)]
    expected = (ends[0] - ends[1]).item() / 2e-4
    assert (slope * direction).sum().item() == pytest.approx(expected, rel=1e-5)
    assert abs((without * direction).sum().item() - expected) > 0.01 * abs(expected)
    assert_same(before, state(game), what="the game")
