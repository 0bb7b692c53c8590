"""Games of a user's own files (tests/user_files, 60 lines or fewer, networks included) go the whole way."""

import json
from importlib import import_module
from pathlib import Path
from shutil import copy
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from command_line import checkpoint, here, run_folders
from trained_runs import import_for_test

import ganlab
from ganlab import variants
from ganlab.data import Digits
from ganlab.data.stream import StreamData
from ganlab.media import Labels, Pictures
from ganlab.testing import CHECKS, Game, assert_same

FILES = Path(__file__).resolve().parents[1] / "user_files"
GAMES = sorted(path.stem for path in FILES.glob("*.py"))
FROM_PICTURES = ("my_pix2pix", "my_super_resolution")
LINES, STEPS = 60, 6


class Trained(NamedTuple):
    """A run of a user's file, and one that was stopped and resumed."""

    name: str
    home: Path
    straight: Path
    resumed: Path


@pytest.fixture(scope="module", params=GAMES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    name, home = request.param, tmp_path_factory.mktemp(request.param)
    for path in FILES.glob(f"{name}.*"):
        copy(path, home)

    def fit(*options: str) -> Path:
        before = run_folders(home)
        always = ("--trainer.accelerator", "cpu", "--samples.every_n_steps", "3")
        answer = here("fit", "--config", f"{name}.yaml", *always, *options, folder=home)
        assert answer.code == 0, answer
        return ({*run_folders(home)} - {*before} or {*before}).pop()

    stopped = fit("--trainer.max_steps", "3")
    assert fit("--trainer.max_steps", str(STEPS), "--resume", "auto") == stopped
    return Trained(name, home, fit("--trainer.max_steps", str(STEPS)), stopped)


def scores(run: Path) -> dict[str, float]:
    return json.loads((run / "scores.jsonl").read_text().splitlines()[-1])["scores"]


@pytest.mark.parametrize("name", GAMES)
def test_a_users_file_is_short(name: str) -> None:
    written = [line for line in (FILES / f"{name}.py").read_text().splitlines() if line.strip()]
    assert len(written) <= LINES


def test_a_resumed_run_is_the_straight_one(trained: Trained) -> None:
    one, other = (checkpoint(run, STEPS)["state_dict"] for run in (trained.straight, trained.resumed))
    assert_same(one, other, what="the resumed run")
    assert scores(trained.straight) == scores(trained.resumed)


def test_sheets_are_kept_of_what_can_be_drawn(trained: Trained) -> None:
    drawn = [path.name for path in sorted((trained.straight / "samples").glob("*.png"))]
    expected = [f"step-{step:09}.png" for step in (3, 6)]
    assert drawn == ([] if trained.name == "my_characters" else expected)


def test_the_command_and_python_draw_the_same(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained.straight
    assert here("sample", run, "--out", "x.npz", "--count", "5", folder=trained.home).code == 0
    monkeypatch.syspath_prepend(str(trained.home))
    import_for_test(monkeypatch, trained.name)
    game = ganlab.load(run, trust_code=True)
    with np.load(trained.home / "x.npz") as file:
        (array,) = file.values()
    made = game.sample(5, seed=0)
    medium = game.medium(made)
    assert np.array_equal(array, medium.as_array(medium.stored(made)))


def test_evaluate_takes_the_score_that_the_run_took(trained: Trained) -> None:
    expected = scores(trained.straight)
    answer = here("evaluate", trained.straight, "--samples", "60", "--json", folder=trained.home)
    assert answer.code == 0, answer
    found = json.loads(answer.out)["scores"]
    assert {name: value["value"] for name, value in found.items()} == pytest.approx(expected)


def test_an_export_draws_what_the_run_draws(trained: Trained) -> None:
    home, run = trained.home, trained.straight
    assert here("export", run, "--out", "mine", folder=home).code == 0
    draw = ("sample", "mine", "--out", "mine.npz", "--count", "5", "--trust_code")
    answer = here(*draw, folder=home)
    if trained.name in FROM_PICTURES:  # These are somebody's: an export holds none.
        assert answer.code == 2, answer
        assert "--given" in answer.err
        return
    assert answer.code == 0, answer
    assert here("sample", run, "--out", "run.npz", "--count", "5", folder=home).code == 0
    assert (home / "mine.npz").read_bytes() == (home / "run.npz").read_bytes()


def test_compare_tells_the_runs_score(trained: Trained) -> None:
    answer = here("compare", "runs", folder=trained.home)
    assert answer.code == 0, answer
    assert trained.name in answer.out
    assert {name.partition("60")[0] for name in scores(trained.straight)} & {*answer.out.split()} or any(
        name in answer.out for name in scores(trained.straight)
    )
