"""Checks of training: its clock, its seed, its numbers, and a run that is resumed."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from torch import Tensor
from torch.utils._pytree import tree_leaves

from ganlab.game.gan import GAN
from ganlab.game.players import Side
from ganlab.game.terms import NonFiniteError, Terms
from ganlab.testing.games import Game, assert_same, learning, state


def trains(build: Game) -> None:
    """Terms stay finite, sides that learn and the average change, and steps and images are counted right."""
    for critic_steps, steps in ((1, 10), (5, 5)):
        game = build(critic_steps=critic_steps)
        before = _parameters(game)
        counts = {"generator": 0, "discriminator": 0, "batches": 0}
        rests = count_rests(game)
        trainer = build.play(game, steps=steps, callbacks=[_Count(counts)])
        sides = learning(game)
        _moved(before, _parameters(game), sides)
        assert trainer.global_step == counts["batches"] == steps
        assert counts["generator"] + rests["generator"] == steps
        critics = counts["discriminator"]
        assert critics + rests["discriminator"] == steps * critic_steps
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        assert all(value - value == 0 for value in values.values()), values
        # Norms are those of the steps that are logged, in which a side may rest.
        assert {f"{side}_gradient_norm" for side in sides if not rests[side]} <= values.keys()
        if critics:
            assert {"real_logit", "fake_logit"} <= values.keys()
        assert values["images"] == critics * trainer.datamodule.batch_size  # type: ignore[attr-defined]


def count_rests(game: GAN) -> Counter[str]:
    """In how many turns each side rests, while the game is played."""
    original, rests = game._play_turn, Counter[str]()

    def counted(side: Side, *arguments: Any) -> Terms:
        logged = original(side, *arguments)
        rests[side.name] += side.rests
        return logged

    game._play_turn = counted  # type: ignore[method-assign,assignment]
    return rests


def _parameters(game: GAN) -> dict[str, Tensor]:
    """Without buffers, which move in each pass."""
    return {name: parameter.detach().clone() for name, parameter in game.named_parameters()}


def _moved(before: dict[str, Tensor], after: dict[str, Tensor], sides: set[str]) -> None:
    """What learns has moved, and the average beside the generator."""
    for player in [*sorted(sides), *(["ema"] if "generator" in sides else [])]:
        names = [name for name in after if name.startswith(player)]
        assert any(not torch.equal(before[n], after[n]) for n in names), f"the {player} never moved"


class _Count(Callback):
    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts

    def on_before_optimizer_step(self, trainer: Any, game: Any, optimizer: Any) -> None:
        self.counts["generator" if optimizer is trainer.optimizers[1] else "discriminator"] += 1

    def on_train_batch_end(self, *_: Any) -> None:
        self.counts["batches"] += 1


def follows_its_seed(build: Game) -> None:
    """Two runs of one seed are the same; one of another seed is not, in a game that has latents."""
    runs = [build(seed=seed) for seed in (1, 1, 2)]
    one, again, another = (state(game, build.play(game, steps=6)) for game in runs)
    assert_same(one, again, what="two runs of one seed")
    differs = any(not torch.equal(one[name], another[name]) for name in one)
    assert differs or not runs[0].latent_size, "the seed changes nothing"


def resumes_exactly(build: Game) -> None:
    """A run that was stopped and resumed is the run that was not, to the last bit."""
    straight = build()
    expected = state(straight, build.play(straight, steps=7))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "half.ckpt"
        build.play(build(), steps=4).save_checkpoint(path)
        torch.load(path, weights_only=True)
        resumed = build(seed=0)
        trainer = build.play(resumed, steps=7, resume=path)
    assert trainer.global_step == 7
    assert_same(expected, state(resumed, trainer), what="the resumed run")


def judges_in_float32(build: Game) -> None:
    """Under bf16-mixed every loss gets float32 logits; under float64 they stay float64."""
    for precision, expected in (("bf16-mixed", torch.float32), ("64-true", torch.float64)):
        game = build()
        dtypes: list[torch.dtype] = []
        original = game.discriminator_terms

        def watched(turn: Any, original: Any = original, dtypes: Any = dtypes) -> Terms:
            dtypes += [critic.dtype for critic in tree_leaves((turn.real_logits, turn.fake_logits))]
            return original(turn)

        game.discriminator_terms = watched  # type: ignore[method-assign]
        build.play(game, steps=2, precision=precision)
        assert set(dtypes) == {expected}, f"{precision}: logits are {set(dtypes)}"


def reports_a_bad_number(build: Game) -> None:
    """A term that is no number is reported with its name and step, and never reaches a checkpoint."""
    game = build()
    method = "discriminator_terms" if "discriminator" in learning(game) else "generator_terms"
    original, bad = getattr(game, method), list[int]()

    def with_nan(turn: Any) -> Terms:
        if not (terms := original(turn)):
            return terms
        if game.global_step >= 7 and not bad:
            bad.append(game.global_step)
        name = list(terms)[-1]
        return {**terms, name: terms[name] * (torch.nan if game.global_step in bad else 1)}

    setattr(game, method, with_nan)
    with tempfile.TemporaryDirectory() as folder:
        report, saved = "", _SaveEach(folder)
        try:
            build.play(game, steps=20, callbacks=[saved])
        except NonFiniteError as error:
            report = str(error)
        assert f"at step {bad[0]}" in report, report or "a term that is no number went unnoticed"
        assert any(f"'{name}'" in report for name in saved.logged), report
        for path in Path(folder).glob("*.ckpt"):
            weights = torch.load(path, weights_only=True)["state_dict"]
            assert all(value.isfinite().all() for value in weights.values()), path.name


class _SaveEach(Callback):
    """Saves each step, and keeps the names of what has been logged."""

    def __init__(self, folder: str) -> None:
        self.folder, self.logged = folder, set[str]()

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        self.logged |= trainer.callback_metrics.keys()
        trainer.save_checkpoint(Path(self.folder) / f"{trainer.global_step}.ckpt")


def is_not_touched_by_evaluation(build: Game) -> None:
    """Sampling and validation between steps change nothing in training."""
    plain, evaluated = build(), build()
    expected = state(plain, build.play(plain, steps=6))
    validation: dict[str, Any] = dict(
        val_check_interval=2, check_val_every_n_epoch=None, num_sanity_val_steps=1
    )
    result = state(evaluated, build.play(evaluated, steps=6, callbacks=[_Sampled()], **validation))
    assert_same(expected, result, what="the run that was evaluated")


class _Sampled(Callback):
    def on_train_batch_end(self, trainer: Any, game: Any, *_: Any) -> None:
        torch.rand(3)
        game.sample(5, seed=1)
        game.sample(5, seed=1, raw=True)
