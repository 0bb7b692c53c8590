"""Which settings make two runs different experiments, and what these are called in short."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable
from typing import Any

from ganlab.runs import resume
from ganlab.system.untrusted import below, readable, whole_number

BATCH = "data.init_args.batch_size"
# Beside what a resumed run may change: the seed, and how a run is looked at, told by its contract.
# How long it trains makes another experiment, and so does what it begins with or is called back by.
BEGINNINGS = ("init_from", "rollback")
COUNTS = {"trainer.max_steps", "trainer.min_*", "trainer.callbacks*", *BEGINNINGS, BATCH}
FREE = (
    *sorted({*resume.FREE} - COUNTS),
    "seed_everything",
    "model.init_args.seed",
    "data.init_args.seed",
    "trainer.strategy*",
    "samples.*",
    "evaluation.*",
)
RUN = re.compile(r"/\d{8}-\d{6}-seed.*")  # of another experiment, this very one
SILENT = ("init_args", "class_path")  # parts of a key that tell nobody anything
LONGEST = 40  # characters of a value


def settings_of(config: dict[str, Any], batch: int | None = None) -> dict[str, Any]:
    """A configuration flat, without what is none and what may differ between two seeds of one experiment.

    Args:
        batch: Real images a turn over all processes, if records tell it; else the configuration does.
    """
    named = ((readable(key), value) for key, value in resume.flat(config))
    found = {key: value for key, value in named if value is not None and not _free(key)}
    size = whole_number(found.get(BATCH))
    for name in BEGINNINGS:
        if found.get(name):
            found[name] = RUN.sub("", readable(found[name]))
    if batch or size:
        found[BATCH] = batch or (size or 0) * processes(config)
    return found


def processes(config: dict[str, Any]) -> int:
    """As far as the configuration says."""
    devices = below(config, "trainer", "devices")
    if isinstance(devices, str):
        devices = int(devices) if devices.isdigit() else [each for each in devices.split(",") if each]
    count = len(devices) if isinstance(devices, list) else whole_number(devices) or 1
    return max(1, count) * (whole_number(below(config, "trainer", "num_nodes")) or 1)


def _free(key: str) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in FREE)


def identity(value: Any) -> str:
    """The same for 2 and 2.0."""
    return json.dumps(_even(value), sort_keys=True, default=str)


def _even(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _even(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_even(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def plain(key: str, value: Any) -> Any:
    """Of a class its own name."""
    is_path = key.endswith("class_path") and isinstance(value, str)
    return readable(value.rsplit(".", 1)[-1]) if is_path else value


def shown(key: str, value: Any) -> str:
    value = plain(key, value)
    if isinstance(value, float):
        text = f"{value:g}"
    elif isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, default=str).replace('"', "")
    text = readable(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Of each key the fewest last parts that mean it alone: gamma, generator.width."""
    keys = list(dict.fromkeys(keys))
    ends: dict[str, int] = {}
    for key in keys:
        for end in _ends(key):
            ends[end] = ends.get(end, 0) + 1
    return {key: next((end for end in _ends(key) if ends[end] == 1), key) for key in keys}


def _ends(key: str) -> list[str]:
    parts = [part for part in key.split(".") if part not in SILENT] or [key]
    # A place in a list tells nothing without the list.
    starts = [place for place in reversed(range(len(parts))) if not parts[place].isdigit()]
    return [".".join(parts[place:]) for place in starts]
