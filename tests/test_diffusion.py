"""Diffusion-GAN: how diffused samples are, against closed forms, and what its discriminator is told."""

import pytest
import torch
from plain_games import plain

from ganlab import losses
from ganlab.diffusion import Diffused, diffuse, some_steps
from ganlab.errors import Refused
from ganlab.testing import Discriminator, play
from ganlab.variants import DiffusionGAN


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("longest", [2, 5, 1000])
def test_half_are_as_they_are_and_the_others_the_more_diffused_the_more_often(longest: int) -> None:
    steps = some_steps(40_000, torch.tensor(float(longest)))
    assert float((steps == 0).double().mean()) == pytest.approx(0.5, abs=0.01)
    others = steps[steps > 0]
    assert int(others.min()) >= 2
    assert int(others.max()) <= longest
    weights = torch.arange(longest, dtype=torch.float64)
    expected = float((weights * (weights + 1)).sum() / weights.sum())  # the mean of t with p(t) ~ t - 1
    assert float(others.double().mean()) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("steps", "longest"), [(0, 10), (3, 10), (10, 10), (500, 1000)])
def test_signal_and_noise_are_those_of_the_schedule(steps: int, longest: int) -> None:
    kept = 1.0
    for number in range(steps):
        kept *= 1 - (1e-4 + (2e-2 - 1e-4) * number / (longest - 1))
    samples = torch.full((20_000, 1), 2.0, dtype=torch.float64)
    diffused = diffuse(samples, torch.full((20_000,), steps), torch.tensor(float(longest)), sigma=0.5)
    assert float(diffused.mean()) == pytest.approx(2 * kept**0.5, abs=0.02)
    assert float(diffused.std()) == pytest.approx(0.5 * (1 - kept) ** 0.5, rel=0.03, abs=1e-6)
    assert steps or torch.equal(diffused, samples)


def test_the_discriminator_is_told_the_steps_and_held_out_reals_have_none() -> None:
    game = plain(DiffusionGAN)
    given: list[torch.Tensor] = []
    game.discriminator.network.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    images = torch.rand(3, 1, 8, 8)
    game.judge(Diffused(images, torch.tensor([0, 10, 1000])), None)
    game.judge(images, None)  # held-out reals
    told, held_out = given
    assert torch.equal(told[:, :1], images)
    torch.testing.assert_close(told[:, 1].amax((1, 2)), torch.tensor([0.0, 0.01, 1.0]))
    assert torch.equal(held_out, torch.cat([images, torch.zeros(3, 1, 8, 8)], 1))


@pytest.mark.parametrize(("target", "expected"), [(-1.0, 20 + 0.64 * 980), (1.0, 20.0)])
def test_the_longest_diffusion_follows_overfitting(target: float, expected: float) -> None:
    """In eight steps of 8 images p moves twice, by 32 of 100 images each time."""
    game = plain(DiffusionGAN, target=target, kimg=0.1, shortest=20)
    play(game, steps=8)
    assert float(game.most_steps) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"loss": losses.relativistic}, "DiffusionGAN reads from each logit"),
        ({"loss": losses.wasserstein}, "DiffusionGAN reads from each logit"),
        ({"discriminator": Discriminator}, "Discriminator does not take"),
        ({"conditional": True}, "Plain takes images and no condition"),
        ({"shortest": 1}, "shortest is 1"),
        ({"shortest": 50, "longest": 20}, "longest is 20; it must be"),
    ],
)
def test_refusals(arguments: dict, words: str) -> None:
    with pytest.raises(Refused, match=words):
        plain(DiffusionGAN, **arguments)
