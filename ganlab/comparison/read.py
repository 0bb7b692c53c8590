"""Find the folders of runs and read them: what is missing or garbled is reported, and the rest is used."""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

from ganlab.callbacks import nearest_reals, watchdog
from ganlab.comparison.settings import settings_of
from ganlab.errors import Refused
from ganlab.runs.folder import snake_case
from ganlab.runs.records import Scored, columns, evaluations
from ganlab.runs.state import LIST, launched_runs, state_of
from ganlab.runs.status import CLOCK, FILE, METRICS, SCORES, images_per_second, read_clock
from ganlab.system.row_files import Records, Table
from ganlab.system.untrusted import (
    below,
    is_within,
    json_object,
    number,
    readable,
    whole_number,
    yaml_config,
)


@dataclass
class Run:
    """A run's folder, or a run of Weights & Biases, as it was read.

    Attributes:
        source: Where it was read from: the folder's path, or entity/project/id.
        folder: None for one that is not on this machine.
        settings: The resolved configuration, flat (`model.init_args.gamma`), without seed, paths, devices,
            loggers and cadences.
        state: done, running, stopped, failed or queued (`ganlab.runs.state`).
        reason: Why it failed, or the watchdog's verdict if it collapsed; else empty.
        collapsed: The watchdog's verdict is that it collapsed.
        evaluations: In the order of their steps, of all contracts.
        terms: Columns of metrics.csv over `images`.
        problems: What could not be read, in words.
    """

    source: str
    folder: Path | None
    data: str
    experiment: str
    seed: int
    settings: dict[str, Any]
    state: str
    reason: str = ""
    collapsed: bool = False
    max_steps: int | None = None
    step: int = 0
    images: int = 0
    seconds: float | None = None
    images_per_second: float | None = None
    peak_memory: int | None = None
    hardware: str = ""
    command: str = ""
    evaluations: list[Scored] = field(default_factory=list)
    terms: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether it counts as finished: it reached its last step, or it collapsed and was stopped."""
        return self.state == "done" or (self.state == "stopped" and self.collapsed)


@dataclass
class Group:
    """Runs that differ in nothing but their seeds.

    Attributes:
        name: The experiment, and those settings that set it apart from the other groups of its name.
        differs: Of the settings that are not the same in all groups compared, this group's.
        repeated: Runs of a seed that another run here has as well, which would count it twice.
    """

    name: str
    runs: list[Run]
    differs: dict[str, Any] = field(default_factory=dict)
    repeated: list[Run] = field(default_factory=list)


# A folder with any of these files is, or was meant to be, a run's.
RUN_FILES = ("config.yaml", FILE, CLOCK, SCORES, METRICS)
STATES = ("done", "running", "stopped", "failed", "queued")
UNKNOWN = -1  # seed
FOLDER_NAME = re.compile(r"\d{8}-\d{6}-seed.*")


def find_run_folders(patterns: Iterable[str | Path]) -> list[Path]:
    """The folders of runs, each once, sorted by data, experiment and time.

    Args:
        patterns: Run folders, folders above them, launches, what W&B keeps in a run's folder, or globs.
    """
    by_real_path: dict[Path, Path] = {}
    for pattern in map(str, patterns):
        path = Path(pattern).expanduser()
        # A folder may have brackets in its name.
        paths = [path] if path.exists() else sorted(map(Path, glob.glob(str(path), recursive=True)))
        folders = [path.parent if path.is_file() else path for path in paths]
        runs = [run for folder in folders for run in _runs_in(folder)]
        if not runs:
            raise Refused(_why_no_runs(readable(pattern), folders))
        for run in runs:
            by_real_path.setdefault(run.resolve(), run)
    return sorted(by_real_path.values(), key=lambda run: (*run.parts[-3:-1], run.name, run.parts))


def _why_no_runs(pattern: str, folders: list[Path]) -> str:
    wandb_folder = next((place for folder in folders if (place := _wandbs_folder(folder))), None)
    if wandb_folder:
        return (
            f"{pattern} is what W&B kept of a run, without the run's own folder, which is compared.\n"
            f"Name that one, or: wandb sync {readable(wandb_folder)}\n"
            "and then: ganlab compare --from wandb:entity/project"
        )
    missing = f"There are no runs in {pattern}." if folders else f"There is no {pattern}."
    return f"{missing}\nA run is a folder with a config.yaml: ganlab compare runs/mnist/*/*"


def _wandbs_folder(folder: Path) -> Path | None:
    """The folder where W&B kept one start of a run, within this folder or around it; else None."""
    around = (folder.resolve().parent,) if _is_wandbs(folder) else ()
    return next((path.parent for place in (folder, *around) for path in place.rglob("*.wandb")), None)


def _is_wandbs(folder: Path) -> bool:
    """Whether W&B keeps files of its own there, a config.yaml among them, which is no run's."""
    folder = folder.resolve()
    return folder.name == "files" and any(folder.parent.glob("*.wandb"))


def _runs_in(path: Path) -> Iterator[Path]:
    """The runs that a launch's list names, else those in and below the folder."""
    if (path / LIST).is_file():
        yield from launched_runs(path)
        return
    for folder, folders, files in os.walk(_run_around(path) or path):
        is_run = any(name in files for name in RUN_FILES) and not _is_wandbs(Path(folder))
        if is_run:
            yield Path(folder)
        if is_run or any(name.endswith(".wandb") for name in files):
            folders.clear()
        folders.sort()


def _run_around(path: Path) -> Path | None:
    """The folder of the run that a folder of W&B belongs to; None if it is no such folder."""
    resolved = path.resolve()
    around = (folder.parent for folder in (resolved, *resolved.parents) if folder.name == "wandb")
    return next((folder for folder in around if (folder / "config.yaml").is_file()), None)


