"""The regulariser of weights: zero for orthogonal ones, by hand for others, and in whose turn."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganlab.media import Labels
from ganlab.networks import BigGANGenerator, DCGANGenerator
from ganlab.networks.stylegan2 import Modulated
from ganlab.regularisers import Orthogonal
from ganlab.regularisers.orthogonal import filters, overlap
from ganlab.testing import new, play
from ganlab.variants import HingeGAN

TURNS = {"generator": SimpleNamespace(generating=True), "discriminator": SimpleNamespace(generating=False)}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def attached(generator: nn.Module, discriminator: nn.Module, **arguments: Any) -> Orthogonal:
    regulariser = Orthogonal(**arguments)
    regulariser.attach(SimpleNamespace(generator=generator, discriminator=discriminator))
    return regulariser


def test_is_the_sum_over_pairs_of_different_filters() -> None:
    weight = torch.randn(4, 7, dtype=torch.float64)
    expected = sum((weight[i] @ weight[j]) ** 2 for i in range(4) for j in range(4) if i != j)
    assert torch.allclose(overlap(weight), expected)


def test_orthogonal_filters_of_any_length_cost_nothing() -> None:
    weight = nn.init.orthogonal_(torch.empty(4, 7)) * torch.tensor([[1.0], [5.0], [0.2], [0.0]])
    assert overlap(weight) < 1e-10
    generator = BigGANGenerator(shape=(3, 8, 8), latent_size=8, width=16, condition=Labels(3))
    wide = [weight for weight in filters(generator) if len(weight) <= weight.shape[1]]
    assert wide
    assert all(overlap(weight) < 1e-9 for weight in wide)


def test_autocast_does_not_round_it() -> None:
    weight = torch.randn(4, 7)
    exact = overlap(weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(overlap(weight), exact)


def test_takes_weights_before_spectral_norm_a_filter_a_row_and_no_embedding() -> None:
    layers = (
        spectral_norm(nn.Conv2d(3, 5, 4)),
        nn.ConvTranspose2d(5, 2, 4),
        nn.Embedding(9, 4),
        nn.BatchNorm2d(2),
        nn.Linear(7, 6),
        Modulated(4, 3, 2, 3),
    )
    found = [*filters(nn.Sequential(*layers))]
    assert [weight.shape for weight in found] == [(5, 3 * 16), (2, 5 * 16), (6, 7), (2, 3 * 9), (3, 4)]
    assert torch.equal(found[3], layers[5].weight.flatten(1) * layers[5].scale)
    assert torch.equal(found[0], layers[0].parametrizations.weight.original.flatten(1))
    generator = DCGANGenerator(shape=(1, 8, 8), condition=Labels(3, several=True), width=4)
    assert not any(weight.shape == (128, 3) for weight in filters(generator))


@pytest.mark.parametrize("of", ["generator", "discriminator", "both"])
def test_is_a_term_of_that_side(of: str) -> None:
    players = nn.Linear(3, 4), nn.Linear(5, 4)
    regulariser = attached(*players, of=of, weight=0.5)
    for (side, turn), player in zip(TURNS.items(), players, strict=True):
        terms = regulariser.terms(turn)
        assert [*terms] == ([f"{side}_orthogonal"] if of in (side, "both") else [])
        for value in terms.values():
            assert torch.equal(value, 0.5 * overlap(player.weight))
    assert not [*regulariser.parameters()]
    assert not regulariser.state_dict()


def test_of_a_network_without_such_weights_there_is_no_term() -> None:
    assert attached(nn.Identity(), nn.Identity()).terms(TURNS["generator"]) == {}


def test_a_game_with_it_learns_filters_that_overlap_less() -> None:
    after = {}
    for weight in (0.0, 10.0):
        torch.manual_seed(0)
        game = new(HingeGAN, regularisers=[Orthogonal(weight=weight)])
        before = sum(map(overlap, filters(game.generator)))
        play(game, steps=3)
        after[weight] = sum(map(overlap, filters(game.generator)))
    assert after[10.0] < before
    assert after[10.0] < after[0.0]
