"""Logits of several critics: losses and penalties are means over critics, each with its own gradient."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ganlab import losses
from ganlab.errors import Refused
from ganlab.judgements import Judged, checked, judged
from ganlab.penalties import one_centred, squared_norm, zero_centred

LOSSES = {name: loss for name, loss in vars(losses).items() if isinstance(loss, losses.Loss)}


def logits(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_several_critics_is_the_mean_of_theirs(name: str) -> None:
    loss = LOSSES[name]
    real, fake = logits(3, 8).unbind(), logits(3, 8, 1)[..., 0].unbind()
    alone = [float(loss.discriminator(*pair)) for pair in zip(real, fake, strict=True)]
    together = loss.discriminator([*real], [*fake])
    assert float(together) == pytest.approx(sum(alone) / 3, rel=1e-12)
    named = loss.discriminator(dict(zip("abc", real, strict=True)), dict(zip("abc", fake, strict=True)))
    assert torch.equal(named, together)
    alone = [float(loss.generator(f, lambda r=r: r)) for r, f in zip(real, fake, strict=True)]
    assert float(loss.generator([*fake], lambda: [*real])) == pytest.approx(sum(alone) / 3, rel=1e-12)


def test_a_generators_loss_asks_for_the_reals_once_or_never() -> None:
    asked = []

    def reals() -> list[Tensor]:
        asked.append(1)
        return [*logits(3, 8)]

    losses.hinge.generator([*logits(3, 8)], reals)
    assert not asked
    losses.relativistic.generator([*logits(3, 8)], reals)
    assert len(asked) == 1


def test_critics_of_unlike_forms_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        losses.hinge.discriminator([*logits(3, 8)], [*logits(2, 8)])


def test_each_critic_is_penalised_for_its_own_gradient() -> None:
    images = logits(6, 4).requires_grad_()
    weights = logits(2, 4)
    each = [images @ weight for weight in weights]
    expected = weights.square().sum(1)
    assert torch.allclose(zero_centred(images, each), expected.mean())
    # Of the critics' sum it would be another.
    assert not torch.allclose(zero_centred(images, each), weights.sum(0).square().sum())
    assert torch.allclose(one_centred(images, each), (expected.sqrt() - 1).square().mean())


def test_of_a_sample_of_several_tensors_each_critic_counts_those_that_it_sees() -> None:
    a, b = logits(6, 4).requires_grad_(), logits(6, 3).requires_grad_()
    first, second = logits(4), logits(3)
    penalty = zero_centred({"a": a, "b": b}, {"a": a @ first, "b": b @ second})
    assert torch.allclose(penalty, (first.square().sum() + second.square().sum()) / 2)
    both = squared_norm({"a": a, "b": b}, a @ first + b @ second)
    assert torch.allclose(both, (first.square().sum() + second.square().sum()).expand(6))


@pytest.mark.parametrize(
    ("returned", "expected_logits", "heads"),
    [
        (1, 1, None),
        (Judged(1, "code"), 1, "code"),
        ([1, 2], [1, 2], None),
        ([Judged(1, "x"), Judged(2, "y")], [1, 2], ["x", "y"]),
        ({"a": Judged(1, "x"), "b": 2}, {"a": 1, "b": 2}, {"a": "x", "b": None}),
    ],
    ids=["a logit", "with a head", "two", "two with heads", "one of two with a head"],
)
def test_heads_are_told_apart_from_logits(returned: Any, expected_logits: Any, heads: Any) -> None:
    assert judged(returned) == Judged(expected_logits, heads)


@pytest.mark.parametrize(
    "returned",
    [None, [], [torch.zeros(2), 1.0], Judged(None, torch.zeros(2))],
    ids=["none", "empty", "a number", "heads alone"],
)
def test_what_is_no_logits_is_refused(returned: Any) -> None:
    with pytest.raises(Refused, match=r"discriminator returned [\s\S]*returns a tensor"):
        checked(judged(returned))
