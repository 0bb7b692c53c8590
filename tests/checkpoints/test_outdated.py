"""Files of ganlab 0.1 are refused with a sentence, but its runs are still compared."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import contents, here, refused
from trained_runs import SCORED, export_run, train_run

import ganlab
from ganlab.errors import Refused

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and its export, by this version."""
    home = tmp_path_factory.mktemp("current")
    export_run(train_run(home, SCORED), home / "export")
    return home


@pytest.fixture
def outdated(current: Path, tmp_path: Path) -> Path:
    """The same folder as ganlab 0.1 would have written it."""
    home = shutil.copytree(current, tmp_path / "outdated")
    (run,) = (home / "runs").glob("*/*/*")
    shutil.move(run, home / "run")
    shutil.rmtree(home / "runs")
    environment = json.loads((home / "run" / "environment.json").read_text())
    (home / "run" / "environment.json").write_text(json.dumps({**environment, "ganlab": "0.1.0"}))
    for path in (home / "run" / "checkpoints").iterdir():
        content = torch.load(path, weights_only=True)
        del content["ganlab"]
        torch.save(content, path)
    config = json.loads((home / "export" / "config.json").read_text())
    (home / "export" / "config.json").write_text(json.dumps({**config, "format": 1, "ganlab": "0.1.0"}))
    return home


@pytest.mark.parametrize(
    "command",
    [
        "sample run --out grid.png",
        "sample run --out grid.png --trust_code",
        "sample run/checkpoints/best.ckpt --out grid.png",
        "sample export --out grid.png",
        "export run --out other",
        "export run/checkpoints/best.ckpt --out other",
        "evaluate run --samples 40",
        "evaluate run/checkpoints/best.ckpt --samples 40",
        "evaluate export --reference Digits --extractor Pixels --samples 40",
        "fit --resume run",
        "fit --resume run/checkpoints/best.ckpt",
        "fit --rollback run",
        "fit --rollback run/checkpoints/best.ckpt",
        "fit --config small.yaml --init_from run",
        "fit --config small.yaml --init_from run/checkpoints/best.ckpt",
    ],
)
def test_it_is_refused_and_left_as_it_was(command: str, outdated: Path) -> None:
    before = contents(outdated)
    message = refused(here(*command.split(), folder=outdated), outdated)
    assert "was written by ganlab 0.1" in message
    assert 'pip install "ganlab<0.2"' in message
    assert "ganlab compare" in message
    assert contents(outdated) == before


@pytest.mark.parametrize("what", ["run", "run/checkpoints/best.ckpt", "export"])
@pytest.mark.parametrize("trusted", [False, True])
def test_python_refuses_it_too(what: str, trusted: bool, outdated: Path) -> None:
    with pytest.raises(Refused, match=r"ganlab 0\.1"):
        ganlab.load(outdated / what, trust_code=trusted)


def test_a_run_that_was_killed_before_its_first_checkpoint_is_refused_too(outdated: Path) -> None:
    shutil.rmtree(outdated / "run" / "checkpoints")
    before = contents(outdated)
    assert "ganlab 0.1" in refused(here("fit", "--resume", "run", folder=outdated), outdated)
    assert contents(outdated) == before


def test_its_records_are_compared(outdated: Path, current: Path) -> None:
    (run,) = (current / "runs").glob("*/*/*")
    one, other = (compare_run(path, outdated) for path in (outdated / "run", run))
    assert one["problems"] == other["problems"] == []
    assert [row["step"] for row in one["evaluations"]] == [4, 7]
    assert one["evaluations"] == other["evaluations"]


def compare_run(run: Path, folder: Path) -> dict[str, Any]:
    answer = here("compare", run, "--json", folder=folder)
    assert answer.code == 0, answer
    ((result,),) = (group["runs"] for group in json.loads(answer.out)["groups"])
    return result
