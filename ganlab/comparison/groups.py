"""Runs that differ in nothing but their seeds, under the shortest name that tells them from the others."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ganlab.comparison.read import UNKNOWN, Group, Run
from ganlab.comparison.settings import identity, plain, settings_of, short_names, shown
from ganlab.errors import Refused

Settings = dict[str, Any]


def groups(runs: Iterable[Run], by: str | None = None, pool: bool = False) -> list[Group]:
    """In the order of their first runs; of runs whose settings are not known none.

    Args:
        by: A setting, in full or in short, that the groups are called by.
        pool: Put together what has the same name, though its settings differ: that of the experiment, or
            the one that `by` gives it.
    """
    alike: dict[str, list[Run]] = {}
    for run in runs:
        if run.settings:
            alike.setdefault(identity(run.settings), []).append(run)
    members = list(alike.values())
    if not members:
        return []
    of = short_names(key for each in members for key in each[0].settings)
    keys = differing(members)
    found = []
    for name, each in zip(_names(members, of), members, strict=True):
        own = each[0].settings
        differs = {of[key]: plain(key, own[key]) for key in keys if key in own}
        once, repeated = _once(each)
        found.append(Group(name, once, differs, repeated))
    key = _key(by, of) if by else None
    if key:
        for group in found:
            value = group.runs[0].settings.get(key)
            group.name = f"{of[key]}={shown(key, value)}"
    return _pooled(found, by_experiment=not key) if pool else _told_apart(found, _names(members, of))


def beside(usual: Settings, own: Settings, experiment: str) -> str:
    """The name of a run's group among runs of its experiment, of which most have the usual settings."""
    alike = [Run("", None, "", experiment, UNKNOWN, settings_of(each), "") for each in (usual, own)]
    return groups(alike)[-1].name


def unlike_others(own: Settings, experiment: str) -> str:
    """A name that tells a group from all others, where it is not known what is usual."""
    return f"{experiment} {hashlib.sha256(identity(settings_of(own)).encode()).hexdigest()[:6]}"


def _once(alike: list[Run]) -> tuple[list[Run], list[Run]]:
    """Of each seed the run that came to its end, and of several the latest; and those left over."""
    kept: dict[Any, Run] = {}
    for run in alike:
        seed = run.source if run.seed == UNKNOWN else run.seed
        if seed not in kept or (run.ended, _began(run)) >= (kept[seed].ended, _began(kept[seed])):
            kept[seed] = run
    runs = sorted(kept.values(), key=lambda run: run.seed)
    return runs, [run for run in alike if not any(run is each for each in runs)]


def _began(run: Run) -> str:
    return run.folder.name if run.folder else ""


def _key(by: str, of: dict[str, str]) -> str:
    matching = [key for key, short in of.items() if by in (key, short) or f".{key}".endswith(f".{by}")]
    if len(matching) == 1 or by in of:
        return by if by in of else matching[0]
    near = matching or [key for key in of if of[key] in difflib.get_close_matches(by, of.values(), n=3)]
    said = f"'{by}' is more than one setting" if matching else f"These runs have no setting '{by}'"
    raise Refused(f"{said} (--by). Nearest: {', '.join(of[key] for key in near[:4]) or 'none'}.")


def differing(members: list[list[Run]]) -> list[str]:
    keys = dict.fromkeys(key for each in members for key in each[0].settings)
    return [key for key in keys if len({_value(each, key) for each in members}) > 1]


def _value(group: list[Run], key: str) -> str:
    settings = group[0].settings
    return identity(settings[key]) if key in settings else "absent"


def _names(members: list[list[Run]], of: dict[str, str]) -> list[str]:
    """The experiment's, and what is not as in most groups of it; of as many, as in the first."""
    experiments = [" + ".join(dict.fromkeys(run.experiment for run in each)) for each in members]
    names = [""] * len(members)
    for experiment in dict.fromkeys(experiments):
        own = [index for index, name in enumerate(experiments) if name == experiment]
        said = _said([members[index] for index in own], of)
        for index, words in zip(own, said, strict=True):
            names[index] = " ".join([experiment, *words])
    return names


def _said(members: list[list[Run]], of: dict[str, str]) -> list[list[str]]:
    keys = differing(members)
    usual = {key: Counter(_value(each, key) for each in members).most_common(1)[0][0] for key in keys}
    unusual = [[key for key in keys if _value(each, key) != usual[key]] for each in members]
    # What a group's own class is made with goes without saying, unless it sets two groups apart.
    brief = [[key for key in each if not key.startswith(_swapped(each))] for each in unusual]
    told = [list(map(_value, [each] * len(keys), keys)) for keys, each in zip(brief, members, strict=True)]
    said = list(zip(map(tuple, brief), map(tuple, told), strict=True))
    chosen = [
        short if said.count(one) == 1 else long for short, long, one in zip(brief, unusual, said, strict=True)
    ]
    return [
        [f"{of[key]}={shown(key, each[0].settings.get(key, 'none'))}" for key in keys]
        for keys, each in zip(chosen, members, strict=True)
    ]


def _swapped(keys: list[str]) -> tuple[str, ...]:
    classes = [key for key in keys if key.endswith(".class_path")]
    return tuple(key.removesuffix("class_path") + "init_args." for key in classes)


def _told_apart(found: list[Group], full: list[str]) -> list[Group]:
    """Groups of one label keep their own names behind it, and at last a number."""
    count = Counter(group.name for group in found)
    for group, name in zip(found, full, strict=True):
        if count[group.name] > 1 and group.name != name:
            group.name = f"{group.name} ({name})"
    seen: Counter[str] = Counter()
    for group in found:
        seen[group.name] += 1
        if seen[group.name] > 1:
            group.name = f"{group.name} #{seen[group.name]}"
    return found


def _pooled(found: list[Group], *, by_experiment: bool) -> list[Group]:
    kept: dict[str, list[Group]] = {}
    for group in found:
        kept.setdefault(group.runs[0].experiment if by_experiment else group.name, []).append(group)
    return [_one(name, parts) for name, parts in kept.items()]


def _one(name: str, parts: list[Group]) -> Group:
    differs: dict[str, Any] = {}
    for key in dict.fromkeys(key for part in parts for key in part.differs):
        values = [*{identity(each): each for each in (part.differs.get(key) for part in parts)}.values()]
        differs[key] = values[0] if len(values) == 1 else " | ".join(shown(key, each) for each in values)
    runs = [run for part in parts for run in part.runs]
    return Group(name, runs, differs, [run for part in parts for run in part.repeated])
