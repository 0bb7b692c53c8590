"""`ganlab launch`: many runs, planned without a GPU, run by SLURM or here, and the states that it shows."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import slurm_cluster
import torch
import yaml
from command_line import REPOSITORY, SMALL, here, write
from fuzzing import within

from ganlab.callbacks.evaluation import SAMPLES
from ganlab.cli import launch
from ganlab.cli.launch import PlannedRun, combinations, parse_seeds
from ganlab.cli.run_folder import RunFolder
from ganlab.errors import Refused
from ganlab.metrics import Classifier
from ganlab.metrics.scorer import Scorer
from ganlab.runs.state import RunState, state_of


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write(tmp_path)
    write(tmp_path, SMALL.replace("R3GAN", "HingeGAN"), "hinge.yaml")
    return tmp_path


def program(folder: Path, name: str, text: str) -> str:
    """Write a stand-in for a cluster's command; return a PATH on which it comes first."""
    (folder / "bin").mkdir(exist_ok=True)
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return f"{path.parent}{os.pathsep}{os.environ['PATH']}"


# What is planned


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", [0]), ("0-3", [0, 1, 2, 3]), ("0,3,7-9", [0, 3, 7, 8, 9]), (" 1 , 2", [1, 2])],
)
def test_seeds_are_numbers_and_ranges(text: str, expected: list[int]) -> None:
    assert parse_seeds(text) == expected


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "1;2"])
def test_what_are_no_seeds_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="--seeds 0-4"):
        parse_seeds(text)


SHAPE = {"nodes": "2", "gpus-per-node": "8", "cpus-per-task": "6", "time": "4:00:00", "partition": "gpu"}


def test_crossed_values_are_all_combined() -> None:
    crossed = ["a=[1, x]", "model.penalty_terms=[[], [R1, {class_path: R2, init_args: {gamma: 0.1}}]]"]
    second = 'model.penalty_terms=["R1", {"class_path": "R2", "init_args": {"gamma": 0.1}}]'
    empty = "model.penalty_terms=[]"
    assert combinations([]) == [()]
    assert combinations(crossed) == [("a=1", empty), ("a=1", second), ("a=x", empty), ("a=x", second)]


@pytest.mark.parametrize("text", ["a", "a=", "a=1", "=[1]", "a=[]", "a=[1", "a={b: 1}"])
def test_what_holds_no_values_to_cross_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="names no values"):
        combinations([text])


def test_a_dry_run_prints_the_script_and_makes_nothing(home: Path) -> None:
    answer = here(
        *("launch", "small.yaml", "hinge.yaml", "--seeds", "0-1", "--dry-run"),
        *(f"--{name}={value}" for name, value in SHAPE.items()),
        *("--sbatch", "--mem=40G account=me", "--setup", "module load cuda"),
        folder=home,
    )
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0] == "#!/bin/bash"
    options = dict(
        re.match(r"#SBATCH --([\w-]+)=?(.*)", line).groups() for line in lines if "#SBATCH" in line
    )
    assert options["array"] == "0-3"
    expected = {"ntasks-per-node": "8", "account": "me", "mem": "40G", "requeue": "", "signal": "USR1@120"}
    for key, value in {**SHAPE, **expected}.items():
        assert options[key] == value, key
    assert "module load cuda" in lines
    listed = [line.strip() for line in lines[lines.index("runs=(") + 1 : lines.index(")")]]
    names = [tuple(re.fullmatch(r".*/(\w+)/[\d-]+-seed(\d)", line).groups()) for line in listed]
    assert names == [("small", "0"), ("small", "1"), ("hinge", "0"), ("hinge", "1")]
    assert sys.executable in lines[-1]
    assert subprocess.run(["bash", "-n"], input=answer.out, text=True).returncode == 0
    assert not (home / "runs").exists()


