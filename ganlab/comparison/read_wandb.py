"""Runs of a project, downloaded from the server of Weights & Biases."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ganlab.comparison.read import UNKNOWN, Run, describe_hardware, images_per_turn
from ganlab.comparison.settings import settings_of
from ganlab.errors import Refused
from ganlab.loggers.wandb import unreachable
from ganlab.metrics.names import measured
from ganlab.runs.folder import snake_case
from ganlab.runs.records import Scored, as_evaluation, columns
from ganlab.system.untrusted import below, number, readable, whole_number

STEP = "trainer/global_step"
# W&B's names for a run's states, and ganlab's.
STATES = {"finished": "done", "running": "running", "pending": "queued", "killed": "stopped"}
STATES |= {"preempted": "stopped", "preempting": "stopped", "crashed": "failed", "failed": "failed"}
# A run's name: the experiment, the settings that were changed, and the seed.
RUN_NAME = re.compile(r"(.+?)(?: [^ =]+=.*)?-seed(\d{1,18})")


@dataclass
class Download:
    """What W&B's server has of one run.

    Attributes:
        rows: The run's history: its logged values, a row a step.
        machine: The command's arguments and the hardware, under W&B's names for them.
    """

    name: str = ""
    state: str = "crashed"
    config: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_project(address: str, api: Any = None) -> list[Run]:
    """All runs of a project, by its address `wandb:entity/project`."""
    kind, _, project = address.partition(":")
    if kind != "wandb" or not re.fullmatch(r"[^/\s]+/[^/\s]+", project):
        raise Refused(f"'{readable(address)}' is no place of runs: --from wandb:entity/project")
    try:
        runs = list((api or _connect()).runs(project))
    # W&B and its network code raise errors of many kinds.
    except Exception as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"W&B tells no runs of {project}: {_first_line(error)} (--from).") from error
    return [_as_run(f"{project}/{run.id}", _download(run)) for run in runs]


def _connect() -> Any:
    if reason := unreachable():
        raise Refused(f"W&B cannot be asked: {reason} (--from).")
    import wandb

    return wandb.Api()


def _download(run: Any) -> Download:
    """Everything that the server sends of a run, up to the first error, which is kept as a problem."""
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


def _as_run(source: str, download: Download) -> Run:
    config = _as_config(download.config)
    rows = sorted(_steps(download.rows), key=lambda row: row["step"])
    last = rows[-1] if rows else {"step": 0, "images": 0}
    name_parts = RUN_NAME.fullmatch(download.name)
    seeds = (config.get("seed_everything"), download.config.get("seed"), name_parts and int(name_parts[2]))
    contract = download.config.get("contract")
    data_path = below(config, "data", "class_path") or below(contract, "data", "class") or ""
    run = Run(
        source=source,
        folder=None,
        data=readable(snake_case(str(data_path).rsplit(".", 1)[-1])),
        experiment=readable(name_parts[1] if name_parts else download.name),
        seed=next((seed for seed in map(whole_number, seeds) if seed is not None), UNKNOWN),
        settings=settings_of(config, images_per_turn(config, rows)),
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


def _as_config(config: dict[str, Any]) -> dict[str, Any]:
    """W&B's settings in the form of config.yaml: of a run that logged only its game's, those alone."""
    settings = {name: value for name, value in config.items() if name not in ("_wandb", "contract", "floor")}
    if not settings or below(settings, "model", "class_path"):
        return settings
    path = settings.pop("_class_path", None)
    settings.pop("_instantiator", None)
    return {"model": {"class_path": path, "init_args": settings}}


def _steps(rows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """The rows that have a step and a number of images, under ganlab's names."""
    for row in rows:
        step, images = whole_number(row.get(STEP)), whole_number(row.get("images"))
        if step is not None and images is not None:
            yield {**row, "step": step, "images": images}


def _evaluations(
    rows: Iterable[dict[str, Any]], contract: Any, floor: Any, problems: list[str]
) -> list[Scored]:
    by_step: dict[int, Scored] = {}
    told = contract if isinstance(contract, dict) else None
    for row in rows:
        scores = {name: value for name, value in row.items() if measured(name, told) and value is not None}
        if scores and isinstance(contract, dict):
            evaluation = as_evaluation(row["step"], scores, {}, contract, problems)
            evaluation.images, evaluation.floor = row["images"], floor if isinstance(floor, dict) else {}
            by_step[row["step"]] = evaluation
        elif scores and (problem := "its scores have no contract") not in problems:
            problems.append(problem)
    return list(by_step.values())


def _terms(rows: Iterable[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """Each term's values over images, without the columns that W&B adds, and without the step."""
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
    return describe_hardware([{"gpus": gpus, "cpu": model, "cores": cores}], None)
