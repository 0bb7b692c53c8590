"""Pictures from pictures: what its generator pays for, and that it is always told a source."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganlab.errors import Refused
from ganlab.testing import SpeckPairs, conformance, new, play
from ganlab.variants import Pix2Pix


class Shifted(nn.Module):
    """Makes the source itself, plus a number that it learns."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, latent: Tensor, source: Tensor) -> Tensor:
        return source + self.shift


class Watching(Pix2Pix):
    played: list[tuple[Any, dict[str, Tensor], Tensor]]

    def generator_terms(self, turn: Any) -> dict[str, Tensor]:
        terms = super().generator_terms(turn)
        self.played = [*vars(self).get("played", []), (turn.batch, terms, turn.fake_logits)]
        return terms


def test_its_generator_pays_for_its_logits_and_for_the_distance_from_the_real() -> None:
    game = new(Watching, generator=Shifted, l1_weight=7.0, latent_size=0)
    play(game, steps=1, precision="64-true")
    ((real, source), terms, logits) = game.played[0]
    assert logits.shape[0] == len(real) == 8
    assert logits.ndim == 3, "a map of logits"
    assert set(terms) == {"generator", "l1"}
    assert float(terms["l1"]) == pytest.approx(7 * float((real - source).abs().mean()), rel=1e-12)
    assert float(terms["generator"]) == pytest.approx(float(softplus(-logits).mean()), rel=1e-12)
    # A real is brighter than its source, which is half of it: the shift learns to be.
    assert float(game.generator.shift) > 0


def test_the_paper_weighs_the_distance_a_hundred_times() -> None:
    assert new(Pix2Pix).l1_weight == 100


def test_without_a_weight_it_is_the_adversarial_game_alone() -> None:
    game = new(Watching, generator=Shifted, l1_weight=0.0, latent_size=0)
    play(game, steps=1)
    assert float(game.played[0][1]["l1"]) == 0


def test_it_trains_on_single_pairs_as_the_paper_does() -> None:
    trainer = play(new(Pix2Pix), SpeckPairs(batch_size=1), steps=2, log_every_n_steps=1)
    assert trainer.callback_metrics["images"] == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"conditional": False}, "it would be told none"),
        ({"l1_weight": -1.0}, "l1_weight is -1"),
    ],
    ids=["untold", "negative"],
)
def test_what_cannot_work_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words) as refusal:
        new(Pix2Pix, **arguments)
    assert len(str(refusal.value).splitlines()) <= 3


class Own(Pix2Pix):
    """A user's own form of it, which is tried with the same data and networks."""


test_a_game_that_derives_from_it_conforms = conformance(Own)
