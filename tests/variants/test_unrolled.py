"""The unrolled GAN has the paper's gradient."""

from functools import partial

import pytest
import torch

from ganlab.media import Labels
from ganlab.networks import MLPDiscriminator, MLPGenerator
from ganlab.testing import SHAPE, assert_same, new, play, state
from ganlab.variants import NonSaturatingGAN, UnrolledGAN


def test_without_steps_it_is_the_plain_game() -> None:
    games = new(NonSaturatingGAN), new(UnrolledGAN, unrolled_steps=0), new(UnrolledGAN)
    plain, none, five = (state(game, play(game, steps=4)) for game in games)
    assert_same(plain, none, what="the game without steps")
    assert any(not torch.equal(plain[name], five[name]) for name in plain)


def test_the_generator_is_told_how_its_samples_move_the_critic() -> None:
    """The derivative along a direction is that of central differences; the critic itself stays as it is."""
    critic = MLPDiscriminator(shape=SHAPE, hidden=(16,), activation="elu")
    game = new(UnrolledGAN, discriminator=critic, unrolled_rate=0.5, unrolled_steps=3).double()
    real, fake, direction = torch.randn(3, 6, *SHAPE, dtype=torch.float64)
    before = state(game)

    def loss(images: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
        weights = game.weights_ahead(real, moving, None)
        return game.loss.generator(game.judged_with(weights, images, None), lambda: None)

    fake.requires_grad_()
    (slope,) = torch.autograd.grad(loss(fake, fake), fake)
    (without,) = torch.autograd.grad(loss(fake, fake.detach()), fake)
    ends = [loss(fake + step * direction, fake + step * direction) for step in (1e-4, -1e-4)]
    expected = (ends[0] - ends[1]).item() / 2e-4
    assert (slope * direction).sum().item() == pytest.approx(expected, rel=1e-5)
    assert abs((without * direction).sum().item() - expected) > 0.01 * abs(expected)
    assert_same(before, state(game), what="the game")


def test_the_steps_ahead_are_those_of_gradient_descent() -> None:
    critic = MLPDiscriminator(shape=SHAPE, hidden=(16,))
    game = new(UnrolledGAN, discriminator=critic, unrolled_rate=0.1, unrolled_steps=2)
    real, fake = torch.randn(2, 6, *SHAPE)
    ahead = game.weights_ahead(real, fake, None)
    plain = torch.optim.SGD(critic.parameters(), lr=0.1)
    for _ in range(2):
        plain.zero_grad()
        game.loss.discriminator(critic(real), critic(fake)).backward()
        plain.step()
    for name, weight in critic.named_parameters():
        torch.testing.assert_close(ahead[name], weight)


def test_it_takes_labels_and_instance_noise() -> None:
    facts = {"shape": SHAPE, "condition": Labels(3), "hidden": (8,)}
    players = {
        "generator": partial(MLPGenerator, **facts, latent_size=8),
        "discriminator": partial(MLPDiscriminator, **facts),
    }
    played = [new(UnrolledGAN, **players, conditional=True, instance_noise=noise) for noise in (0.0, 0.5)]
    without, with_noise = (state(game, play(game, steps=2)) for game in played)
    assert any(not torch.equal(without[name], with_noise[name]) for name in without)


def test_what_is_frozen_stays_so_in_the_steps_ahead() -> None:
    critic = MLPDiscriminator(shape=SHAPE, hidden=(16,))
    critic.logit.requires_grad_(False)
    game = new(UnrolledGAN, discriminator=critic, unrolled_steps=1)
    ahead = game.weights_ahead(*torch.randn(2, 6, *SHAPE), None)
    assert ahead.keys() == {name for name, _ in critic.named_parameters() if not name.startswith("logit")}
