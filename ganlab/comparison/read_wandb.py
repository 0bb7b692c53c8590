"""Runs as Weights & Biases has them, on its server or in the files it keeps offline."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganlab.comparison.read import UNKNOWN, Run, batch, hardware
from ganlab.comparison.settings import settings_of
from ganlab.errors import Refused
from ganlab.loggers import wandb_files
from ganlab.loggers.wandb import unreachable
from ganlab.metrics.registry import measured
from ganlab.runs.folder import snake_case
from ganlab.runs.records import Scored, scored
from ganlab.system.untrusted import below, number, readable, whole_number

STEP = "trainer/global_step"
# What it calls how a run ended.
STATES = {"finished": "done", "running": "running", "pending": "queued", "killed": "stopped"}
STATES |= {"preempted": "stopped", "preempting": "stopped", "crashed": "failed", "failed": "failed"}
# The experiment, what of it was changed, and the seed.
NAMED = re.compile(r"(.+?)(?: [^ =]+=.*)?-seed(\d{1,18})")


@dataclass
class Told:
    """What it knows of one run.

    Attributes:
        rows: Of its history.
        machine: The command's arguments and the hardware, under its names for them.
    """

    name: str = ""
    state: str = "crashed"
    config: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def of_project(address: str, api: Any = None) -> list[Run]:
    """All runs of wandb:entity/project."""
    kind, _, project = address.partition(":")
    if kind != "wandb" or not re.fullmatch(r"[^/\s]+/[^/\s]+", project):
        raise Refused(f"'{readable(address)}' is no place of runs: --from wandb:entity/project")
    try:
        found = list((api or _api()).runs(project))
    # Its errors are of many kinds, and so are those of its network.
    except Exception as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"W&B tells no runs of {project}: {_first_line(error)} (--from).") from error
    return [_online(f"{project}/{each.id}", each) for each in found]


def _api() -> Any:
    if reason := unreachable():
        raise Refused(f"W&B cannot be asked: {reason} (--from).")
    import wandb

    return wandb.Api()


def _online(source: str, run: Any) -> Run:
    told = Told()
    try:
        told.name, told.state, told.config = str(run.name), str(run.state), dict(run.config)
        told.summary, told.machine = dict(run.summary), dict(run.metadata or {})
        told.rows = list(run.scan_history())
    except Exception as error:
        told.problems.append(f"W&B does not tell all of it: {_first_line(error)}")
    return _run(source, told)


def _first_line(error: Exception) -> str:
    return readable((str(error).strip().splitlines() or [type(error).__name__])[0])


def offline(folders: Iterable[Path]) -> list[Run]:
    """Of the folders that it keeps of each start of a run."""
    found: dict[str, Told] = {}
    places: dict[str, Path] = {}
    for folder in sorted(folders, key=lambda folder: folder.name):
        for path in sorted(folder.glob("*.wandb")):
            name = path.stem.removeprefix("run-")
            places.setdefault(name, folder)
            _add_start(found.setdefault(name, Told()), path)
    return [_run(readable(places[name]), told) for name, told in found.items()]


def _add_start(told: Told, path: Path) -> None:
    """A run that was resumed goes on, whatever its start before came to."""
    told.state = "crashed"
    try:
        for record in wandb_files.records(path):
            _add(told, record)
    # Whatever kind of error a garbled file comes to, what was before it is known.
    except Exception as error:
        told.problems.append(f"{path.name} is garbled: {_first_line(error)}")


def _add(told: Told, record: Any) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        told.name = record.run.display_name or record.run.run_id
        told.config |= wandb_files.values(record.run.config.update)
    elif kind == "config":
        told.config |= wandb_files.values(record.config.update)
    elif kind == "summary":
        told.summary |= wandb_files.values(record.summary.update)
    elif kind == "history":
        told.rows.append(wandb_files.values(record.history.item))
    elif kind == "environment":
        machine = record.environment
        given = {"args": list(machine.args), "cpu": machine.cpu.model, "cores": machine.cpu_count_logical}
        told.machine |= {name: value for name, value in given.items() if value}
        told.machine |= {"gpus": [each.name for each in machine.gpu_nvidia]} if machine.gpu_nvidia else {}
    elif kind == "exit":
        told.state = "failed" if record.exit.exit_code else "finished"


def _run(source: str, told: Told) -> Run:
    config = _as_file(told.config)
    rows = sorted(_steps(told.rows), key=lambda row: row["step"])
    last = rows[-1] if rows else {"step": 0, "images": 0}
    named = NAMED.fullmatch(told.name)
    seeds = (config.get("seed_everything"), told.config.get("seed"), named and int(named[2]))
    contract = told.config.get("contract")
    played_on = below(config, "data", "class_path") or below(contract, "data", "class") or ""
    run = Run(
        source=source,
        folder=None,
        data=readable(snake_case(str(played_on).rsplit(".", 1)[-1])),
        experiment=readable(named[1] if named else told.name),
        seed=next((seed for seed in map(whole_number, seeds) if seed is not None), UNKNOWN),
        settings=settings_of(config, batch(config, rows)),
        state=STATES.get(told.state, "stopped"),
        max_steps=whole_number(below(config, "trainer", "max_steps")),
        step=last["step"],
        images=last["images"],
        seconds=number(told.summary.get("seconds")),
        images_per_second=number(told.summary.get("images_per_second")),
        peak_memory=whole_number(told.summary.get("peak_memory")),
        hardware=_hardware(told.machine),
        command=readable(shlex.join(["ganlab", *map(str, told.machine.get("args") or [])])),
        terms=_terms(rows),
        problems=told.problems,
    )
    run.evaluations = _evaluations(rows, contract, told.config.get("floor"), run.problems)
    if run.state == "done" and run.max_steps and run.step < run.max_steps:
        run.state = "stopped"
    verdict = told.summary.get("verdict")
    if isinstance(verdict, str) and verdict.startswith("collapsed"):
        run.collapsed, run.reason = True, readable(verdict)
    return run


def _as_file(config: dict[str, Any]) -> dict[str, Any]:
    """As config.yaml has it; a run that told its hyperparameters alone told those of its game."""
    told = {name: value for name, value in config.items() if name not in ("_wandb", "contract", "floor")}
    if not told or below(told, "model", "class_path"):
        return told
    path = told.pop("_class_path", None)
    told.pop("_instantiator", None)
    return {"model": {"class_path": path, "init_args": told}}


def _steps(rows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for row in rows:
        step, images = whole_number(row.get(STEP)), whole_number(row.get("images"))
        if step is not None and images is not None:
            yield {**row, "step": step, "images": images}


def _evaluations(
    rows: Iterable[dict[str, Any]], contract: Any, floor: Any, problems: list[str]
) -> list[Scored]:
    found: dict[int, Scored] = {}
    for row in rows:
        scores = {name: value for name, value in row.items() if measured(name) and value is not None}
        if scores and isinstance(contract, dict):
            each = scored(row["step"], scores, {}, contract, problems)
            each.images, each.floor = row["images"], floor if isinstance(floor, dict) else {}
            found[row["step"]] = each
        elif scores and (said := "its scores have no contract") not in problems:
            problems.append(said)
    return list(found.values())


def _terms(rows: Iterable[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, value in row.items():
            told_by_it = name.startswith("_") or name in (STEP, "step", "images")
            if not told_by_it and (known := number(value)) is not None:
                found.setdefault(readable(name), []).append((float(row["images"]), known))
    return found


def _hardware(machine: dict[str, Any]) -> str:
    gpus, cpu = machine.get("gpus"), machine.get("cpu")
    if "gpu" in machine:
        gpus = [machine["gpu"]] * (whole_number(machine.get("gpu_count")) or 1)
    model = cpu.get("model") if isinstance(cpu, dict) else cpu
    cores = machine.get("cores") or machine.get("cpu_count_logical") or machine.get("cpu_count")
    return hardware([{"gpus": gpus, "cpu": model, "cores": cores}], None)
