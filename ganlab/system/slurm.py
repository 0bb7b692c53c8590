"""Calls of SLURM's commands: the end and the state of jobs, submitting and requeueing them."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

from ganlab.errors import Refused

TIMEOUT = 60  # seconds


def here() -> bool:
    """Whether jobs can be submitted from this machine."""
    return shutil.which("sbatch") is not None


def job() -> str | None:
    """The number of the job that this process belongs to."""
    return os.environ.get("SLURM_JOB_ID")


def end(job: str) -> float | None:
    """When a job's time limit is over, in seconds since 1970; none: it has no limit, or that is unknown."""
    end_time = os.environ.get("SLURM_JOB_END_TIME", "")
    if end_time.isdecimal():
        return float(end_time)
    try:
        # Older versions of SLURM do not set that variable.
        return datetime.fromisoformat(_output("squeue", "-h", "-j", job, "-o", "%e").strip()).timestamp()
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def requeue(job: str) -> str:
    """Put a job back into the queue; returns a sentence that says whether it worked."""
    try:
        _output("scontrol", "requeue", job)
    except subprocess.CalledProcessError as error:
        return f"job {job} was not requeued: {error.stderr.strip()}"
    except (OSError, subprocess.SubprocessError) as error:
        return f"job {job} was not requeued: {error}"
    return f"job {job} is back in the queue"


def submit(script: Path) -> str:
    """Submit a job script; returns the new job's number."""
    try:
        return _output("sbatch", "--parsable", str(script)).strip().partition(";")[0]
    except FileNotFoundError:
        raise Refused("There is no sbatch here. Run the list on this machine with --local.") from None
    except subprocess.CalledProcessError as error:
        reason = " ".join(error.stderr.split())
        raise Refused(f"SLURM refused {script}:\n{reason}\nEdit it and submit it: sbatch {script}") from None


def states(job: str) -> dict[int, str] | None:
    """PENDING, RUNNING, COMPLETING, … of each task of an array job that is not over, by its index.

    None if SLURM cannot be asked: that tells nothing about the job.
    """
    try:
        lines = _output("squeue", "-h", "-r", "-j", job, "-o", "%K %T").splitlines()
    except subprocess.CalledProcessError as error:
        # SLURM forgets a job some time after its end.
        return {} if "Invalid job id" in error.stderr else None
    except (OSError, subprocess.SubprocessError):
        return None
    rows = (line.split() for line in lines)
    return {int(row[0]): row[1] for row in rows if len(row) == 2 and row[0].isdecimal()}


def _output(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=True, timeout=TIMEOUT
    )
    return done.stdout
