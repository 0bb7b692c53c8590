"""What Weights & Biases and TensorBoard are told of a run, read back by their own readers."""

import json
import os
import pty
import re
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

SHOWN = GAME.replace("samples: {every_n_steps: 20", "samples: {every_n_steps: 5")
CHANGED = ("--model.gamma", "2")
SCORE = "fid40_pixels"


class Told(NamedTuple):
    """A run without an account, and what a server has of it after the one command that it names."""

    run: Path
    said: str
    beside: set[str]
    received: Received


def at_a_terminal(folder: Path, *options: str) -> str:
    """At which a question could be asked."""
    theirs, ours = pty.openpty()
    said = folder / "said"
    with said.open("w") as file:
        streams = {"stdin": ours, "stdout": file, "stderr": file}
        command = [COMMAND, "fit", "--config", write(folder, SHOWN, "game.yaml"), *options]
        done = subprocess.run(command, cwd=folder, env=bare(folder / "home"), **streams, timeout=300)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 0, said.read_text()
    return said.read_text()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("told")
    said = at_a_terminal(folder, "--trainer.logger", "WandbLogger", *CHANGED)
    beside = {path.name for path in folder.iterdir()}
    (command,) = set(re.findall(r"wandb sync .*", said))
    program = str(Path(COMMAND).with_name("wandb"))
    with serving() as received:
        environment = {**bare(folder / "home"), **received.environment}
        command = command.replace("wandb", shlex.quote(program), 1)
        done = subprocess.run(
            command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stderr
    return Told(begun(folder), said, beside, received)


# Weights & Biases


def test_it_needs_no_account_and_leaves_nothing_beside_the_run(told: Told) -> None:
    assert "works offline: no account is set up here" in told.said
    assert told.beside == {"game.yaml", "said", "home", "runs"}
    assert [int(row["step"]) for row in metrics(told.run) if row["generator"]] == [2, 4, 6, 8, 10, 12]
    assert "WARNING" not in told.said
    assert told.said.splitlines()[-2].endswith(f"wandb sync {relative(told.run)}/wandb/offline-run-*")


def relative(run: Path) -> Path:
    return run.relative_to(run.parents[3])


def test_it_is_told_the_whole_configuration_and_the_contract(told: Told) -> None:
    config = told.received.config
    for name, value in yaml.safe_load((told.run / "config.yaml").read_text()).items():
        assert config[name] == value, name
    assert config["model"]["init_args"]["gamma"] == 2
    (row, *_) = [json.loads(line) for line in (told.run / "scores.jsonl").read_text().splitlines()]
    assert config["contract"] == row["contract"]


def test_every_row_is_there_over_images(told: Told) -> None:
    axes = told.received.metrics
    assert axes["*"]["axis"] == axes[SCORE]["axis"] == "images"
    history = told.received.history
    seen = [row["images"] for row in history]
    assert seen == sorted(seen)
    kept = metrics(told.run)
    rows = {row["trainer/global_step"]: row for row in history if row.keys() >= TERMS | NORMS}
    assert [*rows] == [int(row["step"]) for row in kept if row["generator"]]
    for row in kept:
        for name, value in row.items():
            if value and name != "step":
                assert any(each.get(name) == float(value) for each in history), (name, value)
    assert not any("gradients" in name for row in history for name in row)


def test_the_summary_has_the_best_score_the_last_and_the_verdict(told: Told) -> None:
    rows = [json.loads(line) for line in (told.run / "scores.jsonl").read_text().splitlines()]
    scores = [row["scores"][SCORE] for row in rows]
    assert len(scores) == 3
    summary = told.received.summary
    assert summary[SCORE] == {"min": min(scores), "last": scores[-1]}
    assert summary["verdict"] == json.loads((told.run / "verdict.json").read_text())["verdict"]
    assert summary["seconds"] > 0
    assert summary["peak_memory"] > 2**20


def test_the_pictures_are_there(told: Told) -> None:
    kept = {int(path.stem[5:]): Image.open(path) for path in (told.run / "samples").glob("step-*.png")}
    assert kept.keys() == {5, 10, 13}
    shown = {row["trainer/global_step"]: row for row in told.received.history if "samples" in row}
    assert shown.keys() == kept.keys()
    for step, picture in kept.items():
        row = shown[step]
        assert row["images"] == step * 16
        sent = Image.open(BytesIO(told.received.files[row["samples"]["path"]]))
        assert np.array_equal(np.asarray(sent), np.asarray(picture))


def test_it_is_named_by_its_group_as_in_a_comparison(told: Told) -> None:
    about = told.received.about
    assert about["groupName"] == "game gamma=2"
    assert about["displayName"] == "game gamma=2-seed0"
    assert set(about["tags"]) == {"digits", "R3GAN"}


class Api:
    """Its server's, where it has one run."""

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


def test_a_comparison_reads_what_it_has_as_it_reads_the_run(told: Told) -> None:
    own, (theirs,) = read_run(told.run), read_wandb.read_project("wandb:me/gans", Api(told.received))
    assert not theirs.problems
    assert theirs.settings == own.settings
    for name in ("seed", "state", "data", "experiment", "step", "images", "max_steps"):
        assert vars(theirs)[name] == vars(own)[name], name
    assert [(each.step, each.images, each.scores, each.floor) for each in theirs.evaluations] == [
        (each.step, each.images, each.scores, each.floor) for each in own.evaluations
    ]
    assert [each.contract for each in theirs.evaluations] == [each.contract for each in own.evaluations]
    assert theirs.seconds == own.seconds
    assert theirs.images_per_second == own.images_per_second
    assert theirs.peak_memory == own.peak_memory
    assert theirs.terms == own.terms


def test_of_what_it_keeps_offline_all_rows_before_the_end_of_a_killed_process_are_read(
    told: Told, tmp_path: Path
) -> None:
    ((name, rows),) = wandb_files.starts(told.run)
    assert [row["images"] for row in rows] == [row["images"] for row in told.received.history]
    (kept,) = told.run.glob("wandb/offline-run-*/*.wandb")
    copy = tmp_path / kept.relative_to(told.run)
    copy.parent.mkdir(parents=True)
    for size in range(0, kept.stat().st_size, 997):
        copy.write_bytes(kept.read_bytes()[:size])
        ((its_name, before),) = wandb_files.starts(tmp_path)
        assert its_name == (name if before else its_name)
        assert before == rows[: len(before)]


def group(*options: Any, folder: Path) -> str:
    """That a run with these options would have: the last that is done there remembers it."""
    import wandb

    answer = fit("--trainer.logger", "WandbLogger", *options, folder=folder, WANDB_MODE="disabled")
    wandb.finish()
    assert answer.code == 0, answer.err
    run = max(folder.glob("runs/*/*/*"), key=lambda path: path.stat().st_ctime_ns)
    return json.loads((run / "wandb.json").read_text())["group"]


def test_groups_differ_where_a_comparisons_do_and_by_the_same_names(tmp_path: Path) -> None:
    config = write(tmp_path, SHOWN.replace("max_steps: 13", "max_steps: 1"), "game.yaml")
    names = {
        (): "game",
        ("--seed_everything", "3"): "game",
        ("--trainer.logger.project", "mine", "--samples.count", "9"): "game",
        ("--model.gamma", "2"): "game gamma=2",
        ("--model.generator.hidden", "[8]"): "game generator.hidden=[8]",
        ("--model.gamma", "2", "--data.batch_size", "4"): "game gamma=2 batch_size=4",
    }
    found = {given: group("--config", config, *given, folder=tmp_path) for given in names}
    assert {given: set(name.split(" ")) for given, name in found.items()} == {
        given: set(name.split(" ")) for given, name in names.items()
    }
    compared = groups.groups(map(read_run, find_run_folders([tmp_path / "runs"])))
    assert {each.name for each in compared} == set(found.values())
    assert {each.name: len(each.runs) + len(each.repeated) for each in compared}["game"] == 3


def test_a_run_that_is_repeated_or_goes_on_stays_in_its_group(tmp_path: Path) -> None:
    config = write(tmp_path, SHOWN.replace("max_steps: 13", "max_steps: 1"), "game.yaml")
    assert group("--config", config, *CHANGED, folder=tmp_path) == "game gamma=2"
    run = begun(tmp_path)
    assert group("--config", run / "config.yaml", "--seed_everything", "1", folder=tmp_path) == "game gamma=2"
    assert group("--config", run / "config.yaml", "--model.ema_half_life", "9", folder=tmp_path) == (
        "game gamma=2 ema_half_life=9"
    )
    assert group("--resume", run, "--trainer.max_steps", "2", folder=tmp_path) == "game gamma=2"
    # Of a run that W&B knows nothing of, nobody knows what its experiment's file had said.
    (run / "wandb.json").unlink()
    names = [group("--config", run / "config.yaml", *given, folder=tmp_path) for given in ((), CHANGED)]
    assert names[0] == names[1]
    assert re.fullmatch(r"game [0-9a-f]{6}", names[0])
    assert group("--config", run / "config.yaml", "--model.gamma", "3", folder=tmp_path) != names[0]


def test_a_run_that_is_launched_is_in_the_group_that_it_would_be_in_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, SHOWN.replace("max_steps: 13", "max_steps: 1").replace("32-true", "auto"), "game.yaml")
    told = ["--model.gamma=2", "--trainer.logger=WandbLogger", "--seed_everything=4"]
    run = PlannedRun.read(["fit", "--config", "game.yaml", *told], RunFolder()).write()
    assert group("--resume", run, folder=tmp_path) == "game gamma=2"
    assert begun(tmp_path) == run.resolve()


