"""`ganlab study augmentation`: from an experiment to a table, in one command or with a stop in between."""

import json
import re
import shutil
from pathlib import Path

import pytest
from command_line import REPOSITORY, SMALL, Answer, here, write
from commands import begun, fit

TOLD = SMALL.replace("latent_size: 4", "latent_size: 4\n    conditional: true")
QUICK = ("--steps", "5", "--per_class", "3", "--batch", "16")


def study(home: Path, *arguments: str | Path) -> Answer:
    return here("study", "augmentation", *arguments, folder=home, PYTHONPATH=str(REPOSITORY))


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answer]:
    home = tmp_path_factory.mktemp("home")
    write(home, TOLD, "told.yaml")
    counts = ("--counts", "20", "--seeds", "0-1")
    return home, study(home, "told.yaml", *counts, *QUICK, "--local", "--jobs", "2")


@pytest.mark.slow
def test_a_run_is_trained_for_each_number_and_seed_and_the_table_shown(studied: tuple[Path, Answer]) -> None:
    home, answer = studied
    assert answer.code == 0, answer
    rows = [line for line in answer.out.splitlines() if line.startswith("| digits/told")]
    assert [re.split(r"\s*\|\s*", row)[2:4] for row in rows] == [["20", "2"]]
    found = [json.loads(path.read_text()) for path in sorted(home.rglob("augmentation.json"))]
    assert sorted((each["reals"], each["seed"]) for each in found) == [(20, 0), (20, 1)]
    assert all(each["budget"] == {"steps": 5, "batch": 16, "rate": 2e-3, "per_class": 3} for each in found)
    assert answer.out.count("samples beside reals") == 1
    configs = [path.read_text() for path in home.glob("runs/digits/told/*/config.yaml")]
    assert sorted(re.findall(r"draw: (\d+)", "".join(configs))) == ["0", "1"]


@pytest.mark.slow
def test_what_is_done_is_not_done_again_and_what_is_missing_is_told(studied: tuple[Path, Answer]) -> None:
    home, first = studied
    copied = home.with_name("copied")
    shutil.copytree(home, copied)
    (launch,) = (copied / "runs" / "launches").iterdir()
    files = {path: path.stat().st_mtime_ns for path in copied.rglob("augmentation.json")}
    lost = min(files)
    content = json.loads(lost.read_text())
    lost.unlink()
    again = study(copied, launch, *QUICK)
    assert again.code == 0, again
    table = [line for line in first.out.splitlines() if line.startswith("|")]
    assert [line for line in again.out.splitlines() if line.startswith("|")] == table
    kept = {path: path.stat().st_mtime_ns for path in files}
    assert {path for path in files if kept[path] != files[path]} == {lost}
    same = json.loads(lost.read_text())
    assert {**same, "seconds": 0} == {**content, "seconds": 0}
    shutil.rmtree(min(copied.glob("runs/digits/told/*")) / "checkpoints")
    (min(copied.glob("runs/digits/told/*")) / "augmentation.json").unlink()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("told")
    assert fit("--config", write(home, TOLD), folder=home).code == 0
    begun(home).rename(home / "told")
    assert fit("--config", write(home, SMALL), folder=home).code == 0
    begun(home).rename(home / "untold")
    return home


def test_a_single_run_is_given_its_classifiers(told: Path) -> None:
    answer = study(told, "told", *QUICK, "--json")
    assert answer.code == 0, answer
    (row,) = json.loads(answer.out)["rows"]
    assert row["reals"] == 1497
    assert set(row["accuracies"]) == {"reals", "moved", "samples", "both", "moved_both"}
    assert all(0 <= value <= 1 for values in row["accuracies"].values() for value in values)
    assert "one seed says nothing" in row["findings"][0]


def test_runs_that_are_not_done_are_told_and_left(told: Path) -> None:
    shutil.copytree(told / "told", told / "stopped")
    (told / "stopped" / "augmentation.json").unlink(missing_ok=True)
    status = json.loads((told / "stopped" / "status.json").read_text())
    (told / "stopped" / "status.json").write_text(json.dumps(status | {"state": "preempted"}))
    answer = study(told, "stopped", *QUICK)
    assert answer.code == 0, answer
    assert "stopped: stopped, without classifiers" in answer.out
    assert not (told / "stopped" / "augmentation.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["untold"], "R3GAN tells its samples no class"),
        (["nowhere"], "There is no nowhere"),
        (["told", "small.yaml"], "not both at once"),
        (["small.yaml", "--local", "--counts", "ten"], "'ten' are no numbers of reals"),
        (["small.yaml", "--local", "--counts", "0"], "'0' are no numbers of reals"),
        (["told", "--steps", "0"], "--steps"),
    ],
    ids=str,
)
def test_what_cannot_be_studied_is_refused_in_a_sentence(
    arguments: list[str], words: str, told: Path
) -> None:
    answer = study(told, *arguments)
    assert answer.code == 2, answer
    assert words in answer.err
    assert len(answer.err.splitlines()) <= 3


def test_a_dry_run_shows_what_is_trained_and_what_follows(told: Path) -> None:
    answer = study(told, "small.yaml", "--counts", "20,all", "--seeds", "3-4", "--dry-run", *QUICK)
    assert answer.code == 0, answer
    assert answer.out.count("-seed3") == answer.out.count("-seed4") == 2
    last = answer.out.splitlines()[-1]
    assert last.endswith('-m ganlab study augmentation "$run" --steps=5 --batch=16 --per_class=3 || exit')
    assert not list(told.glob("runs/digits/small/*-seed3"))
