"""The script that SLURM is given for a launch, which may also be edited and submitted by hand."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from ganlab.cli.local_runs import RUN


def processes_per_node(chosen: argparse.Namespace) -> int:
    return chosen.tasks_per_node or max(1, chosen.gpus_per_node)


def job_script(
    chosen: argparse.Namespace, arguments: list[str], folder: Path, runs: list[Path], then: list[list[str]]
) -> str:
    """Each of the runs as a task of one job, and after it the commands that follow."""
    names = dict.fromkeys(Path(name).stem for name in chosen.experiments)
    options = {
        "job-name": f"ganlab-{'-'.join(names)}"[:60],
        "array": f"0-{len(runs) - 1}",
        "nodes": chosen.nodes,
        "ntasks-per-node": processes_per_node(chosen),
        "gpus-per-node": chosen.gpus_per_node or None,
        "cpus-per-task": chosen.cpus_per_task,
        "time": chosen.time,
        "partition": chosen.partition,
        # At this signal a run saves a checkpoint and requeues its job.
        "signal": f"USR1@{chosen.grace}",
        "requeue": "",
        "open-mode": "append",
        "output": f"{folder.resolve()}/slurm-%a.log",
    }
    chosen_options = [f"--{name}={value}".rstrip("=") for name, value in options.items() if value is not None]
    words = [word for option in chosen.sbatch for word in shlex.split(option)]
    passed_on = [word if word.startswith("-") else f"--{word}" for word in words]
    lines = [
        "#!/bin/bash",
        f"# ganlab {shlex.join(word for word in arguments if word != '--dry-run')}",
        f"# Edit it as you like and submit it again: sbatch {folder / 'job.sh'}",
        *(f"#SBATCH {option}" for option in [*chosen_options, *passed_on]),
        "",
        f"cd {shlex.quote(os.getcwd())}",
        *chosen.setup,
        "runs=(",
        *(f"  {shlex.quote(str(run.resolve()))}" for run in runs),
        ")",
        "run=${runs[$SLURM_ARRAY_TASK_ID]}",
        "srun --kill-on-bad-exit=1 --open-mode=append \\",
        '  --output="$run/stdout.log" --error="$run/stderr.log" \\',
        f'  {shlex.quote(sys.executable)} -m ganlab fit --resume "$run" || exit',
        *(f"{shlex.quote(sys.executable)} -m ganlab {_words_of(command)} || exit" for command in then),
    ]
    return "\n".join(lines) + "\n"


def _words_of(command: list[str]) -> str:
    """As a shell takes them, with the run's folder in RUN's place."""
    parts = ([part and shlex.quote(part) for part in RUN.split(word)] for word in command)
    return " ".join('"$run"'.join(each) if len(each) > 1 else each[0] for each in parts)
