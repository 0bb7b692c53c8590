"""The generator of GMAN minimises the mean of its losses weighted by their softmax."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import softplus

from ganlab.testing import new
from ganlab.variants import GMAN

LOGITS = [torch.tensor([0.3, -1.2]), torch.tensor([2.0, 0.5]), torch.tensor([-3.0, -0.1])]


def term(softmax_weight: float) -> float:
    turn = SimpleNamespace(adversarial=True, fake_logits=LOGITS, real_logits=LOGITS)
    terms = new(GMAN, softmax_weight=softmax_weight).generator_terms(turn)  # type: ignore[arg-type]
    return terms["generator"].item()


def test_the_weights_are_a_softmax_of_the_losses() -> None:
    first, second, third = (softplus(-logits).mean().item() for logits in LOGITS)
    weights = torch.tensor([2.0 * first, 2.0 * second, 2.0 * third]).exp()
    expected = (weights * torch.tensor([first, second, third])).sum() / weights.sum()
    assert term(2.0) == pytest.approx(expected.item())
    assert term(0.0) == pytest.approx((first + second + third) / 3)
    assert term(1e4) == pytest.approx(third)  # the strictest


def test_nothing_is_asked_of_critics_in_a_stage_without_them() -> None:
    assert new(GMAN).generator_terms(SimpleNamespace(adversarial=False)) == {}  # type: ignore[arg-type]
