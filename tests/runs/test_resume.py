"""A resumed run equals the run that was not stopped. For each variant: tests/variants/test_conformance.py."""

import json
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from importlib import import_module
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
import several_processes
import torch
from commands import at
from later import later
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from plain_games import Pooled

from ganlab.callbacks import Checkpoints, Evaluation, Preempted, Preemption
from ganlab.game import per_process
from ganlab.game.gan import GAN
from ganlab.game.stages import Stage
from ganlab.media import Labels
from ganlab.metrics import Pixels
from ganlab.networks import DCGANDiscriminator, DCGANGenerator
from ganlab.testing import SHAPE, SpeckPairs, Specks, assert_same, new, play, state, tried_with
from ganlab.variants import HingeGAN, Pix2Pix

# Everything that could make the two differ, in all pairs of values

FACTORS: dict[str, tuple[Any, ...]] = {
    "stop": ("inside", "border", "first"),
    "workers": (0, 1, 2),
    "processes": (1, 2),
    "precision": ("32", "bf16-mixed", "64-true"),
    "critic_steps": (1, 5),
    "accumulation": (1, 2),
    "augmented": (False, True),
    "evaluated": (False, True),
    "scheduled": (False, True),
    "noisy": (False, True),
}
Case = dict[str, Any]
Pair = frozenset[tuple[str, Any]]


def pairs(case: Case) -> set[Pair]:
    return {frozenset(pair) for pair in combinations(case.items(), 2)}


def all_pairs() -> list[Case]:
    """Few cases that cover all pairs: greedily, always the one that covers the most new pairs."""
    cases = [dict(zip(FACTORS, values, strict=True)) for values in product(*FACTORS.values())]
    covers = [(case, pairs(case)) for case in cases]
    missing, chosen = set().union(*(covered for _, covered in covers)), []
    while missing:
        best, covered = max(covers, key=lambda each: len(each[1] & missing))
        chosen.append(best)
        missing -= covered
    return chosen


CASES = all_pairs()
# Everything at once.
TOLD: list[Case] = [
    {name: values[-1] for name, values in FACTORS.items()}
    | {"stop": "inside", "precision": "bf16-mixed", "processes": processes, "game": game}
    for game in ("told labels", "told pictures")
    for processes in (1, 2)
]
POOLED = TOLD[0] | {"workers": 0, "evaluated": False, "game": "pooled"}
TOLD += [
    POOLED | {"processes": processes, "precision": precision, "game": game}
    for processes, precision, game in (
        (1, "bf16-mixed", "pooled"),
        (2, "bf16-mixed", "pooled"),
        (2, "fp16", "cycle"),
        (2, "fp16", "resting"),
    )
]
ALONE, TOGETHER = ([case for case in (*CASES, *TOLD) if case["processes"] == number] for number in (1, 2))


def label(case: Case) -> str:
    return " ".join(f"{name}={value}" for name, value in case.items())


def test_the_cases_cover_each_pair_of_two_factors_values() -> None:
    covered = set().union(*map(pairs, CASES))
    for (one, values), (other, others) in combinations(FACTORS.items(), 2):
        for pair in product(values, others):
            assert frozenset(zip((one, other), pair, strict=True)) in covered, (one, other, pair)
    assert len(CASES) <= 14


def halve(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.5, total_iters=6)


# The discriminator that is told labels has spectral norm, whose vectors move in each pass.
LABELLED: dict[str, Any] = {"shape": SHAPE, "condition": Labels(3), "width": 4}


def cycle(**arguments: Any) -> GAN:
    """Two generators, two critics and a pool beside each of these."""
    user = import_module("my_cyclegan")
    players = {"generator": user.Translators, "discriminator": user.Critics}
    made = {side: partial(network, shape=SHAPE) for side, network in players.items()}
    return new(user.MyCycleGAN, **made, shape=SHAPE, conditional=True, latent_size=0, identity=5, **arguments)


BUILD: dict[str, Callable[..., GAN]] = {
    "told nothing": partial(new, HingeGAN),
    "told labels": partial(
        new,
        HingeGAN,
        conditional=True,
        generator=partial(DCGANGenerator, **LABELLED, latent_size=8),
        discriminator=partial(DCGANDiscriminator, **LABELLED, normalization="spectral"),
    ),
    "told pictures": partial(new, Pix2Pix),
    "pooled": partial(new, Pooled),
    # The third and fourth step of seven, and so the stop, are within the discriminator's stage.
    "resting": partial(
        new, HingeGAN, stages=[Stage(2, "generator", adversarial=True), Stage(3, "discriminator")]
    ),
    "cycle": cycle,
}
DATA = {"cycle": SpeckPairs}  # of a game that is not tried with the usual data


