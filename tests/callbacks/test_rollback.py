"""A new run that begins where another was best: the same to the last bit where nothing is changed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from command_line import metrics, write
from commands import GAME, KILLED, Command, assert_same_end, at, begun, end_all, fit, steps

SCHEDULE = """\
    generator_scheduler: {class_path: torch.optim.lr_scheduler.StepLR, init_args: {step_size: 4, gamma: 0.5}}
"""
SCHEDULED = GAME.replace("    latent_size: 4\n", "    latent_size: 4\n" + SCHEDULE)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    assert fit("--config", write(folder, GAME), folder=folder).code == 0
    return begun(folder)


def back(target: Path, *options: Any, folder: Path) -> Path:
    answer = fit("--rollback", target, *options, folder=folder)
    assert answer.code == 0, answer
    return begun(folder)


def rates(run: Path, step: int) -> list[float]:
    states = torch.load(at(run, step), weights_only=True)["optimizer_states"]
    return [group["lr"] for state in states for group in state["param_groups"]]


@pytest.mark.parametrize("target", ["a checkpoint", "the best"])
def test_with_nothing_changed_it_plays_the_same_again(target: str, old: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(old, tmp_path / "old")
    shutil.copyfile(at(old, 9), copy / "checkpoints" / "best.ckpt")
    given = at(copy, 9) if target == "a checkpoint" else copy
    new = back(given.relative_to(tmp_path), folder=tmp_path)
    assert_same_end(new, old)
    assert steps(new) == [13, 12]
    pictures = [{path.name: path.read_bytes() for path in run.glob("samples/*.png")} for run in (old, new)]
    assert pictures[0] == pictures[1]
    assert yaml.safe_load((new / "config.yaml").read_text())["rollback"]


def test_the_clock_goes_on(old: Path, tmp_path: Path) -> None:
    new = back(at(old, 9), folder=tmp_path)
    rows = [json.loads(line) for line in (new / "clock.jsonl").read_text().splitlines()]
    old_rows = [json.loads(line) for line in (old / "clock.jsonl").read_text().splitlines()]
    old_rows = [row for row in old_rows if row["step"] <= 9]
    assert rows[: len(old_rows)] == old_rows
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds)
    assert rows[-1]["step"] == 13


def test_what_is_changed_of_the_optimizers_holds_from_there(old: Path, tmp_path: Path) -> None:
    lr = "--model.generator_optimizer.lr"
    new = back(at(old, 9), lr, "0.0123", "--model.generator_optimizer.betas", "[0.0, 0.5]", folder=tmp_path)
    before = rates(old, 9)
    assert rates(new, 13) == [before[0], 0.0123]
    states = torch.load(at(new, 13), weights_only=True)["optimizer_states"]
    assert states[1]["param_groups"][0]["betas"] == (0.0, 0.5)
    # Their moments are the old run's: they have been updated in all thirteen steps.
    assert all(float(each["step"]) == 13 for each in states[1]["state"].values())
    for one, other in zip(metrics(old), metrics(new), strict=True):
        # The tenth step's terms are those of what the ninth has left.
        if one["generator"]:
            assert (one["generator"] == other["generator"]) == (int(one["step"]) <= 10), one["step"]


def test_a_schedule_goes_on_with_another_rate(tmp_path: Path) -> None:
    for name in ("old", "new", "again"):
        (tmp_path / name).mkdir()
    assert fit("--config", write(tmp_path / "old", SCHEDULED), folder=tmp_path / "old").code == 0
    old = begun(tmp_path / "old")
    first = rates(old, 13)[1] * 2**3
    lr = "--model.generator_optimizer.lr"
    new = back(at(old, 9), lr, 3 * first, "--checkpoints.every_n_steps", "1", folder=tmp_path / "new")
    assert [rates(new, step)[1] for step in (11, 12, 13)] == pytest.approx(
        [3 * first / 4, 3 * first / 8, 3 * first / 8]
    )


def test_other_draws_by_another_seed(old: Path, tmp_path: Path) -> None:
    new = back(at(old, 9), "--seed_everything", "1", folder=tmp_path)
    assert new.name.endswith("seed1")
    assert [row for row in metrics(new) if int(row["step"]) <= 9] == [
        row for row in metrics(old) if int(row["step"]) <= 9
    ]
    assert metrics(new)[-1] != metrics(old)[-1]


def test_killed_before_it_has_saved_it_begins_there_again(old: Path, tmp_path: Path) -> None:
    command = Command(
        "fit",
        "--rollback",
        at(old, 9),
        "--model.gamma",
        "3",
        folder=tmp_path,
        patch=KILLED.format(before="pass"),
    )
    try:
        assert command.end().code not in (0, 1)
    finally:
        end_all()
    new = begun(tmp_path)
    assert not steps(new)
    answer = fit("--resume", new, folder=tmp_path)
    assert answer.code == 0, answer
    (tmp_path / "straight").mkdir()
    assert_same_end(new, back(at(old, 9), "--model.gamma", "3", folder=tmp_path / "straight"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model.generator.hidden", "[8]"], "do not fit this game (rollback)"),
        (["--model.generator_optimizer", "RMSprop"], "it was another one (rollback)"),
        (["--data.batch_size", "4"], "batch"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_no_folder(
    options: list[str], words: str, old: Path, tmp_path: Path
) -> None:
    answer = fit("--rollback", at(old, 9), *options, folder=tmp_path)
    assert answer.code == 2, answer
    assert words in answer.err
    assert "Traceback" not in answer.err
    assert not [*tmp_path.glob("runs/*/*/*")]


def test_a_run_without_a_score_has_no_best(tmp_path: Path) -> None:
    game = GAME.replace("evaluation: {extractor: Pixels, samples: 40, every_n_steps: 5}\n", "")
    assert fit("--config", write(tmp_path, game), folder=tmp_path).code == 0
    answer = fit("--rollback", begun(tmp_path), folder=tmp_path)
    assert answer.code == 2
    assert "has no best checkpoint" in answer.err
