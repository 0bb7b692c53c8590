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

import numpy as np

from ganlab import runs, salvage, standing
from ganlab.callbacks import status, watchdog
from ganlab.metrics.contract import digest
from ganlab.refused import Refused
from ganlab.salvage import below, number, readable, whole
from ganlab.settings import settings_of


@dataclass
class Scored:
    """One evaluation of a run: a row of scores.jsonl, with the clock's time at its step."""

    step: int
    images: int
    seconds: float | None
    scores: dict[str, float | None]
    reasons: dict[str, str]
    floor: dict[str, Any]
    contract: dict[str, Any]


@dataclass
class Run:
    """A run's folder, or a run of Weights & Biases, as it was found.

    Attributes:
        source: Where it was read from: the folder's path, or entity/project/id.
        folder: None for one that is not on this machine.
        settings: The resolved configuration, flat (`model.init_args.gamma`), without seed, paths, devices,
            loggers and cadences.
        state: done, running, stopped, failed or queued (`ganlab.standing`).
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
MARKS = ("config.yaml", status.FILE, status.CLOCK, "scores.jsonl", "metrics.csv")
STATES = ("done", "running", "stopped", "failed", "queued")
RUNNING = {"starting": "running"}
UNKNOWN = -1  # seed
CHANGED = "a score's contract is not the one that its hash was made of"
PLACE = re.compile(r"\d{8}-\d{6}-seed.*")


def find(patterns: Iterable[str | Path]) -> list[Path]:
    """Run folders, and offline ones of W&B: named themselves, by globs, folders above them or launches."""
    found: dict[Path, Path] = {}
    for pattern in map(str, patterns):
        path = Path(pattern).expanduser()
        # A folder may have brackets in its name.
        paths = [path] if path.exists() else sorted(map(Path, glob.glob(str(path), recursive=True)))
        inside = [run for each in paths for run in _inside(each)]
        if not inside:
            said = (
                f"There are no runs in {readable(pattern)}." if paths else f"There is no {readable(pattern)}."
            )
            raise Refused(f"{said}\nA run is a folder with a config.yaml: ganlab compare runs/mnist/*/*")
        for run in inside:
            found.setdefault(run.resolve(), run)
    return sorted(found.values(), key=lambda run: (*run.parts[-3:-1], run.name, run.parts))


def _inside(path: Path) -> Iterator[Path]:
    path = path.parent if path.is_file() else path
    if (path / standing.LIST).is_file():
        listed = salvage.text(path / standing.LIST, []).splitlines()
        yield from (_launched(path, line) for line in listed if line.strip())
        return
    for place, folders, files in os.walk(path):
        if any(name in files for name in MARKS) or any(name.endswith(".wandb") for name in files):
            yield Path(place)
            folders.clear()
        folders.sort()


def _launched(launch: Path, line: str) -> Path:
    """Its list was written in another working folder, or on another machine."""
    above = (Path(), *launch.resolve().parents)
    return next((place / line for place in above if (place / line).is_dir()), Path(line))


def read(folder: Path) -> Run:
    problems: list[str] = []
    config = salvage.config(folder / "config.yaml", problems)
    told = salvage.plain(folder / status.FILE, problems)
    clock = _clock(folder, problems)
    scored = _evaluations(salvage.rows(folder / "scores.jsonl", problems), clock, problems)
    terms = salvage.columns(folder / "metrics.csv", "images", problems)
    logged = [{"images": images, "step": step} for images, step in terms.pop("step", [])]
    data, experiment = _names(folder, config)
    found = Run(
        source=readable(folder),
        folder=folder,
        data=data,
        experiment=experiment,
        seed=_seed(folder, config),
        settings=settings_of(config, batch(config, clock)) if config else {},
        state="",
        max_steps=whole(below(config, "trainer", "max_steps")) or whole(told.get("max_steps")),
        hardware=hardware(_environments(folder, problems), below(config, "trainer", "accelerator")),
        command=readable(shlex.join(["ganlab", "fit", "--config", str(folder / "config.yaml")])),
        evaluations=scored,
        terms=terms,
        problems=problems,
    )
    seen = [told, *clock, *logged, *map(vars, scored)]
    found.step, found.images = (max(whole(row.get(at)) or 0 for row in seen) for at in ("step", "images"))
    _take_time(found, clock, told)
    _judge(found, told, salvage.plain(folder / watchdog.FILE, problems))
    return found


def _clock(folder: Path, problems: list[str]) -> list[dict[str, Any]]:
    """Rows that hold what they should, in the order of their steps."""
    kinds = {"step": whole, "images": whole, "seconds": number}
    rows = salvage.rows(folder / status.CLOCK, problems)
    whole_rows = [row for row in rows if all(kind(row.get(name)) is not None for name, kind in kinds.items())]
    return sorted(whole_rows, key=lambda row: row["step"])


def batch(config: dict[str, Any], clock: list[dict[str, Any]]) -> int | None:
    """Real images a turn over all processes, as they were counted at last."""
    turns = whole(below(config, "model", "init_args", "critic_steps"))
    last = clock[-1] if clock else {"step": 0}
    return round(last["images"] / (last["step"] * turns)) if last["step"] and turns else None


def _names(folder: Path, config: dict[str, Any]) -> tuple[str, str]:
    """Of its data and its experiment: from its place, else from its configuration."""
    path = folder.resolve()
    classes = [str(below(config, part, "class_path") or "").rsplit(".", 1)[-1] for part in ("data", "model")]
    data, variant = map(runs.snake_case, classes)
    placed = PLACE.fullmatch(path.name)
    experiment = path.parent.name if placed or not variant else variant
    return readable(data or path.parent.parent.name), readable(experiment)


def _seed(folder: Path, config: dict[str, Any]) -> int:
    named = re.search(r"-seed(\d{1,18})", folder.name)
    seed = whole(config.get("seed_everything"))
    return seed if seed is not None else int(named[1]) if named else UNKNOWN


def _environments(folder: Path, problems: list[str]) -> list[dict[str, Any]]:
    """One for each start."""
    paths = sorted(folder.glob("environment*.json"), key=lambda path: (len(path.name), path.name))
    return [salvage.plain(path, problems) for path in paths]


def hardware(environments: Iterable[dict[str, Any]], accelerator: Any) -> str:
    """What computed, in the order of a run's starts."""
    found = []
    for told in environments:
        gpus, cpu, cores = told.get("gpus"), told.get("cpu"), told.get("cores")
        if isinstance(gpus, list) and gpus and accelerator != "cpu":
            names = dict.fromkeys(map(readable, gpus))
            found.append(", ".join(f"{gpus.count(name)} x {name}" for name in names))
        elif cpu:
            found.append(f"{readable(cpu)}, {cores} cores" if whole(cores) else readable(cpu))
    return ", then ".join(dict.fromkeys(found))


