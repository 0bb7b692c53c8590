"""What is logged of a run to Weights & Biases and TensorBoard, read back by their own readers."""

import json
import os
import pty
import re
import runpy
import shlex
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from command_line import COMMAND, NORMS, TERMS, metrics, write
from commands import GAME, KILLED, Command, at, bare, begun, end_all, fit
from PIL import Image
from wandb_server import Received, serving

from ganlab.cli.launch import PlannedRun
from ganlab.cli.run_folder import RunFolder
from ganlab.comparison import groups, read_wandb
from ganlab.comparison.read import find_run_folders, read_run
from ganlab.loggers import wandb_files
from ganlab.testing.processes import forking

CONFIG = GAME.replace("samples: {every_n_steps: 20", "samples: {every_n_steps: 5")
CHANGED = ("--model.gamma", "2")
SCORE = "fid40_pixels"


class SyncedRun(NamedTuple):
    """A run without a W&B account, sent to a server afterwards by the command that it printed.

    Attributes:
        output: What the run printed.
        files: The names of the files beside `runs`.
        received: What the server has received.
    """

    run: Path
    output: str
    files: set[str]
    received: Received


# A patch that makes a terminal a command's input, and one file of what it prints.
AT_A_TERMINAL = """
import os, sys
os.dup2(os.open({terminal!r}, os.O_RDWR | os.O_NOCTTY), 0)
sys.stdin = open(0)
os.dup2(1, 2)
"""


