"""`ganlab launch`: experiments x seeds as one SLURM array job, or here, one after the other."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn, cast

from rich.console import Console
from rich.live import Live

from ganlab.cli.experiment import GanCLI
from ganlab.cli.parser import run_command, silence_warnings
from ganlab.cli.run_folder import RunFolder
from ganlab.errors import Refused
from ganlab.loggers import dispatch
from ganlab.runs import user_code
from ganlab.runs.folder import create_folder, write_config
from ganlab.runs.state import JOB, LIST, state_of, state_table, states_in
from ganlab.runs.status import write_status as tell_status
from ganlab.system import slurm

LAUNCHES = "launches"  # within the folder of all runs


class Brief(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"ganlab: {message}.\nAll options: {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def main(arguments: list[str]) -> int:
    chosen = parser().parse_args(joined(arguments[1:]))
    silence_warnings()
    code: list[int] = []
    return run_command(lambda: code.append(launch(chosen, arguments))) or sum(code)


def joined(arguments: list[str]) -> list[str]:
    """--sbatch --mem=8G: one word, because what it passes on begins like an option of this command."""
    words = iter(arguments)
    return [
        f"{word}={next(words, '')}" if word in ("--sbatch", "--setup", "--set") else word for word in words
    ]


def parser() -> argparse.ArgumentParser:
    parser = Brief(
        prog="ganlab launch", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("experiments", nargs="*", metavar="EXPERIMENT.yaml", help="each is run with each seed")
    add("--seeds", default="0", help="for instance 0-4 or 0,3,7-9")
    add(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any option of ganlab fit; repeatable"
    )
    add("--runs", default="runs", help="the folder that collects all runs")
    add("--nodes", type=int, default=1)
    add("--gpus-per-node", type=int, default=0, metavar="N", help="a process each; 0: CPUs only")
    add("--tasks-per-node", type=int, metavar="N", help="processes on each node, where there are no GPUs")
    add("--cpus-per-task", type=int, metavar="N")
    add("--time", help="SLURM's limit, for instance 4:00:00; a run that needs longer goes on in a next turn")
    add("--grace", type=int, default=120, metavar="SECONDS", help="how long before the limit a run is saved")
    add("--partition")
    add("--sbatch", action="append", default=[], metavar="OPTION", help="any option of sbatch; repeatable")
    add("--setup", action="append", default=[], metavar="LINE", help="a line of shell before the run")
    add("--dry-run", action="store_true", help="print the script and do nothing")
    add("--local", action="store_true", help="run the list on this machine, without SLURM")
    add("--jobs", type=int, default=1, metavar="K", help="with --local: so many at once")
    add("--status", metavar="FOLDER", help="where the runs of a launch, or in any folder, stand")
    add("--json", action="store_true", help="with --status: for programs")
    return parser


def launch(chosen: argparse.Namespace, arguments: list[str]) -> int:
    if chosen.status:
        return tell(Path(chosen.status), as_json=chosen.json)
    if not chosen.experiments:
        raise Refused("Name an experiment's file: ganlab launch experiments/digits/r3gan.yaml --seeds 0-4")
    if missing := [name for name in chosen.experiments if not Path(name).is_file()]:
        raise Refused(f"There is no file {missing[0]}.\nThose there are: ganlab list.")
    if not chosen.local and not chosen.dry_run and not slurm.here():
        raise Refused("There is no sbatch here. Look at the script by --dry-run, or run the list by --local.")
    plans = [plan(chosen, Path(name), seed) for name in chosen.experiments for seed in seeds(chosen.seeds)]
    folder = Path(chosen.runs) / LAUNCHES / time.strftime("%Y%m%d-%H%M%S")
    if chosen.dry_run:
        print(script(chosen, arguments, folder, [each.planned_path for each in plans]), end="")
        return 0
    folder = create_folder(folder)
    found = [each.write() for each in plans]
    (folder / LIST).write_text("".join(f"{run}\n" for run in found))
    if chosen.local:
        print(f"{len(found)} runs; how they stand: ganlab launch --status {folder}")
        return here(found, chosen.jobs)
    (path := folder / "job.sh").write_text(script(chosen, arguments, folder, found))
    (folder / JOB).write_text(job := slurm.submit(path))
    print(
        f"job {job}: {len(found)} runs, submitted as {path}\nhow they stand: ganlab launch --status {folder}"
    )
    return 0


def seeds(text: str) -> list[int]:
    """0-2,7: [0, 1, 2, 7]."""
    found: list[int] = []
    for part in text.split(","):
        if not (ends := re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)):
            raise Refused(f"'{text}' are no seeds. For instance: --seeds 0-4, or --seeds 0,3,7-9.")
        found.extend(range(int(ends[1]), int(ends[2] or ends[1]) + 1))
    return found


class Planned(GanCLI):
    """Reads a configuration as `fit` would and checks its keys, but makes nothing of it yet: a login node
    has neither the GPUs nor, perhaps, the data.
    """

    def before_instantiate_classes(self) -> None:
        self.settle()

    def instantiate_classes(self) -> None:
        pass

    def _run_subcommand(self, subcommand: str) -> None:
        pass

    def write(self) -> Path:
        folder = create_folder(self.planned_path)
        write_config(folder, self.dumped())
        user_code.keep(self.run_folder.code_folders, folder)
        dispatch.plan(self.settings.trainer.logger, folder, self.group)
        return folder


def plan(chosen: argparse.Namespace, experiment: Path, seed: int) -> Planned:
    processes = tasks(chosen)
    size = {"num_nodes": chosen.nodes, "devices": processes} if not chosen.local or processes > 1 else {}
    options = [
        f"--runs={chosen.runs}",
        f"--seed_everything={seed}",
        *(f"--trainer.{name}={value}" for name, value in size.items()),
        *(f"--{assigned}" for assigned in chosen.set),
    ]
    run = RunFolder(user_code.find([experiment]))
    return cast(Planned, Planned.read(["fit", "--config", str(experiment), *options], run))


def tasks(chosen: argparse.Namespace) -> int:
    return chosen.tasks_per_node or max(1, chosen.gpus_per_node)


def script(chosen: argparse.Namespace, arguments: list[str], folder: Path, found: list[Path]) -> str:
    """Plain enough to be edited and submitted by hand."""
    names = dict.fromkeys(Path(name).stem for name in chosen.experiments)
    options = {
        "job-name": f"ganlab-{'-'.join(names)}"[:60],
        "array": f"0-{len(found) - 1}",
        "nodes": chosen.nodes,
        "ntasks-per-node": tasks(chosen),
        "gpus-per-node": chosen.gpus_per_node or None,
        "cpus-per-task": chosen.cpus_per_task,
        "time": chosen.time,
        "partition": chosen.partition,
        # A run saves itself, and its job goes back into the queue.
        "signal": f"USR1@{chosen.grace}",
        "requeue": "",
        "open-mode": "append",
        "output": f"{folder.resolve()}/slurm-%a.log",
    }
    told = [f"--{name}={value}".rstrip("=") for name, value in options.items() if value is not None]
    words = [word for option in chosen.sbatch for word in shlex.split(option)]
    given = [word if word.startswith("-") else f"--{word}" for word in words]
    lines = [
        "#!/bin/bash",
        f"# ganlab {shlex.join(word for word in arguments if word != '--dry-run')}",
        f"# Edit it as you like and submit it again: sbatch {folder / 'job.sh'}",
        *(f"#SBATCH {option}" for option in [*told, *given]),
        "",
        f"cd {shlex.quote(os.getcwd())}",
        *chosen.setup,
        "runs=(",
        *(f"  {shlex.quote(str(run.resolve()))}" for run in found),
        ")",
        "run=${runs[$SLURM_ARRAY_TASK_ID]}",
        "srun --kill-on-bad-exit=1 --open-mode=append \\",
        '  --output="$run/stdout.log" --error="$run/stderr.log" \\',
        f'  {shlex.quote(sys.executable)} -m ganlab fit --resume "$run"',
    ]
    return "\n".join(lines) + "\n"


def tell(folder: Path, *, as_json: bool) -> int:
    found = states_in(folder)
    if not found:
        raise Refused(f"There are no runs in {folder}.")
    if as_json:
        print(json.dumps([each.plain() for each in found], indent=2))
    else:
        Console().print(state_table(found))
    return 0


def here(found: list[Path], jobs: int) -> int:
    """Run them all, `jobs` at once; on an accelerated machine each takes the next device in turn."""
    waiting, running = list(found), dict[Path, Any]()
    failed, stopped, shown = 0, False, dict[Path, str]()
    console = Console()
    with ExitStack() as stack:
        live = stack.enter_context(Live(console=console, transient=True)) if console.is_terminal else None
        while running or (waiting and not stopped):
            try:
                while waiting and len(running) < jobs and not stopped:
                    run = waiting.pop(0)
                    running[run] = start(run, len(found) - len(waiting) - 1, jobs)
                for run in [run for run, process in running.items() if process.poll() is not None]:
                    failed += running.pop(run).returncode != 0
                rows = [state_of(run) for run in found]
                if live:
                    live.update(state_table(rows))
                for row in rows:
                    if not live and row.state != shown.get(row.run, "queued"):
                        print(f"{row.name}  {row.state}  {row.score}  {row.detail}".rstrip(), flush=True)
                    shown[row.run] = row.state
                time.sleep(0.5)
            except KeyboardInterrupt:
                stopped = True
                for process in running.values():
                    process.send_signal(signal.SIGINT)
    console.print(state_table([state_of(run) for run in found]))
    return 130 if stopped else min(failed, 1)


def start(run: Path, turn: int, jobs: int) -> subprocess.Popen[bytes]:
    import torch

    told = dict(os.environ)
    if jobs > 1 and (devices := torch.cuda.device_count()):
        told.setdefault("CUDA_VISIBLE_DEVICES", str(turn % devices))
    elif jobs > 1:
        told.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // jobs)))
    command = [sys.executable, "-m", "ganlab", "fit", "--resume", str(run)]
    with (run / "stdout.log").open("ab") as out, (run / "stderr.log").open("ab") as err:
        # In a session of its own, so that Ctrl-C meets it once, through this process.
        process = subprocess.Popen(command, stdout=out, stderr=err, env=told, start_new_session=True)
    tell_status(run, "starting", pid=process.pid)
    return process