def test_what_is_submitted_is_kept_beside_the_runs_which_hold_all_they_need(home: Path) -> None:
    path = program(home, "sbatch", f'echo "$@" > {home}/submitted; echo "77;cluster"')
    answer = here(
        *("launch", "small.yaml", "--seeds", "3,5", "--set", "model.gamma=2", "--set", "trainer.max_steps=9"),
        *("--nodes", "2", "--tasks-per-node", "4"),
        folder=home,
        PATH=path,
    )
    assert answer.code == 0, answer.err
    (folder,) = (home / "runs" / "launches").iterdir()
    script = folder / "job.sh"
    assert (home / "submitted").read_text().split() == ["--parsable", str(script.relative_to(home))]
    assert "77" in answer.out
    assert str(folder.relative_to(home)) in answer.out
    runs = [folder.joinpath(line).resolve() for line in (folder / "runs.txt").read_text().splitlines()]
    for run, seed in zip(runs, (3, 5), strict=True):
        settings = yaml.safe_load((run / "config.yaml").read_text())
        assert settings["seed_everything"] == seed
        assert settings["model"]["init_args"]["gamma"] == 2
        trainer = settings["trainer"]
        assert (trainer["max_steps"], trainer["num_nodes"], str(trainer["devices"])) == (9, 2, "4")
        assert trainer["precision"] == "auto", "the node that trains chooses it"
        assert str(run) in script.read_text()
    rows = json.loads(here("launch", "--status", folder, "--json", folder=home, PATH=path).out)
    assert [row["state"] for row in rows] == ["queued", "queued"]


def test_a_users_own_files_go_along(home: Path) -> None:
    (home / "my_game.py").write_text("from ganlab.variants import R3GAN\n\nclass Mine(R3GAN):\n    pass\n")
    write(home, SMALL.replace("R3GAN", "my_game.Mine"), "mine.yaml")
    program(home, "sbatch", "echo 1")
    path = program(home, "sbatch", "echo 1")
    assert here("launch", "mine.yaml", folder=home, PATH=path).code == 0
    (copy,) = home.glob("runs/digits/mine/*/code/my_game.py")
    assert "Mine" in copy.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", ["Name an experiment"]),
        ("nowhere.yaml", ["nowhere.yaml", "ganlab list"]),
        ("small.yaml --set trainer.max_step=3", ["max_step", "max_steps"]),
        ("small.yaml --set model.gama=3", ["gama", "gamma"]),
        ("small.yaml --seeds x", ["--seeds 0-4"]),
        ("small.yaml --then nonsense", ["nonsense", "anomaly RUN"]),
        ("small.yaml --then sample", ["RUN stands for"]),
        ("small.yaml", ["sbatch", "--local"]),
        ("--status nowhere", ["nowhere"]),
    ],
)
def test_what_cannot_be_launched_is_refused(arguments: str, words: list[str], home: Path) -> None:
    path = "/nowhere" if "sbatch" in words else program(home, "sbatch", "echo 1")
    answer = here("launch", *arguments.split(), folder=home, PATH=path)
    assert answer.code == 2, answer
    assert 1 <= len(answer.err.splitlines()) <= 3, answer.err
    assert all(word in answer.err for word in words), answer.err
    assert not list(home.glob("runs/*/*/*"))


def test_what_slurm_refuses_is_told_in_its_words(home: Path) -> None:
    path = program(home, "sbatch", 'echo "sbatch: error: invalid partition specified: gpu" >&2; exit 1')
    answer = here("launch", "small.yaml", folder=home, PATH=path)
    assert answer.code == 2
    assert "invalid partition specified: gpu" in answer.err
    assert "job.sh" in answer.err


# On this machine


@pytest.mark.slow
def test_the_list_is_run_here_and_a_run_that_fails_is_told(home: Path) -> None:
    write(home, SMALL.replace("HingeGAN", "R3GAN").replace("critic_steps: 2", "accumulation: 3"), "bad.yaml")
    # Each run is a process of its own, which `python -m ganlab` starts; the launcher need not be one, too.
    launched = ("launch", "small.yaml", "bad.yaml", "--local", "--jobs", "2")
    done = here(*launched, folder=home, PYTHONPATH=str(REPOSITORY))
    assert done.code == 1, done
    states = {"small": "done", "bad": "failed"}
    (folder,) = (home / "runs" / "launches").iterdir()
    rows = json.loads(here("launch", "--status", folder, "--json", folder=home).out)
    assert {Path(row["run"]).parent.name: row["state"] for row in rows} == states
    good, bad = rows
    assert (good["step"], good["max_steps"]) == (7, 7)
    assert "cannot be cut into 3 equal parts" in bad["detail"]
    for name, state in states.items():
        assert re.search(rf"^{name}/\S+\s+{state}", done.out, re.MULTILINE), done.out
    run = home / good["run"]
    assert (run / "checkpoints" / "step-000000007.ckpt").exists()
    assert "run folder" in (run / "stdout.log").read_text()


