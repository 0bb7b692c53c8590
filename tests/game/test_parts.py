"""Losses, penalties and regularisers as parts that any game is put together from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ganlab import losses
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.game.parts import Regulariser
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.penalties import R1, R2, GradientPenalty, LocalGradientPenalty, Penalty, squared_norm
from ganlab.testing import assert_same, new, play, state
from ganlab.variants import DRAGAN, R1GAN, R3GAN, WGANGP, HingeGAN, Mixed, Pix2Pix

PARTS: dict[type[GAN], tuple[losses.Loss, list[Penalty]]] = {
    R1GAN: (losses.NonSaturating(), [R1(10.0)]),
    R3GAN: (losses.RelativisticPaired(), [R1(1.0), R2(1.0)]),
    WGANGP: (losses.Wasserstein(), [GradientPenalty(10.0)]),
    DRAGAN: (losses.NonSaturating(), [LocalGradientPenalty(10.0, 0.5)]),
}


@pytest.mark.parametrize("variant", PARTS, ids=lambda variant: variant.__name__)
def test_a_class_is_the_game_of_its_parts_to_the_last_bit(variant: type[GAN]) -> None:
    loss, penalties = PARTS[variant]
    named = new(variant, critic_steps=2)
    makers = {
        f"{side}_optimizer": vars(named)[f"{side}_optimizer"] for side in ("generator", "discriminator")
    }
    mixed = new(Mixed, loss=loss, penalty_terms=penalties, critic_steps=2, **makers)
    one, other = (state(game, play(game, steps=3)) for game in (named, mixed))
    assert_same(one, other, what=variant.__name__)


class Odd(Regulariser):
    """Tells both sides a term, shows other samples, and remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("told", torch.zeros(2))

    def attach(self, game: Any) -> None:
        self.register_buffer("size", torch.tensor(sum(p.numel() for p in game.generator.parameters())))

    def seen(self, samples: Tensor) -> Tensor:
        return samples / 2

    def terms(self, turn: Turn) -> Terms:
        logits = turn.fake_logits if turn.generating else turn.real_logits
        return {f"odd_{'g' if turn.generating else 'd'}": logits.square().mean()}

    def after_discriminator_step(self, logged: Terms, images: int) -> None:
        self.told += torch.stack([logged["odd_d"], torch.tensor(float(images))])


class Halving(Regulariser):
    def seen(self, samples: Tensor) -> Tensor:
        return samples / 2


@pytest.mark.parametrize("variant", [HingeGAN, WGANGP, Pix2Pix], ids=lambda variant: variant.__name__)
def test_penalties_and_regularisers_join_any_game(variant: type[GAN]) -> None:
    own = {*_logged(new(variant))}
    game = new(variant, critic_steps=1, regularisers=[Odd()], penalty_terms=[R1(2.0)])
    logged = _logged(game)
    assert {*logged} - own == {"odd_d", "odd_g", "r1"}
    odd: Any = game.regularisers[0]
    assert float(odd.told[1]) == 3 * 8
    assert float(odd.size) == sum(p.numel() for p in game.generator.parameters())
    assert "regularisers.0.told" in game.state_dict()


def _logged(game: GAN) -> dict[str, Tensor]:
    return play(game, steps=3, log_every_n_steps=1).callback_metrics


def test_what_a_regulariser_shows_is_what_the_discriminator_judges() -> None:
    judged: list[float] = []

    class Watching(HingeGAN):
        def judge(self, images: Tensor, condition: Any) -> Tensor:
            judged.append(float(images.abs().max()))
            return super().judge(images, condition)

    play(new(Watching, regularisers=[Odd(), Halving()]), steps=1)
    assert max(judged) <= 0.25  # images reach from -1 to 1, and each halves them


