"""Which settings make two runs different experiments, and short names for settings."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable
from typing import Any

from ganlab.runs import resume
from ganlab.system.untrusted import below, readable, whole_number

BATCH = "data.init_args.batch_size"
START_POINTS = ("init_from", "rollback")
# A resumed run may change these, yet they make another experiment.
RESULTS_DEPEND_ON = {"trainer.max_steps", "trainer.min_*", "trainer.callbacks*", *START_POINTS, BATCH}
# Runs that differ in these alone are of one experiment; an evaluation's settings are in its contract.
IGNORED = (
    *sorted({*resume.CHANGEABLE} - RESULTS_DEPEND_ON),
    "seed_everything",
    "model.init_args.seed",
    "data.init_args.seed",
    "trainer.strategy*",
    "samples.*",
    "evaluation.*",
)
RUN = re.compile(r"/\d{8}-\d{6}-seed.*")  # the part of a path that names a single run
OMITTED = ("init_args", "class_path")  # parts of a key that short names leave out
MAX_LENGTH = 40  # characters of a value


def settings_of(config: dict[str, Any], batch: int | None = None) -> dict[str, Any]:
    """A configuration as a flat mapping, without nulls, empty lists, and what may differ between seeds of one
    experiment.

    A list of a game's parts, such as its penalties, is one value: `R1(gamma=0.1) + R2(gamma=0.1)`.

    Args:
        batch: Real images a turn over all processes, as recorded; None: as the configuration says.
    """
    model, lists = below(config, "model", "init_args"), {}
    if isinstance(model, dict):
        lists = {f"model.init_args.{name}": text for name, part in model.items() if (text := in_words(part))}
    items = ((readable(key), value) for key, value in resume.flatten(config))
    settings = {
        key: value
        for key, value in items
        if value not in (None, [])
        and not _is_ignored(key)
        and not any(key.startswith(f"{name}.") for name in lists)
    }
    settings |= lists
    size = whole_number(settings.get(BATCH))
    for name in START_POINTS:
        if settings.get(name):
            settings[name] = RUN.sub("", readable(settings[name]))
    if batch or size:
        settings[BATCH] = batch or (size or 0) * processes(config)
    return settings


def in_words(parts: Any) -> str:
    """A list of classes with their arguments, as one would write them in Python; "" of anything else.

    Other classes, and other arguments, are other words.
    """
    if not (isinstance(parts, list) and parts and all(below(part, "class_path") for part in parts)):
        return ""
    return " + ".join(_called(part) for part in parts)


def _called(part: dict[str, Any]) -> str:
    path = readable(str(part["class_path"]))
    name = path.rsplit(".", 1)[-1] if path.startswith("ganlab.") else path
    arguments = below(part, "init_args")
    flat = dict(resume.flatten(arguments)) if arguments else {}
    given = ", ".join(f"{readable(key)}={canonical(value)}" for key, value in flat.items())
    return f"{name}({given})" if given else name


def processes(config: dict[str, Any]) -> int:
    """The number of processes, as far as the configuration says."""
    devices = below(config, "trainer", "devices")
    if isinstance(devices, str):
        devices = int(devices) if devices.isdigit() else [name for name in devices.split(",") if name]
    count = len(devices) if isinstance(devices, list) else whole_number(devices) or 1
    return max(1, count) * (whole_number(below(config, "trainer", "num_nodes")) or 1)


def _is_ignored(key: str) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in IGNORED)


def canonical(value: Any) -> str:
    """A text that is equal for equal values; 2 and 2.0 are equal."""
    return json.dumps(_with_integers(value), sort_keys=True, default=str)


def _with_integers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_integers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_integers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def without_module(key: str, value: Any) -> Any:
    """The bare name of a class, if the value is a class path; else the value."""
    is_path = key.endswith("class_path") and isinstance(value, str)
    return readable(value.rsplit(".", 1)[-1]) if is_path else value


def format_value(key: str, value: Any) -> str:
    """A setting's value in a few characters."""
    value = without_module(key, value)
    if isinstance(value, float):
        text = f"{value:g}"
    elif isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, default=str).replace('"', "")
    text = readable(text)
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """For each key its shortest ending that no other key has: gamma, generator.width."""
    keys = list(dict.fromkeys(keys))
    counts: dict[str, int] = {}
    for key in keys:
        for ending in _endings(key):
            counts[ending] = counts.get(ending, 0) + 1
    return {key: next((ending for ending in _endings(key) if counts[ending] == 1), key) for key in keys}


def _endings(key: str) -> list[str]:
    parts = [part for part in key.split(".") if part not in OMITTED] or [key]
    # An index says nothing without the name of its list.
    starts = [index for index in reversed(range(len(parts))) if not parts[index].isdigit()]
    return [".".join(parts[index:]) for index in starts]