def fit_at_a_terminal(folder: Path, *options: str) -> str:
    """Train at a terminal, where a question could be asked, and return the output."""
    forking()  # Else its imports would leave files in this command's home.
    controller, terminal = pty.openpty()
    command = Command(
        *("fit", "--config", write(folder, CONFIG, "game.yaml"), *options),
        folder=folder,
        patch=AT_A_TERMINAL.format(terminal=os.ttyname(terminal)),
        HOME=str(folder / "home"),
        GANLAB_CACHE=str(folder / "home" / "cache"),
    )
    answer = command.end(timeout=300)
    os.close(controller)
    os.close(terminal)
    assert answer.code == 0, answer
    return answer.out


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> SyncedRun:
    folder = tmp_path_factory.mktemp("synced")
    output = fit_at_a_terminal(folder, "--trainer.logger", "WandbLogger", *CHANGED)
    files = {path.name for path in folder.iterdir() if not path.name.startswith(".output-")}
    (command,) = set(re.findall(r"wandb sync .*", output))
    program = str(Path(COMMAND).with_name("wandb"))
    with serving() as received:
        environment = {**bare(folder / "home"), **received.environment}
        command = command.replace("wandb", shlex.quote(program), 1)
        done = subprocess.run(
            command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stderr
    return SyncedRun(begun(folder), output, files, received)


# Weights & Biases


def test_it_needs_no_account_and_leaves_nothing_beside_the_run(synced: SyncedRun) -> None:
    assert "works offline: no account is set up here" in synced.output
    assert synced.files == {"game.yaml", "home", "runs"}
    assert [int(row["step"]) for row in metrics(synced.run) if row["generator"]] == [2, 4, 6, 8, 10, 12]
    assert "WARNING" not in synced.output
    assert synced.output.splitlines()[-2].endswith(f"wandb sync {relative(synced.run)}/wandb/offline-run-*")


def relative(run: Path) -> Path:
    return run.relative_to(run.parents[3])


def test_the_whole_configuration_and_the_contract_are_logged(synced: SyncedRun) -> None:
    config = synced.received.config
    for name, value in yaml.safe_load((synced.run / "config.yaml").read_text()).items():
        assert config[name] == value, name
    assert config["model"]["init_args"]["gamma"] == 2
    (row, *_) = [json.loads(line) for line in (synced.run / "scores.jsonl").read_text().splitlines()]
    assert config["contract"] == row["contract"]


def test_every_row_is_logged_over_images(synced: SyncedRun) -> None:
    axes = synced.received.metrics
    assert axes["*"]["axis"] == axes[SCORE]["axis"] == "images"
    history = synced.received.history
    images = [row["images"] for row in history]
    assert images == sorted(images)
    recorded = metrics(synced.run)
    rows = {row["trainer/global_step"]: row for row in history if row.keys() >= TERMS | NORMS}
    assert [*rows] == [int(row["step"]) for row in recorded if row["generator"]]
    for row in recorded:
        for name, value in row.items():
            if value and name != "step":
                assert any(each.get(name) == float(value) for each in history), (name, value)
    assert not any("gradients" in name for row in history for name in row)


def test_the_summary_has_the_best_score_the_last_and_the_verdict(synced: SyncedRun) -> None:
    rows = [json.loads(line) for line in (synced.run / "scores.jsonl").read_text().splitlines()]
    scores = [row["scores"][SCORE] for row in rows]
    assert len(scores) == 3
    summary = synced.received.summary
    assert summary[SCORE] == {"min": min(scores), "last": scores[-1]}
    assert summary["verdict"] == json.loads((synced.run / "verdict.json").read_text())["verdict"]
    assert summary["seconds"] > 0
    assert summary["peak_memory"] > 2**20


def test_the_pictures_are_logged(synced: SyncedRun) -> None:
    saved = {int(path.stem[5:]): Image.open(path) for path in (synced.run / "samples").glob("step-*.png")}
    assert saved.keys() == {5, 10, 13}
    logged = {row["trainer/global_step"]: row for row in synced.received.history if "samples" in row}
    assert logged.keys() == saved.keys()
    for step, picture in saved.items():
        row = logged[step]
        assert row["images"] == step * 16
        sent = Image.open(BytesIO(synced.received.files[row["samples"]["path"]]))
        assert np.array_equal(np.asarray(sent), np.asarray(picture))


def test_a_wandb_run_is_named_by_its_group_as_in_a_comparison(synced: SyncedRun) -> None:
    about = synced.received.about
    assert about["groupName"] == "game gamma=2"
    assert about["displayName"] == "game gamma=2-seed0"
    assert set(about["tags"]) == {"digits", "R3GAN"}


class Api:
    """W&B's client for a server that has one run."""

    def __init__(self, received: Received) -> None:
        self.run = SimpleNamespace(
            id="b",
            name=received.about["displayName"],
            state="finished",
            config=received.config,
            summary=received.summary,
            metadata=json.loads(received.files["wandb-metadata.json"]),
            scan_history=lambda: iter(received.history),
        )

    def runs(self, project: str) -> list[Any]:
        return [self.run]


def test_a_comparison_reads_a_wandb_run_as_it_reads_its_folder(synced: SyncedRun) -> None:
    local, (remote,) = read_run(synced.run), read_wandb.read_project("wandb:me/gans", Api(synced.received))
    assert not remote.problems
    assert remote.settings == local.settings
    for name in ("seed", "state", "data", "experiment", "step", "images", "max_steps"):
        assert vars(remote)[name] == vars(local)[name], name
    assert [(each.step, each.images, each.scores, each.floor) for each in remote.evaluations] == [
        (each.step, each.images, each.scores, each.floor) for each in local.evaluations
    ]
    assert [each.contract for each in remote.evaluations] == [each.contract for each in local.evaluations]
    assert remote.seconds == local.seconds
    assert remote.images_per_second == local.images_per_second
    assert remote.peak_memory == local.peak_memory
    assert remote.terms == local.terms


def test_all_rows_of_a_cut_off_offline_file_are_read(synced: SyncedRun, tmp_path: Path) -> None:
    ((run_id, rows),) = wandb_files.starts(synced.run)
    assert [row["images"] for row in rows] == [row["images"] for row in synced.received.history]
    (file,) = synced.run.glob("wandb/offline-run-*/*.wandb")
    copy = tmp_path / file.relative_to(synced.run)
    copy.parent.mkdir(parents=True)
    for size in range(0, file.stat().st_size, 997):
        copy.write_bytes(file.read_bytes()[:size])
        ((id_read, rows_read),) = wandb_files.starts(tmp_path)
        assert id_read == (run_id if rows_read else id_read)
        assert rows_read == rows[: len(rows_read)]


def group(*options: Any, folder: Path) -> str:
    """The group of a run with these options, which is trained, and remembers it in its folder."""
    import wandb

    answer = fit("--trainer.logger", "WandbLogger", *options, folder=folder, WANDB_MODE="disabled")
    wandb.finish()
    assert answer.code == 0, answer.err
    run = max(folder.glob("runs/*/*/*"), key=lambda path: path.stat().st_ctime_ns)
    return json.loads((run / "wandb.json").read_text())["group"]


@pytest.mark.slow
def test_groups_differ_where_a_comparisons_do_and_by_the_same_names(tmp_path: Path) -> None:
    config = write(tmp_path, CONFIG.replace("max_steps: 13", "max_steps: 1"), "game.yaml")
    names = {
        (): "game",
        ("--seed_everything", "3"): "game",
        ("--trainer.logger.project", "mine", "--samples.count", "9"): "game",
        ("--model.gamma", "2"): "game gamma=2",
        ("--model.generator.hidden", "[8]"): "game generator.hidden=[8]",
        ("--model.gamma", "2", "--data.batch_size", "4"): "game gamma=2 batch_size=4",
    }
    actual = {options: group("--config", config, *options, folder=tmp_path) for options in names}
    assert {options: set(name.split(" ")) for options, name in actual.items()} == {
        options: set(name.split(" ")) for options, name in names.items()
    }
    compared = groups.groups(map(read_run, find_run_folders([tmp_path / "runs"])))
    assert {each.name for each in compared} == set(actual.values())
    assert {each.name: len(each.runs) + len(each.repeated) for each in compared}["game"] == 3


@pytest.mark.slow
def test_a_repeated_or_resumed_run_stays_in_its_group(tmp_path: Path) -> None:
    config = write(tmp_path, CONFIG.replace("max_steps: 13", "max_steps: 1"), "game.yaml")
    assert group("--config", config, *CHANGED, folder=tmp_path) == "game gamma=2"
    run = begun(tmp_path)
    assert group("--config", run / "config.yaml", "--seed_everything", "1", folder=tmp_path) == "game gamma=2"
    assert group("--config", run / "config.yaml", "--model.ema_half_life", "9", folder=tmp_path) == (
        "game gamma=2 ema_half_life=9"
    )
    assert group("--resume", run, "--trainer.max_steps", "2", folder=tmp_path) == "game gamma=2"
    # Without wandb.json it is not known which settings the experiment's file had.
    (run / "wandb.json").unlink()
    names = [group("--config", run / "config.yaml", *options, folder=tmp_path) for options in ((), CHANGED)]
    assert names[0] == names[1]
    assert re.fullmatch(r"game [0-9a-f]{6}", names[0])
    assert group("--config", run / "config.yaml", "--model.gamma", "3", folder=tmp_path) != names[0]


def test_a_launched_run_has_the_same_group_as_one_started_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, CONFIG.replace("max_steps: 13", "max_steps: 1").replace("32-true", "auto"), "game.yaml")
    options = ["--model.gamma=2", "--trainer.logger=WandbLogger", "--seed_everything=4"]
    run = PlannedRun.read(["fit", "--config", "game.yaml", *options], RunFolder()).write()
    assert group("--resume", run, folder=tmp_path) == "game gamma=2"
    assert begun(tmp_path) == run.resolve()


