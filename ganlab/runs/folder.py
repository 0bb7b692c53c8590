"""A run's folder: its name, its lock, and files that are written once.

runs/<data>/<experiment>/<time>-seed<k>/
    config.yaml        all settings; with the data it repeats the run
    environment.json   versions, hardware, commit; one more file for each time the run was resumed
    status.json        state and step
    clock.jsonl        seconds of training and peak memory over time
    metrics.csv        every term over time
    scores.jsonl       every evaluation, with its contract
    verdict.json       the watchdog's verdict
    hparams.yaml       the arguments from which the checkpoint rebuilds the game, for people to read
    code/              the user's own modules
    nearest/           samples beside the training images nearest to them, at each evaluation of pictures
    checkpoints/  samples/  and, if they are asked for, wandb/  tensorboard/
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from ganlab.errors import Refused
from ganlab.runs import user_code
from ganlab.runs.own import CONFIG, with_signature
from ganlab.runs.status import CLOCK, METRICS, SCORES
from ganlab.system import hardware
from ganlab.system.atomic_file import atomic_write, remove_leftovers, sync, temporary_path
from ganlab.system.row_files import Records, Table
from ganlab.version import VERSION

CHECKPOINTS = "checkpoints"
PACKAGES = ("torch", "lightning", "torchvision", "torchmetrics", "numpy", "jsonargparse")
LOCK_TIMEOUT = 20  # seconds


def new_run_path(root: Path, *, data: str, experiment: str, seed: int) -> Path:
    """The folder of a run that starts now."""
    return root / snake_case(data) / experiment / f"{time.strftime('%Y%m%d-%H%M%S')}-seed{seed}"


def create_folder(path: Path) -> Path:
    """Create a folder and return its path; if it exists already, one with a number behind its name."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 1000):
            folder = path if attempt == 1 else path.with_name(f"{path.name}-{attempt}")
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise Refused(f"No run folder can be made in {path.parent}: {error.strerror} (runs).") from error
    raise FileExistsError(f"{path} and 998 folders beside it exist")


def run_of(checkpoint: Path) -> Path | None:
    """The folder of the run that wrote a checkpoint; None if the file lies elsewhere.

    It is looked for by the checkpoint's own path first: checkpoints/ may be a link to another disk.
    """
    for path in (checkpoint.absolute(), checkpoint.resolve()):
        if path.suffix == ".ckpt" and (path.parent.parent / CONFIG).is_file():
            return path.parent.parent
    return None


def missing_parents(path: Path) -> list[Path]:
    """The folders above a path that are to be made for it, the innermost first."""
    return [parent for parent in path.parents if not parent.exists()]


def discard_folder(folder: Path, parents: Iterable[Path]) -> None:
    """Remove a run's folder, and of those made for it the ones that are empty."""
    shutil.rmtree(folder, ignore_errors=True)
    for parent in parents:
        with suppress(OSError):
            parent.rmdir()


def snake_case(name: str) -> str:
    """CatsVsDogs: cats_vs_dogs; FashionMNIST: fashion_mnist; CelebA: celeba."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][A-Za-z])", "_", name).lower()


def experiment_name(config: Path | None, variant: str) -> str:
    """The configuration file's stem; for a run's config.yaml its experiment; without a file the variant."""
    if config is None:
        return snake_case(variant)
    return config.resolve().parent.parent.name if config.name == "config.yaml" else config.stem


class Claim:
    """A run's folder, locked for this process until `release` is called or the process ends.

    Attributes:
        waited: Whether another process had it before.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self.waited = folder / ".lock", False
        self._is_new = not self._path.exists()
        try:
            # Opened as it is, so that nothing waits where the lock is no file.
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)
        except OSError as error:
            raise Refused(
                f"Nothing can be written in the run's folder {folder}: {error.strerror}."
            ) from error
        self._file = os.fdopen(handle, "rb+", buffering=0)
        for attempt in range(LOCK_TIMEOUT + 1):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                # Workers of a killed process hold the lock for a few seconds more.
                self.waited = True
                time.sleep(attempt < LOCK_TIMEOUT)
            except OSError:
                return  # Some network folders have no locks.
        self._file.close()
        raise Refused(f"Another process is training {folder} right now.")

    def release(self, *, unused: bool = False) -> None:
        """Let others have the folder; `unused`: leave it as it was before."""
        if unused and self._is_new:
            self._path.unlink(missing_ok=True)
        self._file.close()


def clean(folder: Path) -> None:
    """Remove half-written files of killed processes; only for the process that has claimed the folder."""
    for place in (folder, folder / CHECKPOINTS, folder / "samples"):
        remove_leftovers(place)


def rewind_records(folder: Path, step: int) -> None:
    """Drop what was recorded after the step that a run goes on from: it will be recorded again.

    What `ganlab evaluate` added stays: nobody will score that checkpoint again.
    """
    Table(folder / METRICS).rewind(step)
    Records(folder / CLOCK).rewind(step)
    Records(folder / SCORES).rewind(step, keep=lambda row: "checkpoint" in row)


def erase_records(folder: Path) -> None:
    """Remove all that was recorded of a run which begins anew, and its checkpoints."""
    for path in [*(folder / name for name in (METRICS, CLOCK, SCORES)), *checkpoints_in(folder)]:
        path.unlink(missing_ok=True)


def checkpoints_in(folder: Path) -> list[Path]:
    """All checkpoints of a run, by whatever name."""
    return sorted(path for path in (folder / CHECKPOINTS).glob("[!.]*.ckpt") if not path.is_dir())


def write_config(folder: Path, text: str, code_folders: Iterable[Path] = ()) -> None:
    """Write a run's settings, signed together with the copy of the user's own modules.

    Args:
        code_folders: Where the modules lie; they are copied unless the run has its copy already.
    """
    code = folder / user_code.FOLDER
    copy = temporary_path(code)
    if not os.path.lexists(code):
        user_code.copy_modules(code_folders, copy)
    try:
        with atomic_write(folder / CONFIG) as temporary:
            temporary.write_bytes(with_signature(text, copy if copy.exists() else code))
            sync(temporary)
            # Both get their names at once, or else a kill in between would leave code that nobody signed.
            if copy.exists():
                copy.replace(code)
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def write_environment(folder: Path) -> None:
    """Write versions, hardware, command and commit; each start of a run gets a file of its own."""
    environment = {
        "command": sys.argv,
        "python": sys.version.split()[0],
        "ganlab": VERSION,
        **{package: metadata.version(package) for package in PACKAGES},
        **hardware.describe(),
        "commit": _commit(),
    }
    earlier = len([*folder.glob("environment*.json")])
    name = f"environment-{earlier + 1}.json" if earlier else "environment.json"
    with atomic_write(folder / name) as temporary:
        temporary.write_text(json.dumps(environment, indent=2) + "\n")


def _commit() -> str | None:
    """The git commit of the current folder, with -dirty if files differ from it; None without git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
