"""Groups of runs that differ in nothing but their seeds, and the shortest names that keep them apart."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from ganlab.comparison.read import UNKNOWN, Group, Run
from ganlab.comparison.settings import canonical, format_value, settings_of, short_names, without_module
from ganlab.errors import Refused

Settings = dict[str, Any]


def groups(runs: Iterable[Run], by: str | None = None, pool: bool = False) -> list[Group]:
    """Groups in the order of their first runs; runs whose settings are not known are left out.

    Args:
        by: A setting, by its full or short name; the groups are named for its values.
        pool: Merge groups of one name, though their settings differ: the experiment's name, or the one that
            `by` gives them.
    """
    by_settings: dict[str, list[Run]] = {}
    for run in runs:
        if run.settings:
            by_settings.setdefault(canonical(run.settings), []).append(run)
    members = list(by_settings.values())
    if not members:
        return []
    short = short_names(key for alike in members for key in alike[0].settings)
    keys = differing_settings(members)
    result = []
    for name, alike in zip(_names(members, short), members, strict=True):
        settings = alike[0].settings
        differs = {short[key]: without_module(key, settings[key]) for key in keys if key in settings}
        chosen, repeated = one_run_a_seed(alike)
        result.append(Group(name, chosen, differs, repeated))
    key = _resolve_setting(by, short) if by else None
    if key:
        for group in result:
            value = group.runs[0].settings.get(key)
            group.name = f"{short[key]}={format_value(key, value)}"
    return _pool(result, by_experiment=not key) if pool else _make_unique(result, _names(members, short))


def name_among_usual(usual: Settings, settings: Settings, experiment: str) -> str:
    """The name of a run's group among runs of its experiment, of which most have the usual settings."""
    runs = [Run("", None, "", experiment, UNKNOWN, settings_of(config), "") for config in (usual, settings)]
    return groups(runs)[-1].name


def unique_name(settings: Settings, experiment: str) -> str:
    """A name that no other group has: the experiment's and a hash of all settings."""
    return f"{experiment} {hashlib.sha256(canonical(settings_of(settings)).encode()).hexdigest()[:6]}"


def one_run_a_seed(alike: list[Run], use: Callable[[Run], int] = bool) -> tuple[list[Run], list[Run]]:
    """For each seed the latest run of those that ended, or else of all, among those of most use; and all
    other runs.
    """
    chosen: dict[Any, Run] = {}

    def rank(run: Run) -> tuple[int, bool, str]:
        # A folder's name begins with the time at which its run began.
        return use(run), run.ended, run.folder.name if run.folder else ""

    for run in alike:
        # Groups that were put together may have a seed with several settings.
        seed = run.source if run.seed == UNKNOWN else run.seed, canonical(run.settings)
        if seed not in chosen or rank(run) >= rank(chosen[seed]):
            chosen[seed] = run
    runs = sorted(chosen.values(), key=lambda run: run.seed)
    return runs, [run for run in alike if not any(run is other for other in runs)]


def _resolve_setting(by: str, short: dict[str, str]) -> str:
    """The full name of the setting that `by` means."""
    matching = [key for key, name in short.items() if by in (key, name) or f".{key}".endswith(f".{by}")]
    if len(matching) == 1 or by in short:
        return by if by in short else matching[0]
    near = matching or [
        key for key in short if short[key] in difflib.get_close_matches(by, short.values(), n=3)
    ]
    problem = f"'{by}' is more than one setting" if matching else f"These runs have no setting '{by}'"
    raise Refused(f"{problem} (--by). Nearest: {', '.join(short[key] for key in near[:4]) or 'none'}.")


def differing_settings(members: list[list[Run]]) -> list[str]:
    """The settings that are not the same in all groups."""
    keys = dict.fromkeys(key for alike in members for key in alike[0].settings)
    return [key for key in keys if len({_value(alike, key) for alike in members}) > 1]


def _value(group: list[Run], key: str) -> str:
    settings = group[0].settings
    return canonical(settings[key]) if key in settings else "absent"


def _names(members: list[list[Run]], short: dict[str, str]) -> list[str]:
    """For each group its experiment's name, and the settings that most groups of the experiment do not have.

    Where two values are equally frequent, the one that comes first counts as the usual one.
    """
    experiments = [" + ".join(dict.fromkeys(run.experiment for run in alike)) for alike in members]
    names = [""] * len(members)
    for experiment in dict.fromkeys(experiments):
        indices = [index for index, name in enumerate(experiments) if name == experiment]
        unusual = _unusual_settings([members[index] for index in indices], short)
        for index, words in zip(indices, unusual, strict=True):
            names[index] = " ".join([experiment, *words])
    return names


def _unusual_settings(members: list[list[Run]], short: dict[str, str]) -> list[list[str]]:
    """For each group its settings that are not those of most groups, as name=value."""
    keys = differing_settings(members)
    usual = {key: Counter(_value(alike, key) for alike in members).most_common(1)[0][0] for key in keys}
    unusual = [[key for key in keys if _value(alike, key) != usual[key]] for alike in members]
    # The arguments of a class that itself is unusual are left out, and those that most groups' classes do not
    # have, unless two groups would then look alike.
    rare = {key for key in keys if usual[key] == "absent" and key.startswith(_arguments_of_classes(keys))}
    brief = [
        [key for key in own if key not in rare and not key.startswith(_arguments_of_classes(own))]
        for own in unusual
    ]
    values = [[_value(alike, key) for key in keys] for keys, alike in zip(brief, members, strict=True)]
    labels = list(zip(map(tuple, brief), map(tuple, values), strict=True))
    chosen = [
        few if labels.count(label) == 1 else all_
        for few, all_, label in zip(brief, unusual, labels, strict=True)
    ]
    return [
        [f"{short[key]}={format_value(key, alike[0].settings.get(key, 'none'))}" for key in keys]
        for keys, alike in zip(chosen, members, strict=True)
    ]


def _arguments_of_classes(keys: list[str]) -> tuple[str, ...]:
    """Prefixes of the arguments of all classes among these settings."""
    classes = [key for key in keys if key.endswith(".class_path")]
    return tuple(key.removesuffix("class_path") + "init_args." for key in classes)


def _make_unique(groups: list[Group], full_names: list[str]) -> list[Group]:
    """Add their full names to groups of one name, and then a number."""
    count = Counter(group.name for group in groups)
    for group, name in zip(groups, full_names, strict=True):
        if count[group.name] > 1 and group.name != name:
            group.name = f"{group.name} ({name})"
    seen: Counter[str] = Counter()
    for group in groups:
        seen[group.name] += 1
        if seen[group.name] > 1:
            group.name = f"{group.name} #{seen[group.name]}"
    return groups


def _pool(groups: list[Group], *, by_experiment: bool) -> list[Group]:
    by_name: dict[str, list[Group]] = {}
    for group in groups:
        by_name.setdefault(group.runs[0].experiment if by_experiment else group.name, []).append(group)
    return [_merge(name, parts) for name, parts in by_name.items()]


def _merge(name: str, parts: list[Group]) -> Group:
    differs: dict[str, Any] = {}
    for key in dict.fromkeys(key for part in parts for key in part.differs):
        values = [*{canonical(value): value for value in (part.differs.get(key) for part in parts)}.values()]
        differs[key] = values[0] if len(values) == 1 else " | ".join(format_value(key, v) for v in values)
    runs = [run for part in parts for run in part.runs]
    return Group(name, runs, differs, [run for part in parts for run in part.repeated])