def _take_time(run: Run, clock: list[dict[str, Any]], told: dict[str, Any]) -> None:
    run.images_per_second = number(told.get("images_per_second")) or None
    memory = [found for row in clock if (found := whole(row.get("memory")))]
    run.peak_memory = max(memory, default=None)
    if not clock:
        return
    run.seconds = clock[-1]["seconds"]
    run.images_per_second = status.rate(clock) or run.images_per_second


def _judge(run: Run, told: dict[str, Any], verdict: dict[str, Any]) -> None:
    assert run.folder
    detail = ""
    try:
        stands = standing.of(run.folder)
        run.state, detail = RUNNING.get(stands.state, stands.state), stands.detail
    except Exception:  # Anything may stand in its files.
        run.problems.append(f"how it ended is not known: {status.FILE} is garbled")
    if not told and run.step and run.state in ("", "queued"):
        run.state = "done" if run.max_steps and run.step >= run.max_steps else "stopped"
    run.state = run.state if run.state in STATES else "stopped"
    run.collapsed = verdict.get("collapsed") is True
    said = str(verdict.get("verdict") or "") if run.collapsed else ""
    run.reason = readable("; ".join(each for each in (detail if run.state == "failed" else "", said) if each))


def _evaluations(
    rows: Iterable[dict[str, Any]], clock: list[dict[str, Any]], problems: list[str]
) -> list[Scored]:
    """Where a step was scored twice under one contract, the later row holds."""
    found: dict[tuple[str, int], Scored] = {}
    lost = 0
    for row in rows:
        step, scores, contract = whole(row.get("step")), row.get("scores"), row.get("contract")
        if step is None or not isinstance(scores, dict) or not isinstance(contract, dict):
            lost += 1
            continue
        reasons, floor = row.get("reasons"), row.get("floor")
        each = scored(step, scores, reasons if isinstance(reasons, dict) else {}, contract, problems)
        each.floor = floor if isinstance(floor, dict) else {}
        each.images = whole(row.get("images")) or round(_at(clock, step, "images") or 0)
        each.seconds = _at(clock, step, "seconds")
        found[each.contract["hash"], step] = each
    if lost:
        problems.append(f"{lost} of the rows of scores.jsonl tell no step, scores or contract")
    return sorted(found.values(), key=lambda each: each.step)


def scored(
    step: int, scores: dict[str, Any], reasons: dict[str, Any], contract: dict[str, Any], problems: list[str]
) -> Scored:
    """With the hash that the contract has, whatever it says."""
    content = {name: value for name, value in contract.items() if name != "hash"}
    if contract.get("hash") != (true := digest(content)) and CHANGED not in problems:
        problems.append(CHANGED)
    contract = {"hash": true, **content}
    values = {readable(name): number(value) for name, value in scores.items()}
    why = {readable(name): readable(reason) for name, reason in reasons.items()}
    unknown = {name: "it is no finite number" for name, value in values.items() if value is None}
    return Scored(step, 0, None, values, {**unknown, **why}, {}, contract)


def _at(clock: list[dict[str, Any]], step: int, name: str) -> float | None:
    """Between two rows, and a little after the last, at the rate of all."""
    if not clock:
        return None
    last = clock[-1]
    if step > last["step"] > 0:
        return last[name] * step / last["step"]
    return float(np.interp(step, [row["step"] for row in clock], [row[name] for row in clock]))