@pytest.mark.parametrize(("share", "every"), [(0.5, 2), (0.25, 4)])
def test_a_share_of_the_batch_is_penalised(share: float, every: int) -> None:
    taken: list[tuple[Tensor, Tensor, Tensor]] = []

    class Watching(HingeGAN):
        def discriminator_terms(self, turn: Turn) -> Terms:
            self.whole = turn.real
            return super().discriminator_terms(turn)

        def penalties(self, turn: Turn) -> Terms:
            terms = super().penalties(turn)
            taken.append((self.whole, turn.real.detach(), terms["r1"].detach()))
            return terms

    game = new(Watching, penalty_terms=[R1(3.0)], penalty_share=share)
    critic = game.discriminator.eval()  # no dropout, so that the term can be computed again
    before = {name: tensor.clone() for name, tensor in critic.state_dict().items()}
    play(game, steps=1)
    (whole, part, term) = taken[0]
    assert torch.equal(part, whole[::every])
    critic.load_state_dict(before)
    images = part.clone().requires_grad_()
    expected = 1.5 * squared_norm(images, critic.eval()(images)).mean()
    torch.testing.assert_close(term, expected.detach(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"penalty_share": 0.3}, "penalty_share is 0.3"),
        ({"penalty_share": 0.0}, "penalty_share is 0.0"),
        ({"penalty_share": 2.0}, "penalty_share is 2.0"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        new(HingeGAN, **arguments)


@pytest.mark.parametrize(("variant", "given"), [(HingeGAN, [R1(), R1(2.0)]), (R3GAN, [R1()])])
def test_two_penalties_of_one_name_are_refused(variant: type[GAN], given: list[Penalty]) -> None:
    with pytest.raises(Refused, match="two of its penalties are called 'r1'"):
        play(new(variant, penalty_terms=given), steps=1)


def test_penalties_join_those_of_the_variant() -> None:
    assert {"r1", "r2", "gradient_penalty"} <= {*_logged(new(R3GAN, penalty_terms=[GradientPenalty()]))}


def test_what_chance_would_tell_apart_is_refused() -> None:
    chance, compared = Odd(), Halving()
    chance.judges_by_chance = compared.compares_logits = True
    with pytest.raises(Refused, match="Halving compares logits of near points, which Odd"):
        play(new(HingeGAN, regularisers=[chance, compared]), steps=1)


def test_a_share_without_penalties_is_refused() -> None:
    with pytest.raises(Refused, match=r"penalty_share is 0.5, but there are no penalties"):
        play(new(HingeGAN, penalty_share=0.5), steps=1)


def test_a_batch_that_has_no_such_share_is_refused() -> None:
    with pytest.raises(Refused, match=r"penalty_share 16[\s\S]*multiple of 16"):
        play(new(R3GAN, penalty_share=1 / 16), steps=1)


def test_a_variant_that_forgets_the_penalties_it_was_given_is_refused() -> None:
    mine = type("Mine", (HingeGAN,), {"penalties": lambda game, turn: {"own": turn.real_logits.mean()}})
    with pytest.raises(Refused, match=r"Mine\.penalties does not return.*\(r1\)[\s\S]*super"):
        play(new(mine, penalty_terms=[R1()]), steps=1)


class ReadsSigns(Regulariser):
    needs_boundary = True


@pytest.mark.parametrize(
    ("loss", "boundary"),
    [
        (losses.Minimax(), 0.0),
        (losses.NonSaturating(), 0.0),
        (losses.Hinge(), 0.0),
        (losses.LeastSquares(), 0.5),
        (losses.Wasserstein(), None),
        (losses.RelativisticPaired(), None),
        (losses.RelativisticAverage(), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_logits_say_what_is_real_only_beside_some_losses(loss: losses.Loss, boundary: float | None) -> None:
    game = new(Mixed, loss=loss, regularisers=[ReadsSigns()])
    if boundary is None:
        with pytest.raises(Refused, match=rf"ReadsSigns[\s\S]*{type(loss).__name__}"):
            play(game, steps=1)
    else:
        play(game, steps=1)
        assert game.regularisers[0].boundary == boundary