def test_a_workspace_shows_scores_of_groups_over_images_and_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Path(__file__).resolve().parents[2] / "scripts" / "wandb_workspace.py"
    monkeypatch.setattr(sys, "argv", [str(script), "me/gans", "--score", "fid10k_mnist"])
    with serving() as received:
        for name, value in {"HOME": str(tmp_path), **received.environment}.items():
            monkeypatch.setenv(name, value)
        runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out.startswith(f"{received.address}/me/gans")
    (view,) = received.views
    assert view["section"]["settings"]["xAxis"] == "images"
    assert view["section"]["runSets"][0]["grouping"] == [{"section": "run", "name": "group"}]
    sections = view["section"]["panelBankConfig"]["sections"]
    panels = [panel["config"] for section in sections for panel in section["panels"]]
    assert panels[0]["metrics"] == ["fid10k_mnist"]
    assert panels[1]["metrics"] == ["fid10k_mnist.min"]
    assert any(panel.get("mediaKeys") == ["samples"] for panel in panels)
    plotted = {name for panel in panels for name in panel.get("metrics", [])}
    assert TERMS - {"r1", "r2"} | NORMS <= plotted


# TensorBoard


def events(run: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    return reader.Reload()


def assert_all_is_logged(run: Path) -> None:
    logged = events(run)
    rows = metrics(run)
    for name in {name for row in rows for name, value in row.items() if value} - {"step"}:
        expected = [(int(row["step"]), float(row[name])) for row in rows if row[name]]
        scalars = [(each.step, each.value) for each in logged.Scalars(name)]
        assert [step for step, _ in scalars] == [step for step, _ in expected], name
        assert np.allclose([value for _, value in scalars], [value for _, value in expected], rtol=1e-6), name
    assert [each.step for each in logged.Images("samples")] == [5, 10, 13]
    for each in logged.Images("samples"):
        picture = Image.open(BytesIO(each.encoded_image_string))
        saved = Image.open(run / "samples" / f"step-{each.step:09d}.png")
        assert np.array_equal(np.asarray(picture), np.asarray(saved.convert("RGB")))
    assert "verdict/text_summary" in logged.Tags()["tensors"]


def test_tensorboard_by_one_line(tmp_path: Path) -> None:
    config = write(tmp_path, CONFIG, "game.yaml")
    assert fit("--config", config, "--trainer.logger", "TensorBoard", folder=tmp_path).code == 0
    assert_all_is_logged(begun(tmp_path))


def test_without_tensorboard_it_is_refused_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganlab.errors.find_spec", lambda name: None)
    config = write(tmp_path, CONFIG, "game.yaml")
    answer = fit("--config", config, "--trainer.logger", "TensorBoard", folder=tmp_path)
    assert answer.code == 2
    assert "pip install" in answer.err
    assert not [*tmp_path.glob("runs/*/*/*")]


def test_tensorboard_has_repeated_steps_once(tmp_path: Path) -> None:
    config = write(tmp_path, CONFIG, "game.yaml")
    patch = KILLED.format(before="game.trainer.loggers[1].experiment.flush()")
    command = Command(
        "fit", "--config", config, "--trainer.logger", "TensorBoard", folder=tmp_path, patch=patch
    )
    try:
        assert command.end().code not in (0, 1)
    finally:
        end_all()
    run = begun(tmp_path)
    assert at(run, 9).exists()
    assert not at(run, 10).exists()
    # TensorBoard reads its files in the order of the seconds at which they were begun.
    time.sleep(1 - time.time() % 1)
    assert fit("--resume", run, folder=tmp_path).code == 0
    assert_all_is_logged(run)