def game_of(case: Case) -> GAN:
    return BUILD[case.get("game", "told nothing")](
        critic_steps=case["critic_steps"],
        accumulation=case["accumulation"],
        augmentations=["translation", "cutout"] if case["augmented"] else [],
        generator_scheduler=halve if case["scheduled"] else None,
        discriminator_scheduler=halve if case["scheduled"] else None,
        instance_noise=0.1 if case["noisy"] else 0.0,
        instance_noise_steps=6 if case["noisy"] else None,
    )


def precision(name: str) -> dict[str, Any]:
    """Settings of a Trainer; float16 with a gradient scaler, which Lightning has for GPUs alone."""
    if name != "fp16":
        return {"precision": name}
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    return {"precision": None, "plugins": [MixedPrecision("16-mixed", "cpu", scaler)]}


def own_buffers(game: GAN) -> dict[str, torch.Tensor]:
    return {name: game.get_buffer(name) for name in per_process.names(game)}


def check(case: Case, folder: Path) -> None:
    """Compare a straight run with one resumed from a checkpoint that the straight run wrote."""
    stop = 1 if case["stop"] == "first" else 4
    at_border = 2 * 8 * case["critic_steps"] * case["processes"]
    images = at_border if case["stop"] == "border" else 37
    data = DATA.get(case.get("game", ""))

    def train(name: str, resume: Path | None = None) -> tuple[GAN, Trainer]:
        game = game_of(case)
        (folder / name).mkdir(parents=True, exist_ok=True)
        scored = [Evaluation(Pixels(), ("fid",), 20, every_n_steps=2)] if case["evaluated"] else []
        trainer = play(
            game,
            (data or tried_with(type(game)).data)(images=images, held_out=20, workers=case["workers"]),
            steps=7,
            resume=resume,
            callbacks=[*scored, Checkpoints(every_n_steps=stop, keep=9)],
            default_root_dir=folder / name,
            enable_checkpointing=True,
            devices=case["processes"],
            **precision(case["precision"]),
        )
        return game, trainer

    straight = train("straight")
    resumed = train("resumed", at(folder / "straight", stop))
    assert straight[0].images_seen == resumed[0].images_seen
    for (_, trainer), first in ((straight, 0), (resumed, stop)):
        assert trainer.global_step == 7
        assert trainer.fit_loop.epoch_loop.batch_progress.current.completed == 7, first
    kept = [own_buffers(game) for game, _ in (straight, resumed)]
    assert_same(*kept, what=f"what a process keeps by itself, {label(case)}")
    if straight[1].is_global_zero:
        assert_same(state(*straight), state(*resumed), what=label(case))
        rates = [
            [each.scheduler.state_dict() for each in trainer.lr_scheduler_configs]
            for _, trainer in (straight, resumed)
        ]
        assert rates[0] == rates[1]
        assert len(rates[0]) == 2 * case["scheduled"]
    if straight[1].is_global_zero and case["evaluated"]:
        rows, resumed_rows = (scores(folder / name) for name in ("straight", "resumed"))
        assert [row["step"] for row in rows] == [2, 4, 6, 7]
        assert resumed_rows == [row for row in rows if row["step"] > stop]


