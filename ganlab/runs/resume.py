"""Which run goes on, from which checkpoint, and whether its settings allow that."""

from __future__ import annotations

import fnmatch
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ganlab.checkpoints.checksummed import damage, newest_first
from ganlab.checkpoints.rebuild import outdated
from ganlab.errors import Refused

# What a resumed run may change: how long, how it is watched, where things lie, and what computes it.
FREE = (
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
    # Times the number of processes they may not change, which the first batch tells.
    "data.init_args.batch_size",
    "model.init_args.accumulation",
)


class Resumed(NamedTuple):
    """A run's folder, and the checkpoint to go on from; none: from the beginning."""

    folder: Path
    checkpoint: Path | None


def named(target: str) -> Resumed:
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
    return Resumed(path, newest(path))


def _begun_by(folder: Path) -> str:
    """The version of ganlab; an installation that is older than its own files tells its age of all runs."""
    with suppress(OSError, ValueError, KeyError):
        version = json.loads((folder / "environment.json").read_text())["ganlab"]
        return "" if version == metadata.version("ganlab") else version
    return ""


def automatic(place: Path, settings: dict[str, Any]) -> Resumed | None:
    """Among runs with these very settings, the one with the newest whole checkpoint.

    They lie where a new one's `place` would be, whatever the experiment was called.
    """
    found = []
    for config in place.parent.parent.glob("*/*/config.yaml"):
        text = config.read_text()
        if f"seed_everything: {settings['seed_everything']}\n" not in text:
            continue
        began = yaml.load(text, yaml.CSafeLoader)
        if not differences(began, settings) and (path := newest(config.parent)):
            found.append((path.stat().st_mtime, path))
    return Resumed(max(found)[1].parent.parent, max(found)[1]) if found else None


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run; what is damaged is told and passed over."""
    kept = newest_first(folder / "checkpoints")
    for path in kept:
        if not (reason := damage(path)):
            return path
        last = path == kept[-1]
        instead = "There is none before it: beginning at step 0" if last else "Taking the one before it"
        print(f"ganlab: {path} is damaged: {reason}. {instead}.", file=sys.stderr)
    return None


def refuse_differences(resumed: Resumed, began: dict[str, Any], now: dict[str, Any]) -> None:
    if different := differences(began, now):
        shown = "; ".join(different[:4]) + ("; …" if len(different) > 4 else "")
        raise Refused(
            f"{resumed.folder} was begun with other settings, so it cannot go on:\n{shown}\n"
            "Give it the settings it began with, or begin a new run from its weights: --init_from."
        )


def differences(began: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs of that which may not. A precision still to be chosen is any."""
    one, other = dict(flat(began)), dict(flat(now))
    return [
        f"{key}: {one.get(key)} -> {other.get(key)}"
        for key in dict.fromkeys([*one, *other])
        if one.get(key) != other.get(key)
        and not any(fnmatch.fnmatchcase(key, pattern) for pattern in FREE)
        and not (key == "trainer.precision" and "auto" in (one.get(key), other.get(key)))
    ]


def flat(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by their full names; a list of plain values is one value."""
    nested = isinstance(tree, list) and any(isinstance(each, dict) for each in tree)
    if not nested and not (isinstance(tree, dict) and tree):
        yield name, tree
        return
    for branch, below in enumerate(tree) if isinstance(tree, list) else tree.items():
        yield from flat(below, f"{name}.{branch}" if name else str(branch))


def _newest_runs(path: Path) -> list[Path]:
    return [config.parent for config in sorted(path.glob("**/config.yaml"))[-3:]]
