"""Which run to resume, from which checkpoint, and whether its settings allow that."""

from __future__ import annotations

import fnmatch
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ganlab.checkpoints.checksummed import damage, newest_first
from ganlab.checkpoints.rebuild import outdated
from ganlab.errors import Refused

# Settings that may change when a run is resumed: its length, how it is watched, paths, and hardware.
CHANGEABLE = (
    "config",
    "resume",
    "init_from",
    "rollback",
    "ckpt_path",
    "runs",
    "checkpoint_every",
    "samples.every_n_steps",
    "evaluation.every_n_steps",
    "checkpoints.*",
    "preemption.*",
    "watchdog.*",
    "trainer.max_steps",
    "trainer.max_time",
    "trainer.min_*",
    "trainer.logger*",
    "trainer.callbacks*",
    "trainer.log_every_n_steps",
    "trainer.enable_*",
    "trainer.val_check_interval",
    "trainer.check_val_every_n_epoch",
    "trainer.limit_val_batches",
    "trainer.num_sanity_val_steps",
    "trainer.profiler*",
    "trainer.default_root_dir",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "data.init_args.root",
    "data.init_args.download",
    "data.init_args.placement",
    "data.init_args.workers",
    # Their product with the number of processes may not change; that is checked at the first batch.
    "data.init_args.batch_size",
    "model.init_args.accumulation",
)


class Resumed(NamedTuple):
    """A run's folder, and the checkpoint to resume from; None: from the beginning."""

    folder: Path
    checkpoint: Path | None


def run_to_resume(target: str) -> Resumed:
    """A run's folder, with its newest whole checkpoint, or a checkpoint in a run's folder."""
    path = Path(target)
    folder = path.resolve().parent.parent if path.suffix == ".ckpt" else path
    if _begun_by(folder).startswith("0.1."):
        raise outdated(path)
    if path.suffix == ".ckpt":
        if not path.is_file():
            raise Refused(f"There is no checkpoint {path} (resume).")
        return Resumed(folder, path)
    if not (path / "config.yaml").is_file():
        near = f"In runs here: {', '.join(map(str, _newest_runs(path)))}" if path.exists() else ""
        raise Refused(f"{path} is no run's folder: it has no config.yaml (resume).\n{near}".rstrip())
    return Resumed(path, newest_whole_checkpoint(path))


def _begun_by(folder: Path) -> str:
    """The version of ganlab that a run was begun with; empty if nothing tells it."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((folder / "environment.json").read_text())["ganlab"])
    return ""


def newest_run_like(planned_path: Path, settings: dict[str, Any]) -> Resumed | None:
    """Among runs with the same settings on the same data, the one with the newest whole checkpoint, or None.

    Args:
        planned_path: The folder that a new run would have; runs of all experiments beside it are searched.
    """
    candidates = []
    for config in planned_path.parent.parent.glob("*/*/config.yaml"):
        text = config.read_text()
        if f"seed_everything: {settings['seed_everything']}\n" not in text:
            continue
        old_settings = yaml.load(text, yaml.CSafeLoader)
        if not differences(old_settings, settings) and (path := newest_whole_checkpoint(config.parent)):
            candidates.append((path.stat().st_mtime, path))
    return Resumed(max(candidates)[1].parent.parent, max(candidates)[1]) if candidates else None


def newest_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a run that is not damaged, or None; damaged ones are reported and skipped."""
    checkpoints = newest_first(folder / "checkpoints")
    for path in checkpoints:
        if not (reason := damage(path)):
            return path
        last = path == checkpoints[-1]
        instead = "There is none before it: beginning at step 0" if last else "Taking the one before it"
        print(f"ganlab: {path} is damaged: {reason}. {instead}.", file=sys.stderr)
    return None


def refuse_differences(resumed: Resumed, before: dict[str, Any], now: dict[str, Any]) -> None:
    if different := differences(before, now):
        listed = "; ".join(different[:4]) + ("; …" if len(different) > 4 else "")
        raise Refused(
            f"{resumed.folder} was begun with other settings, so it cannot go on:\n{listed}\n"
            "Give it the settings it began with, or begin a new run from its weights: --init_from."
        )


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The settings that differ and may not, as "name: before -> now"; precision auto equals any other."""
    old, new = dict(flatten(before)), dict(flatten(now))
    return [
        f"{key}: {old.get(key)} -> {new.get(key)}"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
        and not any(fnmatch.fnmatchcase(key, pattern) for pattern in CHANGEABLE)
        and not (key == "trainer.precision" and "auto" in (old.get(key), new.get(key)))
    ]


def flatten(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Settings with their dotted names; a list of plain values is one value."""
    nested = isinstance(tree, list) and any(isinstance(item, dict) for item in tree)
    if not nested and not (isinstance(tree, dict) and tree):
        yield name, tree
        return
    for branch, below in enumerate(tree) if isinstance(tree, list) else tree.items():
        yield from flatten(below, f"{name}.{branch}" if name else str(branch))


def _newest_runs(path: Path) -> list[Path]:
    return [config.parent for config in sorted(path.glob("**/config.yaml"))[-3:]]
