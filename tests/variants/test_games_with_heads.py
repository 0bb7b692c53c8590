"""Games that read heads: what each side pays for, against formulas written out anew."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid, softmax

from ganlab.errors import Refused
from ganlab.judgements import judged
from ganlab.media import Labels, Medium, Pictures
from ganlab.networks import MLPDiscriminator, Packed, Several
from ganlab.testing import SHAPE, SpeckPairs, Specks, new, play
from ganlab.testing.games import with_heads
from ganlab.variants import ACGAN, FeatureMatchingGAN, InfoGAN, SemiSupervisedGAN

DOUBLE = {"precision": "64-true"}


class Watched:
    """Keeps of each turn the turn itself and its terms, as numbers; a mixin before a variant."""

    turns: list[tuple[str, Any, dict[str, float]]]

    def _watched(self, side: str, turn: Any, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        self.turns = [*vars(self).get("turns", []), (side, turn, {n: float(v) for n, v in terms.items()})]
        return terms

    def discriminator_terms(self, turn: Any) -> dict[str, Tensor]:
        return self._watched("discriminator", turn, super().discriminator_terms(turn))  # type: ignore[misc]

    def generator_terms(self, turn: Any) -> dict[str, Tensor]:
        return self._watched("generator", turn, super().generator_terms(turn))  # type: ignore[misc]


class WatchedAC(Watched, ACGAN): ...


class WatchedInfo(Watched, InfoGAN): ...


class WatchedFeatures(Watched, FeatureMatchingGAN): ...


class WatchedSemi(Watched, SemiSupervisedGAN): ...


def turns_of(game: Any) -> list[Any]:
    """The first turn of each side."""
    play(game, steps=1, **DOUBLE)
    return game.turns


def negative_log_probability(logits: Tensor, labels: Tensor) -> float:
    return -float(log_softmax(logits, 1)[torch.arange(len(labels)), labels].mean())


@pytest.mark.parametrize("fakes", [True, False])
def test_acgan_pays_for_the_class_that_was_told(fakes: bool) -> None:
    (_, turn, of_critic), (_, last, of_generator) = turns_of(new(WatchedAC, fakes=fakes, class_weight=2.0))
    labels = turn.condition
    assert set(of_critic) == {"discriminator", "class"} | ({"class_of_fakes"} if fakes else set())
    expected = {"class": turn.real_heads, "class_of_fakes": turn.fake_heads}
    for name in of_critic.keys() & expected.keys():
        error = negative_log_probability(expected[name]["class"], labels)
        assert of_critic[name] == pytest.approx(2 * error, rel=1e-12)
    # Eq. 2: the log-likelihood of the source.
    source = -float(logsigmoid(turn.real_logits).mean() + logsigmoid(-turn.fake_logits).mean())
    assert of_critic["discriminator"] == pytest.approx(source, rel=1e-12)
    error = negative_log_probability(last.fake_heads["class"], last.condition)
    assert of_generator["generator_class"] == pytest.approx(2 * error, rel=1e-12)


class WithAttributes(Specks):
    @cached_property
    def media(self) -> tuple[Medium, ...]:
        return Pictures(SHAPE), Labels(3, several=True)


def test_acgan_without_classes_is_refused() -> None:
    with pytest.raises(Refused, match="conditional"):
        new(ACGAN, conditional=False)
    for data in (WithAttributes(), SpeckPairs()):
        with pytest.raises(Refused, match=f"a class for each item, and {type(data).__name__} has none"):
            new(ACGAN).meet(data)


def test_infogan_pays_for_codes_that_are_not_guessed() -> None:
    game = new(WatchedInfo, code_weight=2.0, continuous_weight=3.0)
    for _, turn, terms in turns_of(game):
        latent, guess = turn.latent, turn.fake_heads["code"]
        assert latent.shape == (8, 8)
        first, second, number = latent[:, 2:4], latent[:, 4:7], latent[:, 7]
        assert all((each.sum(1) == 1).all() for each in (first, second))
        assert (number.abs() <= 1).all()
        categorical = negative_log_probability(guess[:, :2], first.argmax(1))
        categorical += negative_log_probability(guess[:, 2:5], second.argmax(1))
        error = 2 * categorical + 3 * float(((guess[:, 5] - number) ** 2).mean() / 2)
        (name,) = {"code", "generator_code"} & terms.keys()
        assert terms[name] == pytest.approx(error, rel=1e-12)


def test_codes_are_drawn_uniformly_and_chosen_by_value() -> None:
    game = new(InfoGAN)
    drawn = game.latents(3_000, seed=1)
    for part, values in ((drawn[:, 2:4], 2), (drawn[:, 4:7], 3)):
        assert torch.allclose(part.mean(0), torch.full((values,), 1 / values), atol=0.03)
    assert float(drawn[:, 7].mean()) == pytest.approx(0, abs=0.04)
    assert float(drawn[:, 7].var()) == pytest.approx(1 / 3, abs=0.02)
    for choice, expected in (
        ({"code": 1}, {3: 1.0, 2: 0.0}),
        ({"code": [None, 2]}, {6: 1.0}),
        ({"continuous": 2.5}, {7: 2.5}),
    ):
        chosen = game.latents(3_000, seed=1, **choice)
        for column, value in expected.items():
            assert (chosen[:, column] == value).all()
        same = [c for c in range(8) if torch.equal(chosen[:, c], drawn[:, c])]
        assert {*same} >= {0, 1}, "the noise is the same"
        whole = game.sample(300, seed=1, **choice)
        torch.testing.assert_close(game.sample(7, seed=1, at=246, **choice), whole[246:253])
    few = game.latents(300, seed=1, truncation=0.3)
    assert few[:, :2].abs().max() <= 0.3
    assert torch.equal(few[:, 2:], game.latents(300, seed=1)[:, 2:])


@pytest.mark.parametrize(
    "choice", [{"code": 2}, {"code": -1}, {"code": [0, 0, 0]}, {"continuous": [0, 0]}, {"code": "x"}], ids=str
)
def test_codes_that_there_are_not_are_refused(choice: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"code|continuous"):
        new(InfoGAN).latents(2, seed=0, **choice)


@pytest.mark.parametrize(
    "wrong", [{"categorical": [1]}, {"categorical": [8, 1]}, {"categorical": [], "continuous": 0}]
)
def test_codes_that_do_not_fit_the_latent_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"categorical|latent_size"):
        new(InfoGAN, **wrong)


def test_matched_features_are_compared_by_their_means() -> None:
    _, (_, turn, terms) = turns_of(new(WatchedFeatures))
    real, fake = (heads["features"] for heads in (turn.real_heads, turn.fake_heads))
    assert set(terms) == {"features"}
    expected = sum((float(real[:, k].mean()) - float(fake[:, k].mean())) ** 2 for k in range(real.shape[1]))
    assert terms["features"] == pytest.approx(expected, rel=1e-12)


def test_a_semi_supervised_critic_is_a_classifier_of_one_class_more() -> None:
    """Its logit is that of real against fake in a softmax over K + 1 classes."""
    game = new(SemiSupervisedGAN).double().eval()
    images = torch.randn(5, *SHAPE, dtype=torch.float64)
    said = judged(game.judge(images, None))
    own = game.discriminator(images).logits
    probabilities = softmax(torch.cat([said.heads["class"], -own[:, None]], 1), 1)
    torch.testing.assert_close(torch.sigmoid(said.logits), 1 - probabilities[:, -1])


def test_a_semi_supervised_critic_learns_labelled_items_and_tells_its_accuracy() -> None:
    game = new(WatchedSemi, class_weight=3.0, discriminator_optimizer=partial(torch.optim.SGD, lr=0.0))
    (_, turn, of_critic), (_, _, of_generator) = turns_of(game)
    real, labelled, labels = turn.batch
    assert set(of_critic) == {"discriminator", "class"}
    error = negative_log_probability(turn.judged(labelled).heads["class"], labels)
    assert of_critic["class"] == pytest.approx(3 * error, rel=1e-12)
    assert set(of_generator) == {"features"}
    accuracy = game.held_out_notes((real, real, labels))["held_out_accuracy"]
    guessed = judged(game.judge(real, None)).heads["class"].argmax(1)
    assert float(accuracy) == pytest.approx(float((guessed == labels).double().mean()))


def test_the_accuracy_on_held_out_items_is_logged() -> None:
    game = new(SemiSupervisedGAN)
    trainer = play(game, steps=2, val_check_interval=2)
    assert 0 <= float(trainer.callback_metrics["held_out_accuracy"]) <= 1


def test_the_classifier_of_labels_alone_has_no_adversary() -> None:
    critic, generator = turns_of(new(WatchedSemi, labels_alone=True))
    assert set(critic[2]) == {"class"}
    assert generator[2] == {}


@pytest.mark.parametrize("variant", [ACGAN, InfoGAN, FeatureMatchingGAN, SemiSupervisedGAN])
def test_a_critic_without_the_head_is_refused(variant: Any) -> None:
    with pytest.raises(Refused, match="no head named"):
        play(new(variant, discriminator=with_heads(other=2)), steps=1)


@pytest.mark.parametrize("variant", [FeatureMatchingGAN, SemiSupervisedGAN])
def test_features_that_nobody_trains_are_refused(variant: Any) -> None:
    with pytest.raises(Refused, match="nobody trains them"):
        new(variant, discriminator=with_heads(**{"class": "classes", "features": 5}))


@pytest.mark.parametrize("variant", [ACGAN, InfoGAN, SemiSupervisedGAN])
def test_heads_of_packs_are_refused(variant: Any) -> None:
    packs = partial(Packed, network=MLPDiscriminator, shape=SHAPE)
    with pytest.raises(Refused, match="judges\n2 as one"):
        new(variant, discriminator=packs)


def test_critics_that_are_several_share_the_terms() -> None:
    """Of two with a head and one without, the mean is that of the two."""
    pair = [with_heads(code=6), with_heads(code=6)]
    game = new(WatchedInfo, discriminator=lambda: Several(networks=pair))
    for _, turn, terms in turns_of(game):
        errors = [float(game._error(heads["code"], turn.latent[:, -6:])) for heads in turn.fake_heads]
        (name,) = {"code", "generator_code"} & terms.keys()
        assert terms[name] == pytest.approx(sum(errors) / 2, rel=1e-12)