def test_a_workspace_shows_scores_of_groups_over_images_and_samples(tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[2] / "scripts" / "wandb_workspace.py"
    command = [sys.executable, str(script), "me/gans", "--score", "fid10k_mnist"]
    with serving() as received:
        environment = {**bare(tmp_path), **received.environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{received.address}/me/gans")
    (view,) = received.views
    assert view["section"]["settings"]["xAxis"] == "images"
    assert view["section"]["runSets"][0]["grouping"] == [{"section": "run", "name": "group"}]
    sections = view["section"]["panelBankConfig"]["sections"]
    panels = [panel["config"] for section in sections for panel in section["panels"]]
    assert panels[0]["metrics"] == ["fid10k_mnist"]
    assert panels[1]["metrics"] == ["fid10k_mnist.min"]
    assert any(panel.get("mediaKeys") == ["samples"] for panel in panels)
    told = {name for panel in panels for name in panel.get("metrics", [])}
    assert TERMS - {"r1", "r2"} | NORMS <= told


# TensorBoard


def events(run: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    return found.Reload()


def assert_tells_all(run: Path) -> None:
    found = events(run)
    rows = metrics(run)
    for name in {name for row in rows for name, value in row.items() if value} - {"step"}:
        wanted = [(int(row["step"]), float(row[name])) for row in rows if row[name]]
        seen = [(each.step, each.value) for each in found.Scalars(name)]
        assert [step for step, _ in seen] == [step for step, _ in wanted], name
        assert np.allclose([value for _, value in seen], [value for _, value in wanted], rtol=1e-6), name
    assert [each.step for each in found.Images("samples")] == [5, 10, 13]
    for each in found.Images("samples"):
        shown = Image.open(BytesIO(each.encoded_image_string))
        kept = Image.open(run / "samples" / f"step-{each.step:09d}.png")
        assert np.array_equal(np.asarray(shown), np.asarray(kept.convert("RGB")))
    assert "verdict/text_summary" in found.Tags()["tensors"]


def test_tensorboard_by_one_line(tmp_path: Path) -> None:
    config = write(tmp_path, SHOWN, "game.yaml")
    assert fit("--config", config, "--trainer.logger", "TensorBoard", folder=tmp_path).code == 0
    assert_tells_all(begun(tmp_path))


def test_where_tensorboard_is_missing_a_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganlab.errors.find_spec", lambda name: None)
    config = write(tmp_path, SHOWN, "game.yaml")
    answer = fit("--config", config, "--trainer.logger", "TensorBoard", folder=tmp_path)
    assert answer.code == 2
    assert "pip install" in answer.err
    assert not [*tmp_path.glob("runs/*/*/*")]


def test_tensorboard_forgets_what_a_killed_run_comes_by_again(tmp_path: Path) -> None:
    config = write(tmp_path, SHOWN, "game.yaml")
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
    time.sleep(1)  # TensorBoard reads its files in the order of the seconds at which they were begun.
    assert fit("--resume", run, folder=tmp_path).code == 0
    assert_tells_all(run)
