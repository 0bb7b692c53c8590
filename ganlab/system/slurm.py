"""What is asked of SLURM: its jobs' ends, their states, a place in its queue."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

from ganlab.errors import Refused

TIMEOUT = 60  # seconds


def here() -> bool:
    return shutil.which("sbatch") is not None


def job() -> str | None:
    """The job that this process belongs to."""
    return os.environ.get("SLURM_JOB_ID")


def end(job: str) -> float | None:
    """When its time is over, in seconds since 1970; none: it may run for ever, or nobody knows."""
    told = os.environ.get("SLURM_JOB_END_TIME", "")
    if told.isdecimal():
        return float(told)
    try:
        # Older versions of SLURM tell the queue alone.
        return datetime.fromisoformat(_asked("squeue", "-h", "-j", job, "-o", "%e").strip()).timestamp()
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def requeue(job: str) -> str:
    """Put a job back into the queue, and say how that went."""
    try:
        _asked("scontrol", "requeue", job)
    except subprocess.CalledProcessError as error:
        return f"job {job} was not requeued: {error.stderr.strip()}"
    except (OSError, subprocess.SubprocessError) as error:
        return f"job {job} was not requeued: {error}"
    return f"job {job} is back in the queue"


def submit(script: Path) -> str:
    """The new job's number."""
    try:
        return _asked("sbatch", "--parsable", str(script)).strip().partition(";")[0]
    except FileNotFoundError:
        raise Refused("There is no sbatch here. Run the list on this machine with --local.") from None
    except subprocess.CalledProcessError as error:
        reason = " ".join(error.stderr.split())
        raise Refused(f"SLURM refused {script}:\n{reason}\nEdit it and submit it: sbatch {script}") from None


def states(job: str) -> dict[int, str]:
    """Of those tasks of an array job which are not over: PENDING, RUNNING, COMPLETING, …"""
    try:
        lines = _asked("squeue", "-h", "-r", "-j", job, "-o", "%K %T").splitlines()
    except (OSError, subprocess.SubprocessError):
        return {}  # A job that has been over for a while is unknown.
    found = (line.split() for line in lines)
    return {int(task): state for task, state in found if task.isdecimal()}


def _asked(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT)
    return done.stdout
