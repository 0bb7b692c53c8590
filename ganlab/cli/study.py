"""`ganlab study augmentation`: whether samples of a game help to train a classifier, over training seeds.

Of experiments, a run is trained for each number of reals and each seed, on reals that the seed draws, and
after it the classifiers: on its reals, on moved reals, on samples alone, and on both. Of runs that are there
already, those that have come to their end and have no classifiers yet are given theirs, and all are shown.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ganlab.cli.launch import PlannedRun, at_least, begin, join_values, options, parse_seeds, plan_run
from ganlab.cli.local_runs import run_locally
from ganlab.cli.parser import run_command, silence_warnings
from ganlab.cli.run_data import data_of_run
from ganlab.comparison.read import find_run_folders
from ganlab.comparison.settings import canonical, settings_of
from ganlab.errors import Refused
from ganlab.runs.load import checkpoint_or_export, load
from ganlab.runs.own import CONFIG, refuse_foreign
from ganlab.runs.state import state_of
from ganlab.system.atomic_file import atomic_write
from ganlab.system.hardware import keep_freed_memory
from ganlab.system.untrusted import json_object, whole_number, yaml_config
from ganlab.tasks.augmentation import Budget, accuracies
from ganlab.tasks.verdicts import Cells, findings, plain, table

FOUND = "augmentation.json"  # in a run's folder
DRAWN = ("data.init_args.limit", "data.init_args.draw")  # settings in which a study's runs differ
ALL = "all"


def main(arguments: list[str]) -> int:
    keep_freed_memory()
    chosen = _parser().parse_args(join_values(arguments[1:]))
    silence_warnings()
    codes: list[int] = []
    return run_command(lambda: codes.append(study(chosen, arguments))) or sum(codes)


def _parser() -> argparse.ArgumentParser:
    parser = options("ganlab study", __doc__ or "", seeds="0-2")
    parser.add_argument("study", choices=["augmentation"])
    parser.add_argument(
        "experiments", nargs="+", metavar="EXPERIMENT.yaml", help="or runs, or a launch's folder, of a study"
    )
    parser.add_argument(
        "--counts", default="100,1000,all", help="of reals that are trained on, for instance 100,1000,all"
    )
    words = {
        "steps": "of each classifier",
        "batch": "items a step; of reals and samples half of each",
        "per_class": "samples of each class",
    }
    for name, text in words.items():
        parser.add_argument(f"--{name}", type=at_least(1), default=getattr(Budget(), name), help=text)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def study(chosen: argparse.Namespace, arguments: list[str]) -> int:
    files = [name for name in chosen.experiments if name.endswith((".yaml", ".yml"))]
    if files and len(files) < len(chosen.experiments):
        raise Refused("Name experiments, or runs of a study that was begun, and not both at once.")
    if files:
        code, runs = begin(chosen, arguments, _planned(chosen, files), [_words(chosen)])
        if not chosen.local:
            if runs:
                print("when they are done: ganlab study augmentation FOLDER, with the launch's folder")
            return code
    else:
        runs, code = find_run_folders(chosen.experiments), 0
        unfinished = [run for run in runs if state_of(run).state != "done"]
        if chosen.local and unfinished:
            code = run_locally(unfinished, chosen.jobs, then=[_words(chosen)])
        for run in runs:
            _teach(run, Budget(steps=chosen.steps, batch=chosen.batch, per_class=chosen.per_class))
    _show(runs, as_json=chosen.json)
    return code


def _planned(chosen: argparse.Namespace, files: list[str]) -> list[PlannedRun]:
    """A run for each experiment, number of reals and seed, which draws the reals."""
    return [
        plan_run(chosen, Path(name), [*chosen.set, *_drawn(count, seed)], seed)
        for name in files
        for count in _counts(chosen.counts)
        for seed in parse_seeds(chosen.seeds)
    ]


def _drawn(count: int | None, seed: int) -> list[str]:
    return [] if count is None else [f"data.limit={count}", f"data.draw={seed}"]


def _counts(text: str) -> list[int | None]:
    words = [word.strip() for word in text.split(",")]
    if not all(word == ALL or (word.isdecimal() and int(word)) for word in words):
        raise Refused(f"'{text}' are no numbers of reals. For instance: --counts 100,1000,all")
    return [None if word == ALL else int(word) for word in words]


def _words(chosen: argparse.Namespace) -> list[str]:
    """The command that follows each run."""
    budget = [f"--{name}={getattr(chosen, name)}" for name in ("steps", "batch", "per_class")]
    return ["study", "augmentation", "RUN", *budget]


def _teach(run: Path, budget: Budget) -> None:
    """Train a finished run's classifiers, unless it has them; a run that is not finished is left out."""
    if state_of(run).state != "done" or _found(run).get("budget") == asdict(budget):
        return
    refuse_foreign(run, trust_code=False)
    data = data_of_run(run)
    if data is None:
        raise Refused(f"{run}: its settings name no data that classifiers could be trained on.")
    data.setup("fit")
    seed = whole_number(yaml_config(run / CONFIG, []).get("seed_everything")) or 0
    found = accuracies(load(checkpoint_or_export(run)), data, seed, budget)
    with atomic_write(run / FOUND) as file:
        file.write_text(json.dumps(found, indent=2) + "\n")


def _found(run: Path) -> dict[str, Any]:
    return json_object(run / FOUND, [])


def _show(runs: Sequence[Path], *, as_json: bool) -> None:
    rows, missing = _cells(runs)
    if as_json:
        print(json.dumps({"rows": plain(rows), "missing": missing}))
        return
    if rows:
        print(table(rows))
    for line in (line for cells in rows for line in findings(cells)):
        print(line)
    for line in missing:
        print(line)


def _cells(runs: Sequence[Path]) -> tuple[list[Cells], list[str]]:
    """Runs that differ in nothing but seeds, in the order of their names and numbers; and what is missing."""
    groups: dict[tuple[str, int, str], list[dict[str, float]]] = {}
    missing = []
    for run in runs:
        found, config = _found(run), yaml_config(run / CONFIG, [])
        shares, reals = found.get("accuracies"), whole_number(found.get("reals"))
        if not isinstance(shares, dict) or reals is None:
            missing.append(f"{run}: {state_of(run).state}, without classifiers")
            continue
        settings = {name: value for name, value in settings_of(config).items() if name not in DRAWN}
        alike = canonical([settings, found.get("budget")])
        groups.setdefault(("/".join(run.parts[-3:-1]), reals, alike), []).append(shares)
    names = [(name, reals) for name, reals, _ in groups]
    for twice in {name for name in names if names.count(name) > 1}:
        missing.append(
            f"{twice[0]}: runs on {twice[1]:,} reals differ in more than their seeds: a row of each"
        )
    return [Cells(name, reals, groups[name, reals, alike]) for name, reals, alike in sorted(groups)], missing