@pytest.mark.slow
def test_one_interrupt_saves_all_that_run(home: Path) -> None:
    write(
        home,
        SMALL.replace("max_steps: 7", "max_steps: 1000000").replace("keep: 3", "keep: 10000"),
        "long.yaml",
    )
    command = [
        sys.executable,
        "-m",
        "ganlab",
        "launch",
        "long.yaml",
        "--seeds",
        "0-1",
        "--local",
        "--jobs",
        "2",
    ]
    with subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, text=True) as running:
        wait_for(lambda: len([*home.glob("runs/digits/*/*/checkpoints/step-000000003.ckpt")]) == 2, running)
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    for run in home.glob("runs/digits/long/*"):
        status = json.loads((run / "status.json").read_text())
        assert status["state"] == "preempted"
        assert (run / "checkpoints" / f"step-{status['step']:09d}.ckpt").exists()
    assert out.count("stopped") >= 2


# How runs share this machine; a stand-in plays each of them


NAMES = "3,MIG-12/0/1, GPU-ab"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Five runs of a third of a second, which note their GPUs, when they begin and end, and signals."""
    text = (
        "for run; do :; done; cd $run; trap 'echo $? > signal; exit 1' INT TERM\n"
        "echo $CUDA_VISIBLE_DEVICES > gpus; date +%s.%N > begin; i=0\n"
        "while [ $i -lt ${LASTING:-3} ]; do sleep 0.1; i=$((i+1)); done; date +%s.%N > end"
    )
    program(tmp_path, "python", text)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(seconds / 10))
    runs = [tmp_path / f"run{number}" for number in range(5)]
    for run in runs:
        run.mkdir()
    return runs


@pytest.mark.parametrize(("each", "given"), [(1, None), (1, NAMES), (2, NAMES)])
def test_no_gpu_is_given_to_two_runs_at_a_time(
    each: int, given: str | None, runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert launch.run_locally(runs, 4, *([each] if each > 1 else [])) == 0
    busy = [
        (gpu, *(float((run / name).read_text()) for name in ("begin", "end")))
        for run in runs
        for gpu in (run / "gpus").read_text().strip().split(",")
    ]
    assert len(busy) == each * len(runs)
    assert {gpu for gpu, *_ in busy} <= (set(NAMES.replace(" ", "").split(",")) if given else {"0", "1", "2"})
    for gpu in {gpu for gpu, *_ in busy}:
        times = sorted((begin, end) for name, begin, end in busy if name == gpu)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(times)), (gpu, times)


def test_an_error_while_states_are_shown_leaves_no_run_behind(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LASTING", "600")

    def broken(seconds: float) -> None:
        if (runs[1] / "begin").exists():
            raise RuntimeError("of any kind")

    monkeypatch.setattr(time, "sleep", broken)
    with pytest.raises(RuntimeError, match="of any kind"), within(20):
        launch.run_locally(runs, 2)
    assert sorted(run.name for run in runs if (run / "signal").exists()) == ["run0", "run1"]
    assert not (runs[2] / "begin").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_reaches_all_that_run(
    number: signal.Signals, runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LASTING", "600")

    def request(seconds: float) -> None:
        if (runs[1] / "begin").exists():
            os.kill(os.getpid(), number)

    monkeypatch.setattr(time, "sleep", request)
    with within(20):
        assert launch.run_locally(runs, 2) == (130 if number == signal.SIGINT else 75)
    assert not (runs[2] / "begin").exists()
    assert all(state_of(run).state == "failed" for run in runs[:2]), "they have ended"


def test_a_run_that_cannot_be_started_is_told_and_the_others_run(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    runs[0].rmdir()
    assert launch.run_locally(runs[:3], 2) == 1
    assert "run0 could not be started" in capsys.readouterr().err
    assert all((run / "end").exists() for run in runs[1:3])


def test_what_follows_a_run_comes_after_it_and_only_where_it_came_to_its_end(
    runs: list[Path], tmp_path: Path
) -> None:
    program(tmp_path, "python", "for run; do :; done; cd $run; echo $3 >> calls; [ $3 != $(cat fails) ]")
    for run, word in zip(runs[:3], ("nothing", "fit", "sample"), strict=True):
        (run / "fails").write_text(word)
    then = [["sample", "--out", "RUN/x", "RUN"], ["anomaly", "RUN"]]
    assert launch.run_locally(runs[:3], 2, 1, then) == 1
    calls = [(run / "calls").read_text().split() for run in runs[:3]]
    assert calls == [["fit", "sample", "anomaly"], ["fit"], ["fit", "sample"]]


def test_the_script_has_what_follows_a_run(home: Path) -> None:
    then = ("--then", "anomaly RUN --out 'RUN/what is found'", "--then", "ganlab evaluate RUN")
    answer = here("launch", "small.yaml", "--dry-run", *then, folder=home)
    assert answer.code == 0, answer
    fit, found, scored = [shlex.split(line) for line in answer.out.splitlines()[-3:]]
    assert fit[-2:] == ["||", "exit"]
    assert found[1:] == ["-m", "ganlab", "anomaly", "$run", "--out", "$run/what is found", "||", "exit"]
    assert scored[1:] == ["-m", "ganlab", "evaluate", "$run", "||", "exit"]


@pytest.mark.parametrize("option", ["--jobs", "--nodes", "--tasks-per-node", "--cpus-per-task"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "1e99", "9" * 30])
def test_nothing_cannot_be_counted_on(option: str, value: str, home: Path) -> None:
    answer = here("launch", "small.yaml", "--local", option, value, folder=home)
    assert answer.code == 2, answer
    assert option in answer.err
    assert len(answer.err.splitlines()) <= 3, answer.err


# The states of runs


def state_with(home: Path, status: dict[str, Any] | None, queued: str | None, err: str = "") -> RunState:
    run = home / "run"
    run.mkdir(exist_ok=True)
    for name in ("status.json", "stderr.log"):
        (run / name).unlink(missing_ok=True)
    if status:
        defaults = {
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "time": time.time(),
            "step": 5,
            "max_steps": 9,
        }
        (run / "status.json").write_text(json.dumps(defaults | status))
    if err:
        (run / "stderr.log").write_text(err)
    return state_of(run, queued)


@pytest.mark.parametrize(
    ("status", "queued", "state"),
    [
        (None, "PENDING", "queued"),
        (None, "RUNNING", "starting"),
        (None, None, "queued"),
        ({"state": "starting"}, None, "starting"),
        ({"state": "starting", "pid": 2**22 + 1}, None, "failed"),
        ({"state": "running"}, "RUNNING", "running"),
        ({"state": "running"}, None, "running"),
        ({"state": "running", "host": "other"}, None, "running"),
        ({"state": "running", "host": "other", "time": 0}, None, "failed"),
        ({"state": "running", "pid": 2**22 + 1}, None, "failed"),
        ({"state": "running"}, "", "failed"),
        ({"state": "running"}, "PENDING", "queued"),
        ({"state": "preempted"}, "PENDING", "queued"),
        ({"state": "preempted"}, "RUNNING", "starting"),
        ({"state": "preempted"}, "", "stopped"),
        ({"state": "preempted"}, None, "stopped"),
        ({"state": "done"}, "", "done"),
        ({"state": "failed", "error": "The term 'r1' became nan"}, "", "failed"),
    ],
)
def test_a_runs_state_is_its_own_word_and_slurms(
    status: dict[str, Any] | None, queued: str | None, state: str, tmp_path: Path
) -> None:
    assert state_with(tmp_path, status, queued).state == state


def test_a_run_that_ended_without_a_word_is_told_by_its_last_line(tmp_path: Path) -> None:
    log = "step 4/9  generator 1\nslurmstepd: error: Detected 1 oom-kill event(s)\n\n"
    assert (
        state_with(tmp_path, {"state": "running"}, "", log).detail
        == "slurmstepd: error: Detected 1 oom-kill event(s)"
    )
    state = state_with(tmp_path, None, "", "ganlab: There is no folder data\n")
    assert (state.state, state.detail) == ("failed", "ganlab: There is no folder data")
    refusal = "ganlab: batch_size 8 cannot be cut into 3.\nChoose a multiple of 3.\n"
    assert state_with(tmp_path, None, "", refusal).detail == refusal.splitlines()[0]
    assert state_with(tmp_path, None, "", f"{refusal}{log}").detail.startswith("slurmstepd")
    state = state_with(tmp_path, {"state": "failed", "error": "The term 'r1' became nan"}, "", log)
    assert state.detail == "The term 'r1' became nan"


@pytest.mark.parametrize("written", ["relative", "older"])
def test_a_launch_is_told_alike_from_everywhere(
    written: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In older lists runs are named relative to where they were launched from."""
    path = program(home, "sbatch", "echo 77")
    assert here("launch", "small.yaml", "--runs", "some/runs", folder=home, PATH=path).code == 0
    (folder,) = home.glob("some/runs/launches/*")
    (run,) = home.glob("some/runs/digits/small/*")
    (folder / "job.txt").unlink()
    (run / "status.json").write_text('{"state": "done", "step": 7, "max_steps": 7}')
    if written == "older":
        (folder / "runs.txt").write_text(f"{run.relative_to(home)}\n")
    for place in (home, folder, run, Path("/")):
        launched = os.path.relpath(folder, place)
        (row,) = json.loads(here("launch", "--status", launched, "--json", folder=place).out)
        assert (row["state"], row["step"]) == ("done", 7), place
        assert (place / row["run"]).resolve() == run


