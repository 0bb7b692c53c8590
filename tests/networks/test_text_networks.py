"""Networks for text: characters are shares of 1, drawn ones whole, and noise is each sample's own."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.media import Labels, Medium, Text
from ganlab.networks import (
    GRUGenerator,
    TextResNetDiscriminator,
    TextResNetGenerator,
    TextTransformerDiscriminator,
    TextTransformerGenerator,
)
from ganlab.networks.characters import Characters
from ganlab.networks.random_layers import SampleNoise, drawing

TEXT = Text("abcdefg", 9)
GENERATORS = (TextResNetGenerator, GRUGenerator, TextTransformerGenerator)
CRITICS = (TextResNetDiscriminator, TextTransformerDiscriminator)
TOLD: dict[str, tuple[Medium | None, Tensor | None]] = {
    "nothing": (None, None),
    "labels": (Labels(3), torch.tensor([0, 1, 2, 0])),
    "text": (Text("abcdefg_", 9), torch.eye(9)[torch.arange(36).view(4, 9) * 5 // 4 % 9].transpose(1, 2)),
}


def called(network: nn.Module, first: Tensor, condition: Tensor | None) -> Tensor:
    return network(first) if condition is None else network(first, condition)


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("distribution", ["softmax", "gumbel", "straight_through"])
@pytest.mark.parametrize("generator", GENERATORS)
def test_every_parameter_of_both_players_is_learned(generator: Any, distribution: Any, told: str) -> None:
    medium, condition = TOLD[told]
    facts = {"shape": TEXT.shape, "condition": medium, "width": 16}
    network = generator(**facts, latent_size=5, distribution=distribution)
    made = called(network, torch.randn(4, 5), condition)
    assert made.shape == (4, *TEXT.shape)
    assert torch.allclose(made.sum(1), torch.ones(4, 9))
    for kind in CRITICS:
        critic = kind(**facts)
        logits = called(critic, made, condition)
        assert logits.shape == (4,)
        logits.square().sum().backward(retain_graph=True)
        assert all(parameter.grad is not None for parameter in critic.parameters())
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(("generator", "told"), [*product((*GENERATORS, *CRITICS), ("labels", "text"))])
def test_what_is_told_changes_what_is_made(generator: Any, told: str) -> None:
    torch.manual_seed(0)
    medium, condition = TOLD[told]
    assert condition is not None
    is_critic = generator in CRITICS
    how: dict[str, Any] = {} if is_critic else {"latent_size": 5, "distribution": "softmax"}
    network = generator(shape=TEXT.shape, condition=medium, width=16, **how).eval()
    first = torch.randn(1, *(TEXT.shape if is_critic else (5,))).expand(4, *[-1] * (1 + is_critic))
    made = network(first, condition)
    assert not torch.allclose(made[0], made[1])
    with pytest.raises(Refused, match="is given none"):
        network(first)


@pytest.mark.parametrize("generator", GENERATORS)
def test_drawn_characters_follow_from_each_samples_number(generator: Any) -> None:
    torch.manual_seed(0)
    network = generator(shape=TEXT.shape, latent_size=5, width=16, distribution="gumbel").eval()
    latent = torch.zeros(4, 5)

    def drawn(*numbers: int) -> Tensor:
        with drawing(SampleNoise(0, numbers)), torch.no_grad():
            return network(latent[: len(numbers)])

    together = drawn(3, 4, 5, 6)
    assert torch.equal(drawn(5, 6), together[2:])
    assert not torch.equal(together[0], together[1])
    assert torch.equal(together.amax(1), torch.ones(4, 9)), "whole characters"


def test_characters_are_drawn_as_often_as_the_logits_say() -> None:
    torch.manual_seed(0)
    shares = torch.tensor([0.1, 0.2, 0.7])
    logits = shares.log()[None, :, None].expand(20_000, 3, 1)
    for distribution in ("gumbel", "straight_through"):
        drawn = Characters(distribution, temperature=0.5).eval()(logits)
        assert torch.allclose(drawn.mean((0, 2)), shares, atol=0.015)
    assert torch.allclose(Characters()(logits)[0, :, 0], shares)


def test_a_high_temperature_softens_draws_and_a_low_one_hardens_them() -> None:
    torch.manual_seed(0)
    logits = torch.randn(50, 6, 4)
    hot, cold = (Characters("gumbel", temperature)(logits).amax(1).mean() for temperature in (50.0, 0.02))
    assert hot < 0.25
    assert cold > 0.97


def test_straight_through_passes_whole_characters_with_the_softened_gradient() -> None:
    logits = torch.randn(2, 6, 4, requires_grad=True)
    layer, weight = Characters("straight_through", 0.7), torch.randn(2, 6, 4)
    noise = layer.noise(logits)
    made = layer(logits, noise)
    assert torch.allclose(made.detach(), made.detach().round(), atol=1e-6)
    (straight,) = torch.autograd.grad((made * weight).sum(), logits)
    (soft,) = torch.autograd.grad((((logits + noise) / 0.7).softmax(1) * weight).sum(), logits)
    assert torch.allclose(straight, soft, atol=1e-6)


def test_a_line_that_is_written_character_by_character_knows_what_stands_before() -> None:
    torch.manual_seed(0)
    network = GRUGenerator(shape=TEXT.shape, latent_size=5, width=16).eval()
    latent, texts = torch.randn(1, 5), TEXT.played(torch.tensor([[97, 98, 99, 100, 97, 98, 99, 100, 97]]))
    other = texts.clone()
    other[:, :, 4] = other[:, :, 0].roll(1, 1)
    one, two = (network.after_real(each, latent) for each in (texts, other))
    assert torch.equal(one[:, :, :5], two[:, :, :5])
    assert not torch.allclose(one[:, :, 5], two[:, :, 5])
    made = network(latent)
    network.characters.distribution = "softmax"
    assert network.after_real(made, latent).shape == made.shape


@pytest.mark.parametrize("kind", [*GENERATORS, *CRITICS])
def test_other_shapes_are_refused(kind: Any) -> None:
    with pytest.raises(Refused, match="characters, length"):
        kind(shape=(1, 8, 8))
    with pytest.raises(Refused, match="same length"):
        kind(shape=TEXT.shape, condition=Text("ab", 4))
    with pytest.raises(Refused, match="is 0"):
        kind(shape=TEXT.shape, width=0)


def test_a_distribution_or_temperature_that_is_none_is_refused() -> None:
    with pytest.raises(Refused, match="Known: softmax, gumbel, straight_through"):
        GRUGenerator(shape=TEXT.shape, distribution="hard")  # type: ignore[arg-type]
    with pytest.raises(Refused, match="temperature"):
        GRUGenerator(shape=TEXT.shape, temperature=0.0)
