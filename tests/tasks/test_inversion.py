"""Latents of pictures: found again, whatever their order and number, and refused where there are none."""

from functools import partial
from typing import Any

import pytest
import torch

from ganlab.errors import Refused
from ganlab.networks import MLPDiscriminator, MLPGenerator, StyleGAN2Generator
from ganlab.tasks.inversion import Search, invert
from ganlab.testing import SHAPE, STYLED, Specks, new
from ganlab.variants import Encoder, HingeGAN, Pix2Pix

FAST = Search(steps=60, rate=0.1)


@pytest.fixture(scope="module")
def game() -> HingeGAN:
    torch.manual_seed(0)
    generator = MLPGenerator(shape=SHAPE, latent_size=8, hidden=(32,))
    return new(HingeGAN, generator=generator, discriminator=MLPDiscriminator(shape=SHAPE, hidden=(16,)))


@pytest.fixture(scope="module")
def pictures(game: HingeGAN) -> torch.Tensor:
    """Samples of latents that no search begins with, as data store them."""
    return game.medium(made := game.sample(70, seed=7)).stored(made)


def test_samples_are_found_again_nearer_and_nearer(game: HingeGAN, pictures: torch.Tensor) -> None:
    means = [
        float(invert(game, pictures, Search(steps=steps, rate=0.1)).distances.mean())
        for steps in (1, 20, 300)
    ]
    assert means[0] > 2 * means[1] > 4 * means[2]


def test_neither_order_nor_number_matters(game: HingeGAN, pictures: torch.Tensor) -> None:
    """To the last bit."""
    whole = invert(game, pictures, FAST)
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))
    for column, other in zip(invert(game, pictures[order], FAST), whole, strict=True):
        assert torch.equal(column, other[order])
    for column, other in zip(invert(game, pictures[3:8], FAST), whole, strict=True):
        assert torch.equal(column, other[3:8])


def test_what_is_made_of_the_latent_is_what_is_returned(game: HingeGAN, pictures: torch.Tensor) -> None:
    found = invert(game, pictures[:5], FAST)
    assert torch.allclose(game.generate(found.latents), found.pictures, atol=1e-6)


def test_more_restarts_are_never_worse(game: HingeGAN, pictures: torch.Tensor) -> None:
    one, three = (invert(game, pictures[:20], FAST._replace(restarts=number)) for number in (1, 3))
    assert (three.distances <= one.distances).all()
    assert (three.distances < one.distances).any()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_any_share_of_features_will_do(share: float, game: HingeGAN, pictures: torch.Tensor) -> None:
    near, far = (
        invert(game, pictures[:5], FAST._replace(feature_share=share, steps=steps)) for steps in (60, 1)
    )
    assert (near.distances < far.distances).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"steps": 0}, "Search: steps is 0"), ({"feature_share": 1.5}, "feature_share is 1.5")],
)
def test_what_cannot_be_searched_is_refused(
    wrong: Any, words: str, game: HingeGAN, pictures: torch.Tensor
) -> None:
    with pytest.raises(Refused, match=words):
        invert(game, pictures[:2], Search(**wrong))


def test_a_search_ends_where_nothing_gets_nearer(game: HingeGAN, pictures: torch.Tensor) -> None:
    found = invert(game, pictures[:5], Search(steps=10_000, rate=1e-30, patience=3))
    assert found.steps.max() <= 3


def test_networks_and_their_gradients_stay_as_they_are(game: HingeGAN, pictures: torch.Tensor) -> None:
    before = {name: value.clone() for name, value in game.state_dict().items()}
    flags = [parameter.requires_grad for parameter in game.parameters()]
    invert(game, pictures[:5], FAST)
    assert all(torch.equal(value, before[name]) for name, value in game.state_dict().items())
    assert [parameter.requires_grad for parameter in game.parameters()] == flags
    assert all(parameter.grad is None for parameter in game.parameters())


def test_an_encoder_needs_no_search(pictures: torch.Tensor) -> None:
    game = new(Encoder)
    found = invert(game, pictures[:5])
    network = game.ema.network.eval()
    assert torch.allclose(network.decoder(found.latents), found.pictures, atol=1e-6)
    assert found.steps.tolist() == [0] * 5


def test_own_noise_is_the_same_for_all(pictures: torch.Tensor) -> None:
    generator = partial(StyleGAN2Generator, **{**STYLED, "noise": True})
    game = new(HingeGAN, generator=generator)
    first, second = (invert(game, pictures[:3], Search(steps=3)) for _ in range(2))
    assert torch.equal(first.pictures, second.pictures)


class TwoLatents(HingeGAN):
    def latent(self, draws: Any) -> Any:
        return {"coarse": super().latent(draws), "fine": super().latent(draws)}

    def fake(self, generator: Any, latent: Any, condition: Any) -> Any:
        return generator(latent["coarse"] + latent["fine"])


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (partial(new, Pix2Pix, conditional=True), "told nothing"),
        (partial(new, TwoLatents), "several latents at once"),
    ],
)
def test_games_without_such_latents_are_refused(build: Any, words: str, pictures: torch.Tensor) -> None:
    with pytest.raises(Refused, match=words):
        invert(build(), pictures[:3])


def test_pictures_of_another_size_are_refused(game: HingeGAN) -> None:
    game.meet(Specks())
    with pytest.raises(Refused, match="are none"):
        invert(game, torch.zeros(2, 1, 16, 16, dtype=torch.uint8))