def test_where_slurm_does_not_answer_the_runs_own_word_counts(home: Path) -> None:
    folder = home / "launch"
    folder.mkdir()
    (folder / "job.txt").write_text("77")
    (folder / "runs.txt").write_text("".join(f"{folder / str(number)}\n" for number in range(4)))
    reported = ("running", 5), ("running", 3600), ("done", 3600), ("preempted", 60)
    for number, (state, age) in enumerate(reported):
        (folder / str(number)).mkdir()
        status = {"state": state, "host": "other", "pid": 1, "time": time.time() - age, "step": 3}
        (folder / str(number) / "status.json").write_text(json.dumps(status))

    def told(squeue: str) -> list[tuple[str, str]]:
        path = program(home, "squeue", squeue)
        answer = here("launch", "--status", folder, "--json", folder=home, PATH=path)
        assert answer.code == 0, answer
        return [(row["state"], row["detail"]) for row in json.loads(answer.out)]

    away = 'echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2; exit 1'
    lost = "SLURM does not answer; it was {} minutes ago"
    assert told(away) == [
        ("running", ""),
        ("unknown", lost.format("running 60")),
        ("done", ""),
        ("unknown", lost.format("preempted 1")),
    ]
    forgotten = 'echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1'
    assert [state for state, _ in told(forgotten)] == ["failed", "failed", "done", "stopped"]
    assert [state for state, _ in told("echo 0 RUNNING; echo 1 RUNNING; echo N/A; echo")][:2] == [
        "running"
    ] * 2


