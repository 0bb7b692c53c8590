"""`ganlab launch`: experiments x seeds as one SLURM array job, or here, one after the other."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import NoReturn, cast

import yaml
from rich.console import Console

from ganlab.cli.experiment import GanCLI
from ganlab.cli.job_script import job_script, processes_per_node
from ganlab.cli.local_runs import RUN, run_locally
from ganlab.cli.main import COMMANDS
from ganlab.cli.parser import run_command, silence_warnings
from ganlab.cli.run_folder import RunFolder
from ganlab.errors import Refused
from ganlab.loggers import dispatch
from ganlab.runs import user_code
from ganlab.runs.folder import create_folder, write_config
from ganlab.runs.state import JOB, state_table, states_in, write_list
from ganlab.system import slurm

LAUNCHES = "launches"  # a folder in that of all runs


class ShortErrorParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"ganlab: {message}.\nAll options: {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def main(arguments: list[str]) -> int:
    chosen = parser().parse_args(join_values(arguments[1:]))
    silence_warnings()
    codes: list[int] = []
    return run_command(lambda: codes.append(launch(chosen, arguments))) or sum(codes)


def join_values(arguments: list[str]) -> list[str]:
    """From `--sbatch --mem=8G` to `--sbatch=--mem=8G`: argparse takes no value that begins like an option."""
    words = iter(arguments)
    return [
        f"{word}={next(words, '')}" if word in ("--sbatch", "--setup", "--set", "--cross", "--then") else word
        for word in words
    ]


def at_least(least: int) -> Callable[[str], int]:
    """A type of argument: whole numbers from `least` on."""

    def read(text: str) -> int:
        if not text.isdecimal() or len(text) > 9 or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {least} on")
        return int(text)

    return read


def parser() -> argparse.ArgumentParser:
    parser = options("ganlab launch", __doc__ or "", seeds="0")
    add = parser.add_argument
    add("experiments", nargs="*", metavar="EXPERIMENT.yaml", help="each is run with each seed")
    add(
        "--cross",
        action="append",
        default=[],
        metavar="KEY=[A, B]",
        help="a run with each of these values; repeatable: with all combinations",
    )
    add(
        "--then",
        action="append",
        default=[],
        metavar="COMMAND",
        help="of ganlab, after each run that came to its end, with RUN for its folder; repeatable:"
        " 'anomaly RUN --out RUN/anomaly'",
    )
    add("--status", metavar="FOLDER", help="the states of the runs of a launch, or in any folder")
    add("--json", action="store_true", help="with --status: for programs")
    return parser


def options(name: str, description: str, *, seeds: str) -> argparse.ArgumentParser:
    """A parser of what runs are launched with: settings, seeds, and what is asked of SLURM."""
    parser = ShortErrorParser(
        prog=name, description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--seeds", default=seeds, help="for instance 0-4 or 0,3,7-9")
    add(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any option of ganlab fit; repeatable"
    )
    add("--runs", default="runs", help="the folder that collects all runs")
    one, none = at_least(1), at_least(0)
    add("--nodes", type=one, default=1)
    add("--gpus-per-node", type=none, default=0, metavar="N", help="a process each; 0: CPUs only")
    add(
        "--tasks-per-node",
        type=one,
        metavar="N",
        help="processes on each node, where there are no GPUs",
    )
    add("--cpus-per-task", type=one, metavar="N")
    add("--time", help="SLURM's limit, for instance 4:00:00; a run that needs longer goes on in a next turn")
    add(
        "--grace",
        type=none,
        default=120,
        metavar="SECONDS",
        help="how long before the limit a run is saved",
    )
    add("--partition")
    add("--sbatch", action="append", default=[], metavar="OPTION", help="any option of sbatch; repeatable")
    add("--setup", action="append", default=[], metavar="LINE", help="a line of shell before the run")
    add("--dry-run", action="store_true", help="print the script and do nothing")
    add("--local", action="store_true", help="run the list on this machine, without SLURM")
    add("--jobs", type=one, default=1, metavar="K", help="with --local: so many at once")
    return parser


def launch(chosen: argparse.Namespace, arguments: list[str]) -> int:
    if chosen.status:
        return show_states(Path(chosen.status), as_json=chosen.json)
    if not chosen.experiments:
        raise Refused("Name an experiment's file: ganlab launch experiments/digits/r3gan.yaml --seeds 0-4")
    if missing := [name for name in chosen.experiments if not Path(name).is_file()]:
        raise Refused(f"There is no file {missing[0]}.\nThose there are: ganlab list.")
    seeds = parse_seeds(chosen.seeds)
    then = [follow_up(command) for command in chosen.then]
    planned = [
        plan_run(chosen, Path(name), [*chosen.set, *values], seed)
        for name in chosen.experiments
        for values in combinations(chosen.cross)
        for seed in seeds
    ]
    return begin(chosen, arguments, planned, then)[0]


def begin(
    chosen: argparse.Namespace, arguments: list[str], planned: list[PlannedRun], then: list[list[str]]
) -> tuple[int, list[Path]]:
    """Write the runs, and submit them or run them here; the exit code, and the runs."""
    if not chosen.local and not chosen.dry_run and not slurm.here():
        raise Refused("There is no sbatch here. Look at the script by --dry-run, or run the list by --local.")
    folder = Path(chosen.runs) / LAUNCHES / time.strftime("%Y%m%d-%H%M%S")
    if chosen.dry_run:
        print(job_script(chosen, arguments, folder, [run.planned_path for run in planned], then), end="")
        return 0, []
    folder = create_folder(folder)
    runs = [run.write() for run in planned]
    write_list(folder, runs)
    if chosen.local:
        print(f"{len(runs)} runs; their states: ganlab launch --status {folder}")
        return run_locally(runs, chosen.jobs, max(1, chosen.gpus_per_node), then), runs
    (path := folder / "job.sh").write_text(job_script(chosen, arguments, folder, runs, then))
    (folder / JOB).write_text(job := slurm.submit(path))
    print(f"job {job}: {len(runs)} runs, submitted as {path}\ntheir states: ganlab launch --status {folder}")
    return 0, runs


def parse_seeds(text: str) -> list[int]:
    """From "0-2,7" to [0, 1, 2, 7]."""
    seeds: list[int] = []
    for part in text.split(","):
        if not (ends := re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)):
            raise Refused(f"'{text}' are no seeds. For instance: --seeds 0-4, or --seeds 0,3,7-9.")
        seeds.extend(range(int(ends[1]), int(ends[2] or ends[1]) + 1))
    return seeds


def combinations(crossed: list[str]) -> list[tuple[str, ...]]:
    """From ["a=[1, 2]", "b=[3, 4]"] to [("a=1", "b=3"), ("a=1", "b=4"), ("a=2", "b=3"), ("a=2", "b=4")]."""
    return [*product(*map(assignments, crossed))]


def assignments(crossed: str) -> list[str]:
    """From "a=[1, {b: 2}]" to ["a=1", 'a={"b": 2}']."""
    key, _, text = crossed.partition("=")
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError:
        values = None
    if not key or not isinstance(values, list) or not values:
        raise Refused(
            f"--cross {crossed} names no values. It takes a list of them, as in YAML:\n"
            "--cross 'model.loss=[Hinge, NonSaturating]'."
        )
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for value in values]


class PlannedRun(GanCLI):
    """Reads a configuration and checks its keys as `fit` does, but builds neither networks nor data.

    A login node has no GPUs and perhaps not the data.
    """

    def before_instantiate_classes(self) -> None:
        self.normalise_settings()

    def instantiate_classes(self) -> None:
        pass

    def _run_subcommand(self, subcommand: str) -> None:
        pass

    def write(self) -> Path:
        """Create the run's folder with all that `fit --resume` needs; return its path."""
        folder = create_folder(self.planned_path)
        write_config(folder, self.dump_settings(), self.run_folder.code_folders)
        dispatch.remember_group(self.settings.trainer.logger, folder, self.group)
        return folder


