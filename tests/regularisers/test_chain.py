"""CHAIN: what it makes of maps, its term and its p by hand, and the games that it joins."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map
from turns import Samples

from ganlab.errors import Refused
from ganlab.networks import DCGANDiscriminator
from ganlab.regularisers import CHAIN
from ganlab.testing import CHECKS, SHAPE, Game, new, on_two_processes, play, state
from ganlab.testing.process_checks import play_as_two
from ganlab.testing.side_checks import is_judged_by_several_critics
from ganlab.variants import HingeGAN, RelativisticGAN

EPSILON = 1e-5


class Convolution(nn.Module):
    """One convolution, whose maps are summed up to the logit."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(1, 3, 3, padding=1)
        self.given: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.given.append(self.maps(images))
        return self.given[-1].sum((1, 2, 3))


def images(seed: int) -> Tensor:
    return torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(seed))


def with_chain(p: float, **arguments: Any) -> tuple[CHAIN, Samples]:
    torch.manual_seed(0)
    game, chain = Samples(Convolution(), images(1)), CHAIN(**arguments)
    chain.attach(game)
    chain.probability.fill_(p)
    return chain, game


def maps_of(game: Samples, samples: Tensor) -> Tensor:
    """Those of the convolution alone."""
    layer = game.discriminator.maps
    return nn.functional.conv2d(samples, layer.weight, layer.bias, padding=1).detach()


def test_maps_by_a_loop() -> None:
    """A sample's channel is chosen or left alone, and what is chosen never becomes larger."""
    chain, game = with_chain(0.5)
    chain.squares.copy_(torch.tensor([[4.0, 1.0, 2.0], [0.5, 3.0, 0.25]]))
    chain.steps += 1
    turn = game.turn(images(0))
    torch.manual_seed(3)
    _ = turn.real_logits, turn.fake_logits
    torch.manual_seed(3)
    for samples, given, kept in zip(
        (images(0), images(1)), game.discriminator.given, (chain.squares[1], chain.squares[0]), strict=True
    ):
        plain, chosen = maps_of(game, samples), torch.rand(4, 3) < 0.5
        squares = [0.9 * float(kept[c]) + 0.1 * float(plain[:, c].square().mean()) for c in range(3)]
        assert 0 < chosen.sum() < 12
        for sample in range(4):
            for channel in range(3):
                factor = ((min(squares) + EPSILON) / (squares[channel] + EPSILON)) ** 0.5
                expected = plain[sample, channel] * (factor if chosen[sample, channel] else 1)
                torch.testing.assert_close(given[sample, channel], expected)


def test_the_first_averages_are_those_of_the_first_batch() -> None:
    chain, game = with_chain(1.0)
    turn = game.turn(images(0))
    chain.after_discriminator_step({**chain.terms(turn), **turn.notes}, 4)
    for row, samples in enumerate((images(1), images(0))):
        torch.testing.assert_close(chain.squares[row], maps_of(game, samples).square().mean((0, 2, 3)))
    chain.turns.append(torch.full((2, 3), torch.inf))  # as a pass that half precision overflows in leaves
    chain.after_discriminator_step({"chain_overfitting": torch.tensor(0.0)}, 4)
    again = game.turn(images(5))
    chain.after_discriminator_step({**chain.terms(again), **again.notes}, 4)
    first, second = (maps_of(game, images(seed)).square().mean((0, 2, 3)) for seed in (0, 5))
    torch.testing.assert_close(chain.squares[1], 0.9 * first + 0.1 * second)


def test_evaluation_mixes_by_p_and_draws_nothing() -> None:
    chain, game = with_chain(0.25)
    chain.squares.copy_(torch.tensor([[4.0, 1.0, 2.0], [0.0, 3.0, 0.0]]))
    game.discriminator.eval()
    before = torch.get_rng_state()
    game.discriminator(images(0))
    assert torch.equal(before, torch.get_rng_state())
    squares = torch.tensor([2.0, 2.0, 1.0]) + EPSILON
    expected = maps_of(game, images(0)) * (0.75 + 0.25 * (squares.min() / squares).sqrt()).view(3, 1, 1)
    torch.testing.assert_close(game.discriminator.given[0], expected)


