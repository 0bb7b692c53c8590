"""Runs as the server of Weights & Biases has them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ganlab.comparison.read import UNKNOWN, Run, batch, hardware
from ganlab.comparison.settings import settings_of
from ganlab.errors import Refused
from ganlab.loggers.wandb import unreachable
from ganlab.metrics.registry import measured
from ganlab.runs.folder import snake_case
from ganlab.runs.records import Scored, columns, scored
from ganlab.system.untrusted import below, number, readable, whole_number

STEP = "trainer/global_step"
# What it calls how a run ended.
STATES = {"finished": "done", "running": "running", "pending": "queued", "killed": "stopped"}
STATES |= {"preempted": "stopped", "preempting": "stopped", "crashed": "failed", "failed": "failed"}
# The experiment, what of it was changed, and the seed.
NAMED = re.compile(r"(.+?)(?: [^ =]+=.*)?-seed(\d{1,18})")


@dataclass
class Download:
    """What it has of one run.

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
        runs = list((api or _api()).runs(project))
    # Its errors are of many kinds, and so are those of its network.
    except Exception as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"W&B tells no runs of {project}: {_first_line(error)} (--from).") from error
    return [_run(f"{project}/{run.id}", _download(run)) for run in runs]


def _api() -> Any:
    if reason := unreachable():
        raise Refused(f"W&B cannot be asked: {reason} (--from).")
    import wandb

    return wandb.Api()


def _download(run: Any) -> Download:
    """As much as its server sends."""
    download = Download()
    try:
        download.name, download.state, download.config = str(run.name), str(run.state), dict(run.config)
        download.summary, download.machine = dict(run.summary), dict(run.metadata or {})
        download.rows = list(run.scan_history())
    except Exception as error:
        download.problems.append(f"W&B does not tell all of it: {_first_line(error)}")
    return download


def _first_line(error: Exception) -> str:
    return readable((str(error).strip().splitlines() or [type(error).__name__])[0])


def _run(source: str, download: Download) -> Run:
    config = _as_file(download.config)
    rows = sorted(_steps(download.rows), key=lambda row: row["step"])
    last = rows[-1] if rows else {"step": 0, "images": 0}
    named = NAMED.fullmatch(download.name)
    seeds = (config.get("seed_everything"), download.config.get("seed"), named and int(named[2]))
    contract = download.config.get("contract")
    played_on = below(config, "data", "class_path") or below(contract, "data", "class") or ""
    run = Run(
        source=source,
        folder=None,
        data=readable(snake_case(str(played_on).rsplit(".", 1)[-1])),
        experiment=readable(named[1] if named else download.name),
        seed=next((seed for seed in map(whole_number, seeds) if seed is not None), UNKNOWN),
        settings=settings_of(config, batch(config, rows)),
        state=STATES.get(download.state, "stopped"),
        max_steps=whole_number(below(config, "trainer", "max_steps")),
        step=last["step"],
        images=last["images"],
        seconds=number(download.summary.get("seconds")),
        images_per_second=number(download.summary.get("images_per_second")),
        peak_memory=whole_number(download.summary.get("peak_memory")),
        hardware=_hardware(download.machine),
        command=readable(shlex.join(["ganlab", *map(str, download.machine.get("args") or [])])),
        terms=_terms(rows),
        problems=download.problems,
    )
    run.evaluations = _evaluations(rows, contract, download.config.get("floor"), run.problems)
    if run.state == "done" and run.max_steps and run.step < run.max_steps:
        run.state = "stopped"
    verdict = download.summary.get("verdict")
    if isinstance(verdict, str) and verdict.startswith("collapsed"):
        run.collapsed, run.reason = True, readable(verdict)
    return run


def _as_file(config: dict[str, Any]) -> dict[str, Any]:
    """As config.yaml has it; a run that logged its hyperparameters alone logged those of its game."""
    settings = {name: value for name, value in config.items() if name not in ("_wandb", "contract", "floor")}
    if not settings or below(settings, "model", "class_path"):
        return settings
    path = settings.pop("_class_path", None)
    settings.pop("_instantiator", None)
    return {"model": {"class_path": path, "init_args": settings}}


def _steps(rows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for row in rows:
        step, images = whole_number(row.get(STEP)), whole_number(row.get("images"))
        if step is not None and images is not None:
            yield {**row, "step": step, "images": images}


def _evaluations(
    rows: Iterable[dict[str, Any]], contract: Any, floor: Any, problems: list[str]
) -> list[Scored]:
    by_step: dict[int, Scored] = {}
    for row in rows:
        scores = {name: value for name, value in row.items() if measured(name) and value is not None}
        if scores and isinstance(contract, dict):
            evaluation = scored(row["step"], scores, {}, contract, problems)
            evaluation.images, evaluation.floor = row["images"], floor if isinstance(floor, dict) else {}
            by_step[row["step"]] = evaluation
        elif scores and (problem := "its scores have no contract") not in problems:
            problems.append(problem)
    return list(by_step.values())


def _terms(rows: Iterable[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """Without what W&B adds, and the step."""
    logged = (
        {name: row[name] for name in row if not name.startswith("_") and name not in (STEP, "step")}
        for row in rows
    )
    return columns(logged, "images")


def _hardware(machine: dict[str, Any]) -> str:
    gpus = [machine["gpu"]] * (whole_number(machine.get("gpu_count")) or 1) if "gpu" in machine else []
    cpu = machine.get("cpu")
    model = cpu.get("model") if isinstance(cpu, dict) else cpu
    cores = machine.get("cpu_count_logical") or machine.get("cpu_count")
    return hardware([{"gpus": gpus, "cpu": model, "cores": cores}], None)