def test_foreign_words_are_shown_as_they_are(home: Path) -> None:
    """Brackets are no styles, and what a terminal would obey is spelt out."""
    run = home / "runs" / "digits" / "[red]x[y]" / "1-seed0"
    run.mkdir(parents=True)
    write(run, "", "config.yaml")
    status = {"state": "failed", "error": "no tensor of [/x] \x1b[31m", "step": 3}
    (run / "status.json").write_text(json.dumps(status))
    (run / "scores.jsonl").write_text('{"step": 3, "scores": {"[/fid]": 2}}\n')
    answer = here("launch", "--status", "runs", folder=home, COLUMNS="200")
    assert answer.code == 0, answer
    for words in ("[red]x[y]/1-seed0", "no tensor of [/x] \\x1b[31m", "[/fid] 2"):
        assert words in answer.out


def test_a_log_is_read_at_its_end_and_no_link_is_followed(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.seek(2**36)
        file.write(b"\xff\nkilled by \xff\nstep 5/9\n")
    status = {"state": "running", "pid": 2**22 + 1}
    state_with(tmp_path, status, None)
    log = tmp_path / "run" / "stderr.log"
    os.link(tmp_path / "huge", log)
    assert state_of(log.parent).detail == "killed by �"
    log.unlink()
    log.symlink_to(write(tmp_path, "secret", ".netrc"))
    assert state_of(log.parent).detail == "it ended without a word"
    log.unlink()
    os.mkfifo(log)
    with within(5):
        assert state_of(log.parent).detail == "it ended without a word"


# A real SLURM


LONG = SMALL.replace("max_steps: 7", "max_steps: 800, precision: 32-true").replace(
    "checkpoints: {every_n_steps: 3, keep: 3}", "checkpoints: {every_n_steps: 100}"
)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    if reason := slurm_cluster.missing():
        pytest.skip(reason)
    with slurm_cluster.cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


class Job:
    """A launch over both nodes."""

    def __init__(self, folder: Path, slurm: dict[str, str], *options: str) -> None:
        self.folder, self.slurm = folder, slurm
        write(folder, LONG)
        # The names of these nodes cannot be resolved.
        setup = "export MASTER_ADDR=127.0.0.1 OMP_NUM_THREADS=1"
        command = (
            "launch",
            "small.yaml",
            "--nodes",
            "2",
            "--tasks-per-node",
            "1",
            "--setup",
            setup,
            *options,
        )
        answer = here(*command, folder=folder, **slurm)
        assert answer.code == 0, answer.err
        (self.launched,) = (folder / "runs" / "launches").iterdir()
        self.number = (self.launched / "job.txt").read_text()
        (line,) = (self.launched / "runs.txt").read_text().split()
        self.run = (self.launched / line).resolve()

    def status(self) -> dict[str, Any]:
        answer = here("launch", "--status", self.launched, "--json", folder=self.folder, **self.slurm)
        return json.loads(answer.out)[0]

    def until(self, state: str, *, step: int = 0, seconds: int = 400) -> dict[str, Any]:
        """Wait until the run is in a state and has come to a step; return its status."""
        deadline = time.monotonic() + seconds
        while (status := self.status())["state"] != state or status["step"] < step:
            assert time.monotonic() < deadline, (
                status,
                self.run_command("scontrol", "show", "job", self.number),
                self.logs(),
            )
            time.sleep(0.3)
        return status

    def run_command(self, *command: str) -> str:
        environment = {**os.environ, **self.slurm}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60).stdout

    def logs(self) -> str:
        files = [*self.launched.glob("slurm-*.log"), self.run / "stdout.log", self.run / "stderr.log"]
        return "\n".join(path.read_text() for path in files if path.exists())

    def hurry(self) -> None:
        """Start the job now; one that was requeued would wait.

        A new credential of the second in which the old one was revoked counts as revoked, too.
        """
        time.sleep(1.5)
        self.run_command("scontrol", "update", f"jobid={self.number}_0", "starttime=now")


