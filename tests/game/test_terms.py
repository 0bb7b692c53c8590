"""What a user's own terms may be, and the sentence on those that cannot work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from several_processes import together
from torch import Tensor, nn

from ganlab.errors import Failed, Refused
from ganlab.game import terms
from ganlab.game.terms import NonFiniteError, TermRecord
from ganlab.game.turn import Turn
from ganlab.penalties import zero_centred
from ganlab.testing import Specks, new, play, state
from ganlab.variants import R1GAN, HingeGAN


def own_leaf(turn: Turn) -> Tensor:
    reals = turn.real.detach().requires_grad_()
    return zero_centred(reals, turn.logits(reals))


@pytest.mark.parametrize(
    ("method", "compute", "words"),
    [
        (
            "discriminator_terms",
            lambda turn: {"a": turn.real_logits},
            r"'a' is of the shape \(8,\).*\n.*mean",
        ),
        ("generator_terms", lambda turn: {"a": turn.fake_logits}, r"'a' is of the shape \(8,\)"),
        ("discriminator_terms", lambda turn: {"a": float(turn.real_logits.mean())}, "'a' is -?0"),
        ("discriminator_terms", lambda turn: {"a": turn.real_logits.mean(), "b": None}, "'b' is None"),
        ("discriminator_terms", lambda turn: None, "returned None"),
        ("discriminator_terms", lambda turn: turn.real_logits.mean(), r"returned tensor\("),
        ("discriminator_terms", lambda turn: {"a": turn.real_logits.mean().detach()}, r"learns \(a\)"),
        ("generator_terms", lambda turn: {"a": turn.real_logits.mean()}, r"the generator learns \(a\)"),
        ("penalties", lambda turn: None, "returned None"),
        ("penalties", lambda turn: {"p": turn.real_logits}, r"'p' is of the shape"),
        (
            "discriminator_terms",
            lambda turn: {"p": zero_centred(turn.real, turn.real_logits)},
            r"gradient with respect to images.*\n.*penalties\(turn\)",
        ),
    ],
)
def test_a_term_that_cannot_be_learnt_from_is_refused(
    method: str, compute: Callable[[Turn], Any], words: str
) -> None:
    base = R1GAN if method == "penalties" else HingeGAN
    game = new(type("Mine", (base,), {method: lambda game, turn: compute(turn)}))
    player = game.generator if method.startswith("generator") else game.discriminator
    before = [parameter.clone() for parameter in player.parameters()]
    with pytest.raises(Refused, match=words) as refusal:
        play(game, steps=2)
    assert str(refusal.value).startswith(f"Mine.{method}")
    assert len(str(refusal.value).splitlines()) <= 3
    assert all(map(torch.equal, before, player.parameters()))


def test_a_penalty_among_the_terms_works_until_the_players_are_compiled() -> None:
    mine = type("Mine", (HingeGAN,), {})
    mine.discriminator_terms = lambda game, turn: {"d": turn.real_logits.mean(), "p": own_leaf(turn)}
    played = play(new(mine), steps=2, log_every_n_steps=1)
    assert float(played.callback_metrics["p"]) > 0
    error = RuntimeError("This backward function was compiled with non-empty donated buffers which requires")
    with (
        pytest.raises(Refused, match=r"Mine\.discriminator_terms.*\n.*penalties"),
        terms.explained("Mine.discriminator_terms"),
    ):
        raise error


@pytest.mark.parametrize(
    ("every", "penalty_every", "steps"), [(50, 16, 100), (5, 16, 40), (7, 3, 30), (1, 4, 9)]
)
def test_penalties_that_are_seldom_played_are_logged_with_their_last_value(
    every: int, penalty_every: int, steps: int
) -> None:
    played: list[float] = []
    logged: list[float] = []

    class Seldom(R1GAN):
        def penalties(self, turn: Turn) -> dict[str, Tensor]:
            terms = super().penalties(turn)
            played.append(penalty_every * float(terms["r1"]))
            return terms

        def log_dict(self, values: Any, **arguments: Any) -> None:
            logged.append(values["r1"])

    play(new(Seldom, penalty_every=penalty_every), steps=steps, log_every_n_steps=every)
    at = range(every, steps + 1, every)
    assert logged == pytest.approx([played[(step - 1) // penalty_every] for step in at])


def test_a_term_that_is_played_no_more_is_logged_no_more() -> None:
    rows: list[dict[str, float]] = []

    class Warming(HingeGAN):
        def generator_terms(self, turn: Turn) -> dict[str, Tensor]:
            warming = {"warm": turn.fake.mean()} if self.global_step in (1, 2, 7) else {}
            return super().generator_terms(turn) | warming

        def log_dict(self, values: Any, **arguments: Any) -> None:
            rows.append(values)

    play(new(Warming), steps=20, log_every_n_steps=5)
    assert ["warm" in row for row in rows] == [True, True, False, False]


def test_a_resumed_run_logs_the_penalty_of_before(tmp_path: Path) -> None:
    whole = play(new(R1GAN, penalty_every=16), steps=20, log_every_n_steps=20)
    first = play(new(R1GAN, penalty_every=16), steps=18, log_every_n_steps=20)
    first.save_checkpoint(tmp_path / "at.ckpt")
    rest = play(
        new(R1GAN, penalty_every=16), steps=20, log_every_n_steps=20, resume=str(tmp_path / "at.ckpt")
    )
    assert rest.callback_metrics["r1"] == whole.callback_metrics["r1"]


NAMES: dict[str, tuple[dict[str, Callable[[Any, Turn], Any]], str]] = {
    "both sides": (
        {
            "discriminator_terms": lambda game, turn: {"loss": turn.real_logits.mean()},
            "generator_terms": lambda game, turn: {"loss": turn.fake_logits.mean()},
        },
        r"'loss': a term of Mine\.discriminator_terms, a term of Mine\.generator_terms",
    ),
    "a note over a term": (
        {"generator_terms": lambda game, turn: turn.note("g", turn.fake) or {"g": turn.fake_logits.mean()}},
        r"'g': a term of Mine\.generator_terms, a note",
    ),
    "a note over the other side's": (
        {"generator_terms": lambda game, turn: turn.note("discriminator", turn.fake) or game.rest(turn)},
        r"'discriminator': a term of Mine\.discriminator_terms, a note",
    ),
    "a penalty over the loss": (
        {"penalties": lambda game, turn: {"discriminator": turn.real_logits.mean()}},
        r"'discriminator': a term of Mine\.discriminator_terms, one of Mine\.penalties",
    ),
    "two notes": (
        {"generator_terms": lambda game, turn: [turn.note("n", turn.fake) for _ in "ab"] and game.rest(turn)},
        r"note\('n'\) was called twice",
    ),
    "what is logged beside": (
        {"generator_terms": lambda game, turn: {"images": turn.fake_logits.mean()}},
        r"'images': the number of images seen, a term of Mine\.generator_terms",
    ),
}


@pytest.mark.parametrize("case", NAMES)
def test_two_values_of_one_name_are_refused_at_the_first_step(case: str) -> None:
    methods, words = NAMES[case]
    game = new(type("Mine", (HingeGAN,), {"rest": lambda game, turn: rest(turn), **methods}))
    with pytest.raises(Refused, match=words) as refusal:
        play(game, steps=3)
    assert game.global_step == 0
    assert len(str(refusal.value).splitlines()) <= 3


def rest(turn: Turn) -> dict[str, Tensor]:
    return {"generator": turn.fake_logits.mean()}


def test_a_term_that_is_no_number_at_once_does_not_blame_the_learning_rate() -> None:
    mine = type("Mine", (HingeGAN,), {})
    mine.discriminator_terms = lambda game, turn: {"a": turn.real_logits.mean() * torch.nan}
    with pytest.raises(NonFiniteError, match="'a' became nan at step 0") as failure:
        play(new(mine), steps=2, log_every_n_steps=1)
    assert "learning rate" not in str(failure.value)


def test_terms_that_are_never_logged_are_checked_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "MOST_UNCHECKED", 20)
    mine = type("Mine", (HingeGAN,), {})
    game = new(mine)
    game.generator_terms = lambda turn: {
        "g": turn.fake_logits.mean() * (torch.nan if game.global_step == 12 else 1)
    }
    with pytest.raises(NonFiniteError, match="'g' became nan at step 12"):
        play(game, steps=100, log_every_n_steps=0)
    assert game.global_step < 40
    assert len(game.record._terms) <= 20


def differing() -> str:
    """What a check says in a process whose first turn has a term that the other's has not."""
    record, one = TermRecord(), torch.tensor(1.0)
    record.add(0, {"a": one, "b": one} if dist.get_rank() else {"a": one})
    record.add(0, {"g": torch.tensor(float("nan")) if dist.get_rank() else one})

    def least(values: Tensor) -> Tensor:
        dist.all_reduce(values, dist.ReduceOp.MIN)
        return values

    try:
        record.check(least, skips_bad_steps=False)
    except (Refused, Failed) as error:
        return str(error)
    return ""