def test_the_term_holds_means_near_zero() -> None:
    chain, game = with_chain(0.25, weight=2.0, added=0.1)
    turn = game.turn(images(0))
    means = [maps_of(game, each).mean((0, 2, 3)) for each in (images(0), images(1))]
    expected = 2.0 * 0.35 * sum(mean.square().sum() for mean in means)
    torch.testing.assert_close(chain.terms(turn)["chain"].detach(), expected)
    assert chain.terms(game.turn(images(0), generating=True)) == {}


def test_p_follows_the_sign_of_the_reals() -> None:
    """Up while its average is above the target, down below it, and never below 0."""
    chain, _ = with_chain(0.0, rate=0.1, decay=0.5, target=0.4)
    average, p = None, 0.0
    for sign in (1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0, -1.0):
        chain.turns.append(torch.zeros(2, 3))
        chain.after_discriminator_step({"chain_overfitting": torch.tensor(sign)}, 4)
        average = sign if average is None else (average + sign) / 2
        p = min(max(p + (0.1 if average > 0.4 else -0.1), 0.0), 1.0)
        assert float(chain.probability) == pytest.approx(p, abs=1e-6)
    assert p == pytest.approx(0)


def test_a_copy_of_a_game_has_its_own_averages() -> None:
    game = new(ChainedHinge, discriminator=DISCRIMINATOR)
    twin = copy.deepcopy(game)
    before = state(game)
    play(twin, steps=2)
    assert all(torch.equal(before[name], value) for name, value in state(game).items())
    assert int(twin.regularisers[0].steps) == 2
    assert float(twin.regularisers[0].squares.min()) > 0


def test_what_cannot_be_normalised_is_refused() -> None:
    with pytest.raises(Refused, match="Sequential trains none"):
        new(ChainedHinge, discriminator=nn.Sequential(nn.Flatten(), nn.Linear(64, 1)))
    with pytest.raises(Refused, match="CHAIN reads from each logit"):
        play(new(RelativisticGAN, discriminator=DISCRIMINATOR, regularisers=[CHAIN()]), steps=1)


class ChainedHinge(HingeGAN):
    """Couples samples."""

    def __init__(self, *, rate: float = 0.2, **base: Any) -> None:
        super().__init__(regularisers=[CHAIN(rate=rate, target=-1.0, added=0.1)], **base)


DISCRIMINATOR = partial(DCGANDiscriminator, shape=SHAPE, width=4, max_width=8, normalization="spectral")


BY_DEFAULT = ("moves_only_what_a_side_learns", "is_judged_by_several_critics", "resumes_exactly")


@pytest.mark.parametrize(
    "check",
    [pytest.param(c, marks=[] if c.__name__ in BY_DEFAULT else pytest.mark.slow) for c in CHECKS],
    ids=lambda check: check.__name__,
)
def test_it_obeys_the_laws(check: Callable[[Game], None]) -> None:
    drawn_alike = {"rate": 0.0} if check is is_judged_by_several_critics else {}
    check(Game(ChainedHinge, None, {"discriminator": DISCRIMINATOR, **drawn_alike}))


@pytest.mark.slow
def test_averages_are_equal_on_all_processes() -> None:
    one, other = on_two_processes(_averages)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert float(one["squares"].min()) > 0


def _averages() -> dict[str, Tensor]:
    build = Game(ChainedHinge, None, {"discriminator": DISCRIMINATOR})
    game = build()
    play_as_two(build, game, steps=3)
    return tree_map(Tensor.clone, dict(game.regularisers[0].named_buffers()))
