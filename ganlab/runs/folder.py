"""What a run's folder holds.

runs/<data>/<experiment>/<time>-seed<k>/
    config.yaml        repeats the run, given the data
    environment.json   versions, hardware, commit; of a run that was resumed, one for each start
    status.json        how far it is, and whether it still runs
    clock.jsonl        seconds of training and peak memory over time
    metrics.csv        every term over time
    scores.jsonl       every evaluation, with its contract
    verdict.json       what the watchdog says
    hparams.yaml       what the checkpoint rebuilds the game from, to read
    code/              the user's own modules
    nearest/           samples beside the training images nearest to them, at each evaluation of pictures
    checkpoints/  samples/  and, where they were asked for, wandb/  tensorboard/
"""

import fcntl
import json
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import IO

from ganlab.errors import Refused
from ganlab.runs.status import CLOCK, METRICS, SCORES
from ganlab.system import hardware
from ganlab.system.atomic_file import atomic_write, remove_leftovers
from ganlab.system.records import Records, Table

PACKAGES = ("ganlab", "torch", "lightning", "torchvision", "torchmetrics", "numpy", "jsonargparse")
PATIENCE = 20  # seconds
_claimed: list[IO[str]] = []


def new_run_path(root: Path, *, data: str, experiment: str, seed: int) -> Path:
    """Where a run that starts now would have its folder."""
    return root / snake_case(data) / experiment / f"{time.strftime('%Y%m%d-%H%M%S')}-seed{seed}"


def create_folder(wanted: Path) -> Path:
    """Make a new folder, never one that exists: if need be, with a number behind its name."""
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 1000):
            folder = wanted if attempt == 1 else wanted.with_name(f"{wanted.name}-{attempt}")
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise Refused(f"No run folder can be made in {wanted.parent}: {error.strerror} (runs).") from error
    raise FileExistsError(f"{wanted} and 998 folders beside it exist")


def run_of(checkpoint: Path) -> Path | None:
    """The run whose checkpoint it is."""
    above = checkpoint.resolve().parent.parent
    return above if checkpoint.suffix == ".ckpt" and (above / "config.yaml").is_file() else None


def discard_folder(folder: Path) -> None:
    """Take back a run folder that was made for nothing, and what was made for it alone."""
    shutil.rmtree(folder, ignore_errors=True)
    for parent in (folder.parent, folder.parent.parent):
        with suppress(OSError):
            parent.rmdir()


def snake_case(name: str) -> str:
    """CatsVsDogs: cats_vs_dogs; FashionMNIST: fashion_mnist; CelebA: celeba."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][A-Za-z])", "_", name).lower()


def experiment_name(config: Path | None, variant: str) -> str:
    """The file's stem; of a run's own config.yaml, the experiment it was; without a file, the variant."""
    if config is None:
        return snake_case(variant)
    return config.resolve().parent.parent.name if config.name == "config.yaml" else config.stem


def claim_folder(folder: Path) -> bool:
    """Keep a run to this process until it ends, and clear away what killed ones left half-written.

    Returns whether it had to wait for another process.
    """
    try:
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise Refused(f"Nothing can be written in the run's folder {folder}: {error.strerror}.") from error
    _claimed.append(lock)
    for waited in range(PATIENCE + 1):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for each in (folder, folder / "checkpoints"):
                remove_leftovers(each)
            return waited > 0
        except BlockingIOError:
            # What a killed process left running lets go within seconds.
            time.sleep(waited < PATIENCE)
        except OSError:
            return False  # Some network folders know no locks.
    raise Refused(f"Another process is training {folder} right now.")


def rewind_records(folder: Path, step: int) -> None:
    """Drop what was recorded after the step that a run goes on from: it will be recorded again.

    What `ganlab evaluate` added stays: nobody will score that checkpoint again.
    """
    Table(folder / METRICS).rewind(step)
    Records(folder / CLOCK).rewind(step)
    Records(folder / SCORES).rewind(step, keep=lambda row: "checkpoint" in row)


def write_config(folder: Path, text: str) -> None:
    with atomic_write(folder / "config.yaml") as made:
        made.write_text(text)


def write_environment(folder: Path) -> None:
    """Of the first start, and of each later one beside it."""
    found = {
        "command": sys.argv,
        "python": sys.version.split()[0],
        **{package: metadata.version(package) for package in PACKAGES},
        **hardware.describe(),
        "commit": _commit(),
    }
    earlier = len([*folder.glob("environment*.json")])
    name = f"environment-{earlier + 1}.json" if earlier else "environment.json"
    (folder / name).write_text(json.dumps(found, indent=2) + "\n")


def _commit() -> str | None:
    """The commit of the folder that the run was started in, marked if files there differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