def last(run: Path) -> dict[str, Any]:
    return torch.load(max(run.glob("checkpoints/step-*.ckpt")), weights_only=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_requeued_job_of_two_nodes_ends_where_an_undisturbed_one_does(
    tmp_path: Path, slurm: dict[str, str]
) -> None:
    for name in ("calm", "disturbed"):
        (tmp_path / name).mkdir()
    calm = Job(tmp_path / "calm", slurm)
    assert calm.status()["state"] in ("queued", "starting", "running")
    assert calm.until("done")["step"] == 800

    job = Job(tmp_path / "disturbed", slurm)
    job.until("running", step=100)
    job.run_command("scontrol", "requeue", f"{job.number}_0")
    queued = job.until("queued")
    assert 100 <= queued["step"] < 800
    assert "saved" in queued["detail"]
    assert (job.run / "checkpoints" / f"step-{queued['step']:09d}.ckpt").exists()
    job.hurry()
    job.until("running", step=queued["step"])
    assert job.until("done")["step"] == 800
    assert "not bit-for-bit" not in job.logs()

    expected, actual = (last(launched.run) for launched in (calm, job))
    assert expected["played"]["processes"] == actual["played"]["processes"] == 2
    for name, value in expected["state_dict"].items():
        assert torch.equal(value, actual["state_dict"][name]), name
    assert (calm.run / "metrics.csv").read_text() == (job.run / "metrics.csv").read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_at_the_end_of_its_time_a_job_requeues_itself_once_and_a_cancelled_one_stays_cancelled(
    tmp_path: Path, slurm: dict[str, str]
) -> None:
    job = Job(tmp_path, slurm, "--set", "trainer.max_steps=1000000")
    job.until("running", step=50)
    job.run_command("scancel", "--signal=USR1", f"{job.number}_0")
    saved = job.until("queued")["step"]
    job_info = job.run_command("scontrol", "show", "job", f"{job.number}_0")
    assert "Restarts=1" in job_info
    job.hurry()
    job.until("running", step=saved + 50)
    job.run_command("scancel", job.number)
    status = job.until("stopped")
    assert status["step"] > saved
    assert (job.run / "checkpoints" / f"step-{status['step']:09d}.ckpt").exists()
    time.sleep(3)
    assert "JobState=CANCELLED" in job.run_command("scontrol", "show", "job", f"{job.number}_0")
    assert job.status()["state"] == "stopped"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_script_by_hand_trains_and_goes_on_where_it_stopped(
    tmp_path: Path, slurm: dict[str, str]
) -> None:
    write(tmp_path, LONG)
    environment = {
        **os.environ,
        **slurm,
        "PYTHON": sys.executable,
        "MASTER_ADDR": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
    }

    def submit(*options: str) -> str:
        """The log of a job that is over."""
        shape = ["--wait", "--gpus-per-node=0", "--cpus-per-task=1", "--nodes=2", "--output=log.txt"]
        script = str(REPOSITORY / "scripts" / "slurm.sh")
        command = ["sbatch", *shape, script, "small.yaml", *options]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280
        )
        log = (tmp_path / "log.txt").read_text()
        if done.returncode:  # An assertion would cut its middle out.
            pytest.fail(f"{done.stderr}\n{log}")
        return log

    first = submit("--trainer.max_steps", "400")
    (run,) = (tmp_path / "runs" / "digits" / "small").iterdir()
    assert "2 processes" in first
    assert last(run)["global_step"] == 400
    second = submit("--trainer.max_steps", "700")
    assert "from step-000000400.ckpt" in second
    assert [*(tmp_path / "runs" / "digits" / "small").iterdir()] == [run]
    assert last(run)["global_step"] == 700


