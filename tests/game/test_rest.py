"""A side that rests: what stands still, what goes on, and stages in which one side plays alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from later import later
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.precision import MixedPrecision

from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.game.players import Side
from ganlab.game.stages import Stage, stage_at
from ganlab.testing import assert_same, new, play, state
from ganlab.testing.games import tensors_of
from ganlab.variants import R3GAN, WGAN, HingeGAN, Pix2Pix

GENERATOR, DISCRIMINATOR = "generator", "discriminator"
FIXED = Stage(3, GENERATOR, adversarial=True)


def resting(side: str, when: Callable[[int], bool], base: type[GAN] = HingeGAN) -> type[GAN]:
    """A variant one side of which returns no terms at some steps."""
    method = f"{side}_terms"
    original = vars(base).get(method) or vars(GAN)[method]

    def terms(game: GAN, turn: Any) -> Any:
        return {} if when(game.global_step) else original(game, turn)

    return type("Resting", (base,), {method: terms})


def moves(game: GAN, steps: int, **settings: Any) -> tuple[Any, list[dict[str, set[str]]]]:
    """The trainer, and of each step what it changed of each side and of the average."""
    changes: list[dict[str, set[str]]] = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer: Any, game: Any, *_: Any) -> None:
            self.before = self.parts(game)

        def on_train_batch_end(self, trainer: Any, game: Any, *_: Any) -> None:
            after = self.parts(game)
            changes.append({part: self.changed(self.before[part], after[part]) for part in after})

        def parts(self, game: Any) -> dict[str, Any]:
            return {**{side.name: part(side) for side in game._sides}, "average": averaged(game)}

        def changed(self, before: Any, after: Any) -> set[str]:
            new = {name for name in after if name not in before or not torch.equal(before[name], after[name])}
            return new

    return play(game, steps=steps, callbacks=[Watch()], **settings), changes


def part(side: Side) -> dict[str, torch.Tensor]:
    schedule = side.scheduler.last_epoch if side.scheduler else 0
    return {
        **{f"parameter {n}": p.detach().clone() for n, p in enumerate(side.learned)},
        **tensors_of("optimizer", side.optimizer.state_dict()["state"]),
        "schedule": torch.tensor(schedule),
    }


def averaged(game: GAN) -> dict[str, torch.Tensor]:
    return {name: p.clone() for name, p in game.ema.named_parameters()}


def halve(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.5, total_iters=6)


SCHEDULED: dict[str, Any] = {"generator_scheduler": halve, "discriminator_scheduler": halve}


@pytest.mark.parametrize("critic_steps", [1, 2])
@pytest.mark.parametrize("side", [GENERATOR, DISCRIMINATOR])
def test_all_of_a_side_that_rests_stands_still_and_the_clock_goes_on(side: str, critic_steps: int) -> None:
    game = new(resting(side, lambda step: 2 <= step < 5), critic_steps=critic_steps, **SCHEDULED)
    trainer, changes = moves(game, steps=7)
    assert trainer.global_step == len(changes) == 7
    for step, changed in enumerate(changes):
        rests = 2 <= step < 5
        for name in (GENERATOR, DISCRIMINATOR):
            still = rests and name == side
            assert bool(changed[name]) != still, (step, name)
            assert ("schedule" in changed[name]) != still
        assert bool(changed["average"]) != (rests and side == GENERATOR)
    shown = 4 if side == DISCRIMINATOR else 7
    assert game.images_seen == shown * critic_steps * 8
    assert trainer.callback_metrics["images"] == (2 if side == DISCRIMINATOR else 5) * critic_steps * 8


@pytest.mark.parametrize("side", [GENERATOR, DISCRIMINATOR])
def test_a_stage_is_as_if_the_other_side_returned_no_terms(side: str) -> None:
    other = DISCRIMINATOR if side == GENERATOR else GENERATOR
    stage = Stage(3, side, adversarial=side == GENERATOR)  # type: ignore[arg-type]
    staged, by_itself = new(HingeGAN, stages=[stage]), new(resting(other, lambda step: step < 3))
    expected = state(by_itself, play(by_itself, steps=5))
    assert_same(expected, state(staged, play(staged, steps=5)), what="the staged game")


def test_the_critic_of_a_resting_side_makes_no_pass() -> None:
    passes: list[bool] = []
    game = new(Pix2Pix, stages=[Stage(2, GENERATOR)])
    game.discriminator.register_forward_hook(lambda *_: passes.append(game._batch_checked))
    play(game, steps=2)
    assert len(passes) == 1, "only the check of shapes"


def test_a_generator_is_trained_beforehand_by_its_other_terms(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="", version="log")
    game = new(Pix2Pix, stages=[Stage(4, GENERATOR)])
    _, changes = moves(game, steps=8, logger=logger, log_every_n_steps=2)
    assert [bool(changed[DISCRIMINATOR]) for changed in changes] == [False] * 4 + [True] * 4
    assert all(changed[GENERATOR] and changed["average"] for changed in changes)
    header, *rows = (tmp_path / "log" / "metrics.csv").read_text().split()
    columns = [dict(zip(header.split(","), row.split(","), strict=True)) for row in rows]
    assert [float(row["stage"]) for row in columns] == [1, 1, 2, 2]
    assert [float(row["images"]) for row in columns] == [0, 0, 16, 32]
    for row, plays in zip(columns, [False, False, True, True], strict=True):
        assert row["l1"]
        for name in ("generator", "discriminator", "real_logit", "discriminator_gradient_norm"):
            assert bool(row[name]) == plays, name


def test_no_terms_are_logged_of_a_discriminator_that_rests_longer_than_a_log(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="", version="log")
    stages = [Stage(6), Stage(6, GENERATOR, adversarial=True)]
    play(new(R3GAN, penalty_every=9, stages=stages), steps=14, logger=logger, log_every_n_steps=2)
    header, *rows = (tmp_path / "log" / "metrics.csv").read_text().split()
    columns = [dict(zip(header.split(","), row.split(","), strict=True)) for row in rows]
    assert [bool(row["discriminator"]) for row in columns] == [True] * 3 + [False] * 3 + [True]
    assert [bool(row["r1"]) for row in columns] == [True] * 3 + [False] * 4


def test_the_stages_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    stages = [Stage(2, GENERATOR), Stage(1, GENERATOR, adversarial=True), Stage(2, DISCRIMINATOR), Stage(1)]
    play(new(Pix2Pix, stages=stages), steps=8)
    told = [line for line in capsys.readouterr().out.splitlines() if " play" in line]
    assert told == [
        "step 0  the generator plays alone, by its terms without an adversary",
        "step 2  the generator plays alone, against the discriminator as it is",
        "step 3  the discriminator plays alone",
        "step 5  both sides play",
        "step 6  both sides play",
    ]


def test_stages_follow_one_another() -> None:
    stages = [Stage(2, GENERATOR), Stage(1, DISCRIMINATOR)]
    played = [(number, stage.alone) for number, stage in (stage_at(stages, step) for step in range(5))]
    assert played == [(1, GENERATOR), (1, GENERATOR), (2, DISCRIMINATOR), (3, None), (3, None)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"steps": 2, "alone": "critic"}, "'critic' alone: name generator or discriminator"),
        ({"steps": 2, "adversarial": True}, "for a generator alone"),
        ({"steps": 2, "alone": DISCRIMINATOR, "adversarial": True}, "for a generator alone"),
    ],
    ids=["no steps", "nobody", "both", "the discriminator"],
)
def test_a_stage_that_means_nothing_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        Stage(**arguments)


def test_a_generator_that_has_no_other_terms_is_not_trained_beforehand() -> None:
    stages = [Stage(5), Stage(5, GENERATOR)]
    game = new(HingeGAN, stages=stages)
    before = state(game)
    with pytest.raises(Refused, match="generator of HingeGAN has no term without an") as refusal:
        play(game, steps=8)
    assert len(str(refusal.value).splitlines()) <= 3
    assert_same(before, state(game), what="the game after a refusal")


def test_the_check_of_a_generator_alone_changes_no_state(tmp_path: Path) -> None:
    class Counting(Pix2Pix):
        def __init__(self, **base: Any) -> None:
            super().__init__(**base)
            self.register_buffer("turns", torch.zeros(()))

        def generator_terms(self, turn: Any) -> Any:
            self.turns.add_(1)
            return super().generator_terms(turn)

    def train(steps: int, resume: Path | None = None) -> Any:
        game = new(Counting, stages=[Stage(2, GENERATOR)])
        return play(game, steps=steps, resume=resume)

    train(3).save_checkpoint(tmp_path / "stopped.ckpt")
    for trainer in (train(5), train(5, tmp_path / "stopped.ckpt")):
        assert float(trainer.lightning_module.turns) == 5


def test_logits_are_refused_where_there_is_no_adversary() -> None:
    class Careless(Pix2Pix):
        def generator_terms(self, turn: Any) -> Any:
            return {**super().generator_terms(turn), "score": -turn.fake_logits.mean()}

    with pytest.raises(Refused, match=r"Careless asks the discriminator[\s\S]*turn\.adversarial"):
        play(new(Careless, stages=[Stage(2, GENERATOR)]), steps=2)


def test_a_run_in_which_both_sides_rest_is_refused_at_that_step() -> None:
    class Idle(resting(GENERATOR, lambda step: step == 3)):  # type: ignore[misc]
        def discriminator_terms(self, turn: Any) -> Any:
            return {} if self.global_step >= 2 else super().discriminator_terms(turn)

    with pytest.raises(Refused, match="Both sides of Idle rest at step 3"):
        play(new(Idle), steps=8)


def test_a_side_that_rests_in_some_micro_batches_only_is_refused() -> None:
    class Half(HingeGAN):
        def discriminator_terms(self, turn: Any) -> Any:
            return {} if turn.draws.rows.start else super().discriminator_terms(turn)

    with pytest.raises(Refused, match="some micro-batches"):
        play(new(Half, accumulation=2), steps=2)


def test_what_is_told_after_a_step_is_told_of_steps_alone() -> None:
    told: list[int] = []

    class Listening(resting(DISCRIMINATOR, lambda step: step % 2 == 1)):  # type: ignore[misc]
        def after_discriminator_step(self, logged: Any) -> None:
            assert {"discriminator", "real_logit"} <= logged.keys()
            told.append(self.global_step)

    play(new(Listening), steps=5)
    assert told == [0, 2, 4]


def scaler() -> Any:
    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**10))


@pytest.mark.parametrize("precision", ["32", "bf16-mixed", "fp16"])
@pytest.mark.parametrize("stop", [1, 4, 6])
@pytest.mark.parametrize(
    "variant", later([R3GAN, WGAN, Pix2Pix], [R3GAN]), ids=lambda variant: variant.__name__
)
def test_a_run_resumed_in_any_stage_is_the_straight_one(
    variant: type[GAN], stop: int, precision: str, tmp_path: Path
) -> None:
    stages = [FIXED, Stage(2, DISCRIMINATOR)]

    def train(steps: int, resume: Path | None = None) -> tuple[GAN, Any]:
        how: dict[str, Any] = {"precision": precision}
        if precision == "fp16":
            how = {"precision": None, "plugins": [scaler()]}
        game = new(variant, stages=stages, accumulation=2, critic_steps=2, **SCHEDULED)
        return game, play(game, steps=steps, resume=resume, **how)

    straight = train(8)
    train(stop)[1].save_checkpoint(tmp_path / "stopped.ckpt")
    resumed = train(8, tmp_path / "stopped.ckpt")
    assert_same(state(*straight), state(*resumed), what="the resumed run")
    assert resumed[0].images_seen == straight[0].images_seen == (8 - 3) * 2 * 8
    rates = [[o.param_groups[0]["lr"] for o in trainer.optimizers] for _, trainer in (straight, resumed)]
    assert rates[0] == rates[1]
