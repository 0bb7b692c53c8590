"""What runs left behind, found and read back: what is missing or garbled is told, and the rest is used."""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganlab.callbacks import watchdog
from ganlab.comparison.settings import settings_of
from ganlab.errors import Refused
from ganlab.runs.folder import snake_case
from ganlab.runs.records import Scored, columns, evaluations
from ganlab.runs.state import LIST, state_of
from ganlab.runs.status import CLOCK, FILE, METRICS, SCORES, images_per_second, read_clock
from ganlab.system.records import Records, Table
from ganlab.system.untrusted import (
    below,
    json_object,
    number,
    readable,
    text_of,
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
        reason: Why it failed, or the watchdog's verdict of what went wrong; empty: all is well.
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
        """It came to its budget, or to an end before that is its result."""
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


# What shows that a folder is, or was meant to be, a run's.
MARKS = ("config.yaml", FILE, CLOCK, SCORES, METRICS)
STATES = ("done", "running", "stopped", "failed", "queued")
RUNNING = {"starting": "running"}
UNKNOWN = -1  # seed
PLACE = re.compile(r"\d{8}-\d{6}-seed.*")


def find(patterns: Iterable[str | Path]) -> list[Path]:
    """Run folders: named themselves, by globs, folders above them, launches, or what W&B keeps in them."""
    found: dict[Path, Path] = {}
    for pattern in map(str, patterns):
        path = Path(pattern).expanduser()
        # A folder may have brackets in its name.
        paths = [path] if path.exists() else sorted(map(Path, glob.glob(str(path), recursive=True)))
        folders = [each.parent if each.is_file() else each for each in paths]
        inside = [run for folder in folders for run in _inside(folder)]
        if not inside:
            raise Refused(_why_none(readable(pattern), folders))
        for run in inside:
            found.setdefault(run.resolve(), run)
    return sorted(found.values(), key=lambda run: (*run.parts[-3:-1], run.name, run.parts))


def _why_none(pattern: str, folders: list[Path]) -> str:
    kept_by_wandb = next((path.parent for folder in folders for path in folder.rglob("*.wandb")), None)
    if kept_by_wandb:
        return (
            f"{pattern} is what W&B kept of a run, without the run's own folder, which is compared.\n"
            f"Name that one, or: wandb sync {readable(kept_by_wandb)}\n"
            "and then: ganlab compare --from wandb:entity/project"
        )
    missing = f"There are no runs in {pattern}." if folders else f"There is no {pattern}."
    return f"{missing}\nA run is a folder with a config.yaml: ganlab compare runs/mnist/*/*"


def _inside(path: Path) -> Iterator[Path]:
    if (path / LIST).is_file():
        listed = text_of(path / LIST, []).splitlines()
        yield from (_launched(path, line) for line in listed if line.strip())
        return
    for place, folders, files in os.walk(_run_above(path) or path):
        is_run = any(name in files for name in MARKS)
        if is_run:
            yield Path(place)
        if is_run or any(name.endswith(".wandb") for name in files):
            folders.clear()
        folders.sort()


def _run_above(path: Path) -> Path | None:
    """The run in whose folder W&B keeps this."""
    places = path.resolve()
    above = (place.parent for place in (places, *places.parents) if place.name == "wandb")
    return next((folder for folder in above if (folder / "config.yaml").is_file()), None)


def _launched(launch: Path, line: str) -> Path:
    """Its list was written in another working folder, or on another machine."""
    above = (Path(), *launch.resolve().parents)
    return next((place / line for place in above if (place / line).is_dir()), Path(line))


def read(folder: Path) -> Run:
    problems: list[str] = []
    config = yaml_config(folder / "config.yaml", problems)
    told = json_object(folder / FILE, problems)
    clock = read_clock(folder, problems)
    scored = evaluations(Records(folder / SCORES).read(problems), clock, problems)
    logged = Table(folder / METRICS).read(problems)
    terms = columns(logged, "images")
    terms.pop("step", None)
    data, experiment = _names(folder, config)
    found = Run(
        source=readable(folder),
        folder=folder,
        data=data,
        experiment=experiment,
        seed=_seed(folder, config),
        settings=settings_of(config, batch(config, clock)) if config else {},
        state="",
        max_steps=whole_number(below(config, "trainer", "max_steps")) or whole_number(told.get("max_steps")),
        hardware=hardware(_environments(folder, problems), below(config, "trainer", "accelerator")),
        command=readable(shlex.join(["ganlab", "fit", "--config", str(folder / "config.yaml")])),
        evaluations=scored,
        terms=terms,
        problems=problems,
    )
    seen = [told, *clock, *logged, *map(vars, scored)]
    found.step, found.images = (
        max(whole_number(row.get(at)) or 0 for row in seen) for at in ("step", "images")
    )
    _take_time(found, clock, told)
    _judge(found, told, json_object(folder / watchdog.FILE, problems))
    return found


def batch(config: dict[str, Any], clock: list[dict[str, Any]]) -> int | None:
    """Real images a turn over all processes, as they were counted at last."""
    turns = whole_number(below(config, "model", "init_args", "critic_steps"))
    last = clock[-1] if clock else {"step": 0}
    return round(last["images"] / (last["step"] * turns)) if last["step"] and turns else None


def _names(folder: Path, config: dict[str, Any]) -> tuple[str, str]:
    """Of its data and its experiment: from its place, else from its configuration."""
    path = folder.resolve()
    classes = [str(below(config, part, "class_path") or "").rsplit(".", 1)[-1] for part in ("data", "model")]
    data, variant = map(snake_case, classes)
    placed = PLACE.fullmatch(path.name)
    experiment = path.parent.name if placed or not variant else variant
    return readable(data or path.parent.parent.name), readable(experiment)


def _seed(folder: Path, config: dict[str, Any]) -> int:
    named = re.search(r"-seed(\d{1,18})", folder.name)
    seed = whole_number(config.get("seed_everything"))
    return seed if seed is not None else int(named[1]) if named else UNKNOWN


def _environments(folder: Path, problems: list[str]) -> list[dict[str, Any]]:
    """One for each start."""
    paths = sorted(folder.glob("environment*.json"), key=lambda path: (len(path.name), path.name))
    return [json_object(path, problems) for path in paths]


def hardware(environments: Iterable[dict[str, Any]], accelerator: Any) -> str:
    """What computed, in the order of a run's starts."""
    found = []
    for told in environments:
        gpus, cpu, cores = told.get("gpus"), told.get("cpu"), told.get("cores")
        if isinstance(gpus, list) and gpus and accelerator != "cpu":
            names = dict.fromkeys(map(readable, gpus))
            found.append(", ".join(f"{gpus.count(name)} x {name}" for name in names))
        elif cpu:
            found.append(f"{readable(cpu)}, {cores} cores" if whole_number(cores) else readable(cpu))
    return ", then ".join(dict.fromkeys(found))


def _take_time(run: Run, clock: list[dict[str, Any]], told: dict[str, Any]) -> None:
    run.images_per_second = number(told.get("images_per_second")) or None
    memory = [found for row in clock if (found := whole_number(row.get("memory")))]
    run.peak_memory = max(memory, default=None)
    if not clock:
        return
    run.seconds = clock[-1]["seconds"]
    run.images_per_second = images_per_second(clock) or run.images_per_second


def _judge(run: Run, told: dict[str, Any], verdict: dict[str, Any]) -> None:
    assert run.folder
    detail = ""
    try:
        stands = state_of(run.folder)
        run.state, detail = RUNNING.get(stands.state, stands.state), stands.detail
    except Exception:  # Anything may stand in its files.
        run.problems.append(f"how it ended is not known: {FILE} is garbled")
    if not told and run.step and run.state in ("", "queued"):
        run.state = "done" if run.max_steps and run.step >= run.max_steps else "stopped"
    run.state = run.state if run.state in STATES else "stopped"
    run.collapsed = verdict.get("collapsed") is True
    said = str(verdict.get("verdict") or "") if run.collapsed else ""
    run.reason = readable("; ".join(each for each in (detail if run.state == "failed" else "", said) if each))