def plan_run(chosen: argparse.Namespace, experiment: Path, settings: list[str], seed: int) -> PlannedRun:
    processes = processes_per_node(chosen)
    size = {"num_nodes": chosen.nodes, "devices": processes} if not chosen.local or processes > 1 else {}
    options = [
        f"--runs={chosen.runs}",
        f"--seed_everything={seed}",
        *(f"--trainer.{name}={value}" for name, value in size.items()),
        *(f"--{assigned}" for assigned in settings),
    ]
    run = RunFolder(user_code.add_to_path([experiment]))
    return cast(PlannedRun, PlannedRun.read(["fit", "--config", str(experiment), *options], run))


def follow_up(command: str) -> list[str]:
    """The words of a command that follows each run."""
    words = shlex.split(command)
    words = words[1:] if words[:1] == ["ganlab"] else words
    if words[:1] not in ([name] for name in COMMANDS) or not any(map(RUN.search, words)):
        raise Refused(
            f"--then '{command}': a command of ganlab, in which RUN stands for a run's folder, such as\n"
            "--then 'anomaly RUN --out RUN/anomaly'."
        )
    return words


def show_states(folder: Path, *, as_json: bool) -> int:
    states = states_in(folder)
    if not states:
        raise Refused(f"There are no runs in {folder}.")
    if as_json:
        print(json.dumps([state.plain() for state in states], indent=2))
    else:
        Console().print(state_table(states))
    return 0