def scores(run: Path) -> list[dict[str, Any]]:
    return [json.loads(row) for row in (run / "scores.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("case", later(ALONE, ALONE[::2]), ids=label)
def test_a_resumed_run_is_the_straight_one(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))
    check(case, tmp_path)


# Two processes


class Plain(torch.nn.Sequential):
    """A network without normalisation, whose statistics would differ between a batch and its halves."""

    def __init__(self, inputs: int, *after: torch.nn.Module, outputs: int = 1) -> None:
        hidden = torch.nn.Linear(inputs, 32), torch.nn.LeakyReLU(0.2), torch.nn.Linear(32, outputs)
        super().__init__(torch.nn.Flatten(), *hidden, *after)


def plain() -> GAN:
    torch.manual_seed(0)
    unflatten = torch.nn.Tanh(), torch.nn.Unflatten(1, (1, 8, 8))
    return new(HingeGAN, generator=Plain(8, *unflatten, outputs=64), discriminator=Plain(64))


def play_plain(folder: Path, *, batch_size: int, **options: Any) -> tuple[GAN, Trainer]:
    game = plain()
    keeper = Checkpoints(every_n_steps=3, keep=9)
    data = Specks(batch_size=batch_size)
    options |= {"precision": "64-true", "enable_checkpointing": True}
    return game, play(game, data, steps=6, callbacks=[keeper], default_root_dir=folder, **options)


def stop_one(folder: Path) -> None:
    """Send a signal to the second process alone; both must stop after the same step."""

    original = GAN.training_step

    def training_step(game: GAN, *arguments: Any) -> None:
        if game.global_rank == 1 and game.global_step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        original(game, *arguments)

    def train(name: str, **options: Any) -> tuple[GAN, Trainer]:
        game = new(HingeGAN)
        callbacks = [Preemption(), Checkpoints(every_n_steps=100)]
        options |= {"devices": 2, "enable_checkpointing": True}
        return game, play(game, steps=40, callbacks=callbacks, default_root_dir=folder / name, **options)

    straight = train("straight")
    GAN.training_step = training_step  # type: ignore[method-assign]
    try:
        train("stopped")
        raise AssertionError("it was not stopped")
    except Preempted as stopped:
        rank, step = straight[1].global_rank, stopped.step
        (folder / f"rank-{rank}").write_text(f"{step} {stopped.code}")
    finally:
        GAN.training_step = original  # type: ignore[method-assign]
    resumed = train("stopped", resume=at(folder / "stopped", step))
    if rank == 0:
        assert_same(state(*straight), state(*resumed), what="the run that one process was told to stop")


def in_two(folder: Path) -> None:
    """All checks, of which the first process writes down how each ended. The first that fails ends all."""
    answers: dict[str, str] = {}
    checks = {label(case): partial(check, case, folder / str(n)) for n, case in enumerate(TOGETHER)}
    checks |= {"halves": partial(resume_in_halves, folder), "stop": partial(stop_one, folder)}
    first = os.environ["LOCAL_RANK"] == "0"
    with (folder / f"output-{os.environ['LOCAL_RANK']}").open("w") as output, redirect_stdout(output):
        for name, work in checks.items():
            try:
                work()
                answers[name] = ""
            except BaseException:
                answers[name] = traceback.format_exc()
                raise
            finally:
                if first:
                    (folder / "answers.json").write_text(json.dumps(answers))


def resume_in_halves(folder: Path) -> None:
    checkpoint = at(folder / "whole", 3)
    game, trainer = play_plain(folder / "halves", batch_size=4, devices=2, resume=checkpoint)
    assert trainer.global_step == 6
    assert game.images_seen == 6 * 8
    if trainer.is_global_zero:
        torch.save(state(game, trainer), folder / "halves.pt")


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], str]:
    """The folder, errors by check, and output of all checks in two processes."""
    folder = tmp_path_factory.mktemp("together")
    game, trainer = play_plain(folder / "whole", batch_size=8)
    torch.save(state(game, trainer), folder / "whole.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "user_files"))
        try:
            several_processes.together(partial(in_two, folder), 2, folder)
            failure = ""
        except AssertionError as error:
            failure = str(error)
    output = "".join(path.read_text() for path in sorted(folder.glob("output-*"))) + failure
    answers = folder / "answers.json"
    return folder, json.loads(answers.read_text()) if answers.exists() else {}, output


@pytest.mark.parametrize("case", TOGETHER, ids=label)
def test_a_resumed_run_of_two_processes_is_the_straight_one(
    case: Case, together: tuple[Path, dict[str, str], str]
) -> None:
    _, answers, output = together
    assert answers.get(label(case)) == "", output[-3000:]


def test_a_run_of_one_process_is_resumed_by_two_with_half_its_batch(
    together: tuple[Path, dict[str, str], str],
) -> None:
    folder, answers, output = together
    assert answers.get("halves") == "", output[-3000:]
    assert output.count("not bit-for-bit from here: processes 1 -> 2") == 1, output
    one, other = (torch.load(folder / f"{name}.pt") for name in ("whole", "halves"))
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.allclose(value, other[name], rtol=0, atol=1e-12), name


class Kept(Callback):
    """What the process keeps by itself when training begins."""

    def on_train_start(self, trainer: Any, game: Any) -> None:
        self.buffers = {name: value.clone() for name, value in own_buffers(game).items()}


def test_pools_of_two_processes_are_dealt_again_to_one(
    together: tuple[Path, dict[str, str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, answers, output = together
    case = POOLED | {"processes": 2}
    assert answers.get(label(case)) == "", output[-3000:]
    checkpoint = at(folder / str(TOGETHER.index(case)) / "straight", 4)
    saved = torch.load(checkpoint, weights_only=True)["per_process"]
    assert [kept["pool.stored"] for kept in saved] == [50, 50]
    assert not torch.equal(saved[0]["pool.images"], saved[1]["pool.images"])
    game, kept = game_of(case), Kept()
    trainer = play(game, Specks(batch_size=16), steps=5, resume=checkpoint, callbacks=[kept])
    assert trainer.global_step == 5
    assert_same(saved[0], kept.buffers, what="the first process's")
    assert "here: processes 2 -> 1; order, noise and counters go on exactly; dealt again: pool" in (
        capsys.readouterr().out
    )


def test_a_signal_to_one_process_stops_both_after_the_same_step(
    together: tuple[Path, dict[str, str], str],
) -> None:
    folder, answers, output = together
    assert answers.get("stop") == "", output[-3000:]
    stopped = [(folder / f"rank-{rank}").read_text() for rank in (0, 1)]
    assert stopped[0] == stopped[1]
    step, code = map(int, stopped[0].split())
    assert 5 <= step < 40
    assert code == 75