def test_terms_that_only_one_process_has_are_named(tmp_path: Path) -> None:
    for sentence in together(differing, 2, tmp_path):
        assert "only some have b" in sentence
        assert "became" not in sentence


class FilmsOfSpecks(Specks):
    """Films of four pictures."""

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.shape = (1, 4, 8, 8)

    def load(self) -> tuple[Any, ...]:
        train, held_out = super().load()
        films = [
            torch.utils.data.TensorDataset(t[:][0][:, :, None].repeat(1, 1, 4, 1, 1))
            for t in (train, held_out)
        ]
        return films[0], films[1]


@pytest.mark.parametrize("precision", ["32", "bf16-mixed"])
def test_three_dimensional_convolutions_train(precision: str) -> None:
    generator = nn.Sequential(
        nn.Linear(8, 256), nn.Unflatten(1, (1, 4, 8, 8)), nn.Conv3d(1, 4, 3, padding=1), nn.ReLU()
    ).append(nn.Conv3d(4, 1, 3, padding=1))
    discriminator = nn.Sequential(
        nn.Conv3d(1, 4, 3, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(128, 1)
    )
    game = new(R1GAN, generator=generator, discriminator=discriminator.append(nn.Flatten(0)))
    before = state(game)
    trainer = play(game, FilmsOfSpecks(), steps=2, precision=precision)
    assert trainer.global_step == 2
    assert not torch.equal(before["generator.2.weight"], state(game)["generator.2.weight"])
    assert game.sample(3, seed=0).shape == (3, 1, 4, 8, 8)
    assert game.generator[2].weight.is_contiguous(memory_format=torch.channels_last_3d)