def wait_for(happened: Any, running: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not happened():
        assert running.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)


# Sweeps


def test_the_sweep_runs_what_fit_accepts_and_asks_for_a_score_that_is_taken() -> None:
    sweep = yaml.safe_load((REPOSITORY / "scripts" / "sweep.yaml").read_text())
    chosen = {
        name: (values.get("values") or [values["min"]])[0] for name, values in sweep["parameters"].items()
    }
    command = [word for word in sweep["command"] if not word.startswith("${")]
    assert command[:4] == ["python", "-m", "ganlab", "fit"]
    options = [f"--{name}={value}" for name, value in chosen.items()]
    planned = PlannedRun.read([*command[3:], *options], RunFolder())
    settings = yaml.safe_load(planned.dump_settings())
    model = settings["model"]["init_args"]
    assert model["gamma"] == chosen["model.gamma"]
    assert model["generator_optimizer"]["init_args"]["lr"] == chosen["model.generator_optimizer.lr"]
    assert settings["seed_everything"] == chosen["seed_everything"]
    evaluation = settings["evaluation"]
    panel = Scorer(
        Classifier(evaluation["extractor"]["init_args"]["dataset"]),
        ("fid",),
        evaluation["samples"] or SAMPLES,
    )
    assert panel.directions == {sweep["metric"]["name"]: sweep["metric"]["goal"][:3]}
