"""Which run to resume, from which checkpoint, and whether its settings allow that."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ganlab.checkpoints.pretrained import PRETRAINED
from ganlab.checkpoints.rebuild import outdated
from ganlab.class_paths import default_arguments, imported
from ganlab.errors import Refused
from ganlab.runs.folder import checkpoints_in, run_of
from ganlab.runs.load import newest_whole_checkpoint, read_checkpoint
from ganlab.runs.own import CONFIG, is_own
from ganlab.runs.status import CLOCK, METRICS, SCORES
from ganlab.system.row_files import Records, Table
from ganlab.system.untrusted import Problems, json_object, read_text, whole_number, yaml_config

# Settings that may change when a run is resumed: its length, how it is watched, paths, and hardware.
CHANGEABLE = (
    "config",
    "resume",
    "restart",
    "trust_code",
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
    "data.init_args*.root",  # also of a set that others are wrapped around
    "data.init_args*.download",
    "data.init_args*.placement",
    "data.init_args*.workers",
    # Their product with the number of processes may not change; that is checked at the first batch.
    "data.init_args.batch_size",
    "model.init_args.accumulation",
)


class Resumed(NamedTuple):
    """A run's folder, and the checkpoint to resume from; None: from the beginning."""

    folder: Path
    checkpoint: Path | None


def folder_of(target: str, option: str = "resume") -> Path:
    """The folder of the run that an option names, by itself or by one of its checkpoints."""
    path = Path(target)
    if path.suffix == ".ckpt":
        if not path.is_file():
            raise Refused(f"There is no checkpoint {path} ({option}).")
        if not (folder := run_of(path)):
            raise Refused(f"{path} lies in no run's folder: there is no config.yaml above it ({option}).")
    elif not ((folder := path) / CONFIG).is_file():
        near = f"In runs here: {', '.join(map(str, _newest_runs(path)))}" if path.is_dir() else ""
        raise Refused(f"{path} is no run's folder: it has no {CONFIG} ({option}).\n{near}".rstrip())
    if _is_outdated(folder):
        raise outdated(path)
    return folder


def run_to_resume(target: str) -> Resumed:
    """A run's folder, with its newest whole checkpoint, or a checkpoint in a run's folder."""
    folder = folder_of(target)
    return Resumed(folder, Path(target) if target.endswith(".ckpt") else newest_whole_checkpoint(folder))


def refuse_to_begin_anew(folder: Path) -> None:
    """Refuse to erase what a run has recorded, unless it had not come to its first checkpoint yet."""
    problems: Problems = []
    settings = dict(flatten(yaml_config(folder / CONFIG, problems)))
    every = settings.get("checkpoints.every_n_steps")
    rows = [row for file in (Table(folder / METRICS), Records(folder / CLOCK)) for row in file.read()]
    step = max((row["step"] for row in rows), default=0)
    had_one = step > (whole_number(every) or 0) or Records(folder / SCORES).read()
    if had_one or checkpoints_in(folder):
        raise Refused(
            f"{folder} has no whole checkpoint to go on from, but records up to step {step:,}.\n"
            "Put a checkpoint back, or begin this run anew, without its records: --restart."
        )


def _is_outdated(folder: Path) -> bool:
    """Whether a run was begun with an older ganlab, whose runs cannot be resumed."""
    return str(json_object(folder / "environment.json", []).get("ganlab")).startswith("0.1.")


def newest_run_like(planned_path: Path, settings: dict[str, Any], *, trust_code: bool) -> Resumed | None:
    """Among runs with the same settings on the same data, the one with the newest whole checkpoint, or None.

    Args:
        planned_path: The folder that a new run would have; runs of all experiments beside it are searched.
        trust_code: Take also runs that are not this user's own.
    """
    candidates = []
    for config in planned_path.parent.parent.glob(f"*/*/{CONFIG}"):
        run, problems = config.parent, Problems()
        if f"seed_everything: {settings['seed_everything']}\n" not in read_text(config, problems):
            continue
        begun = yaml_config(config, problems)
        if not begun or differences(begun, settings) or _is_outdated(run):
            continue
        if not (trust_code or is_own(run)):
            print(f"ganlab: {run} is passed over: it is not as your ganlab wrote it.", file=sys.stderr)
        elif path := newest_whole_checkpoint(run):
            candidates.append((path.stat().st_mtime, Resumed(run, path)))
    candidates = [found for found in candidates if not differences(began_with(found[1]), settings)]
    return max(candidates)[1] if candidates else None


def config_of(run: Path) -> dict[str, Any]:
    """The settings in a run's config.yaml; a garbled one is refused."""
    problems: Problems = []
    if not (config := yaml_config(run / CONFIG, problems)):
        raise Refused(f"The settings of {run} cannot be read: {'; '.join(problems) or 'there are none'}.")
    return config


def began_with(resumed: Resumed) -> dict[str, Any]:
    """The settings that may not change: those that the checkpoint was trained with, else the run's own."""
    saved = read_checkpoint(resumed.checkpoint).get("settings") if resumed.checkpoint else None
    return saved if isinstance(saved, dict) else config_of(resumed.folder)


def lasting(settings: dict[str, Any]) -> dict[str, Any]:
    """Of all settings those that may not change while a run goes on, by their dotted names."""
    return {key: value for key, value in flatten(settings) if not _is_changeable(key)}


def refuse_differences(resumed: Resumed, now: dict[str, Any]) -> None:
    if different := differences(began_with(resumed), now):
        listed = "; ".join(different[:4]) + ("; …" if len(different) > 4 else "")
        raise Refused(
            f"{resumed.folder} was begun with other settings, so it cannot go on:\n{listed}\n"
            "Give it the settings it began with, or begin a new run from its weights: --init_from."
        )


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The settings that differ and may not, as "name: before -> now"; precision auto equals any other."""
    old, new = lasting(before), lasting(now)
    new |= _remembered(old, new)
    old |= _unknown_then(old, new)
    return [
        f"{key}: {old.get(key)} -> {new.get(key)}"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
        and not (key == "trainer.precision" and "auto" in (old.get(key), new.get(key)))
    ]


def _remembered(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Of the old settings what each `Pretrained` was made of that in the new ones is not read yet."""
    end = ".init_args.network"
    named = (key for key, value in new.items() if value is None and key.endswith(end))
    unread = tuple(f"{key}." for key in named if new.get(f"{key.removesuffix(end)}.class_path") == PRETRAINED)
    return {key: value for key, value in old.items() if key.startswith(unread)}


def _unknown_then(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Arguments that a class had not yet when the old settings were recorded, at their defaults."""
    unknown = {}
    for key in new.keys() - old.keys():
        owner, _, name = key.rpartition(".init_args.")
        path = new.get(f"{owner}.class_path")
        if path and path == old.get(f"{owner}.class_path"):
            defaults = default_arguments(imported(path))
            if name in defaults:
                unknown[key] = [*defaults[name]] if isinstance(defaults[name], tuple) else defaults[name]
    return unknown


def _is_changeable(key: str) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in CHANGEABLE)


def flatten(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Settings with their dotted names; a list of plain values is one value."""
    nested = isinstance(tree, list) and any(isinstance(item, dict) for item in tree)
    if not nested and not (isinstance(tree, dict) and tree):
        yield name, tree
        return
    for branch, inner in enumerate(tree) if isinstance(tree, list) else tree.items():
        yield from flatten(inner, f"{name}.{branch}" if name else str(branch))


def _newest_runs(path: Path) -> list[Path]:
    return [config.parent for config in sorted(path.glob(f"**/{CONFIG}"))[-3:]]