def read_run(folder: Path) -> Run:
    """Read a run's folder; what cannot be read is listed in its `problems`."""
    problems: list[str] = []
    config = yaml_config(folder / "config.yaml", problems)
    status = json_object(folder / FILE, problems)
    clock = read_clock(folder, problems)
    evaluated = evaluations(Records(folder / SCORES).read(problems), clock, problems)
    logged = Table(folder / METRICS).read(problems)
    terms = columns(logged, "images")
    terms.pop("step", None)
    for name in ("samples", nearest_reals.FOLDER):
        if not is_within(folder / name, folder):
            problems.append(f"{name} is a link that leaves the run's folder: its pictures are left out")
    data, experiment = _data_and_experiment(folder, config)
    run = Run(
        source=readable(folder),
        folder=folder,
        data=data,
        experiment=experiment,
        seed=_seed(folder, config),
        settings=settings_of(config, images_per_turn(config, clock)) if config else {},
        state="",
        max_steps=whole_number(below(config, "trainer", "max_steps"))
        or whole_number(status.get("max_steps")),
        hardware=describe_hardware(_environments(folder, problems), below(config, "trainer", "accelerator")),
        command=readable(shlex.join(["ganlab", "fit", "--config", str(folder / "config.yaml")])),
        evaluations=evaluated,
        terms=terms,
        problems=problems,
    )
    rows = [status, *clock, *logged, *map(vars, evaluated)]
    run.step, run.images = (
        max(whole_number(row.get(name)) or 0 for row in rows) for name in ("step", "images")
    )
    _set_speed(run, clock, status)
    _set_state(run, status, json_object(folder / watchdog.FILE, problems))
    return run


def images_per_turn(config: dict[str, Any], clock: list[dict[str, Any]]) -> int | None:
    """Real images in a discriminator's turn over all processes, as recorded; None if it is not known.

    Where the discriminator rests it is shown none: what counts is the rows between which it was shown most.
    The configuration says how many a process takes, and the records how many processes there were.
    """
    turns = whole_number(below(config, "model", "init_args", "critic_steps"))
    rows = [{"step": 0, "images": 0}, *clock]
    rates = [
        (after["images"] - before["images"]) / (after["step"] - before["step"])
        for before, after in pairwise(rows)
        if after["step"] > before["step"]
    ]
    if not turns or not rates:
        return None
    most = max(rates) / turns
    size = whole_number(below(config, "data", "init_args", "batch_size"))
    return ceil(most / size) * size if size else round(most)


def _data_and_experiment(folder: Path, config: dict[str, Any]) -> tuple[str, str]:
    """The names of the run's data and experiment, by its configuration and its folder's path."""
    path = folder.resolve()
    classes = [str(below(config, part, "class_path") or "").rsplit(".", 1)[-1] for part in ("data", "model")]
    data, variant = map(snake_case, classes)
    is_default = FOLDER_NAME.fullmatch(path.name)  # data/experiment/time-seed, not a folder that a user named
    experiment = path.parent.name if is_default or not variant else variant
    return readable(data or path.parent.parent.name), readable(experiment)


def _seed(folder: Path, config: dict[str, Any]) -> int:
    in_name = re.search(r"-seed(\d{1,18})", folder.name)
    seed = whole_number(config.get("seed_everything"))
    return seed if seed is not None else int(in_name[1]) if in_name else UNKNOWN


def _environments(folder: Path, problems: list[str]) -> list[dict[str, Any]]:
    """The run's environment files, one for each start, in order."""
    paths = sorted(folder.glob("environment*.json"), key=lambda path: (len(path.name), path.name))
    return [json_object(path, problems) for path in paths]


def describe_hardware(environments: Iterable[dict[str, Any]], accelerator: Any) -> str:
    """The GPUs, else the CPU, of each of a run's starts, in order: `2 x NVIDIA A100, then 1 x …`."""
    machines = []
    for environment in environments:
        gpus, cpu, cores = environment.get("gpus"), environment.get("cpu"), environment.get("cores")
        if isinstance(gpus, list) and gpus and accelerator != "cpu":
            names = dict.fromkeys(map(readable, gpus))
            machines.append(", ".join(f"{gpus.count(name)} x {name}" for name in names))
        elif cpu:
            machines.append(f"{readable(cpu)}, {cores} cores" if whole_number(cores) else readable(cpu))
    return ", then ".join(dict.fromkeys(machines))


def _set_speed(run: Run, clock: list[dict[str, Any]], status: dict[str, Any]) -> None:
    """Fill in memory, seconds, and images per second: over the whole clock, else as last reported."""
    run.images_per_second = number(status.get("images_per_second")) or None
    memory = [size for row in clock if (size := whole_number(row.get("memory")))]
    run.peak_memory = max(memory, default=None)
    if not clock:
        return
    run.seconds = clock[-1]["seconds"]
    run.images_per_second = images_per_second(clock) or run.images_per_second


def _set_state(run: Run, status: dict[str, Any], verdict: dict[str, Any]) -> None:
    """Fill in the run's state, and the reason if it failed or collapsed."""
    assert run.folder
    state = state_of(run.folder)
    run.state = "running" if state.state == "starting" else state.state
    if run.state == "unknown" and status:
        run.problems.append(f"how it ended is not known: {FILE} is garbled")
    if not status and run.step and run.state in ("unknown", "queued"):
        run.state = "done" if run.max_steps and run.step >= run.max_steps else "stopped"
    run.state = run.state if run.state in STATES else "stopped"
    run.collapsed = verdict.get("collapsed") is True
    reasons = state.detail if run.state == "failed" else "", verdict.get("verdict") if run.collapsed else ""
    run.reason = readable("; ".join(str(reason) for reason in reasons if reason))
