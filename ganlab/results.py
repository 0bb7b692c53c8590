"""What runs left behind, read back and put into groups that may be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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


@dataclass
class Group:
    """Runs that differ in nothing but their seeds.

    Attributes:
        name: The experiment, and those settings that set it apart from the other groups of its name.
        differs: Of the settings that are not the same in all groups compared, this group's.
    """

    name: str
    runs: list[Run]
    differs: dict[str, Any] = field(default_factory=dict)
