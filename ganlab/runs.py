"""What a run's folder holds.

runs/<data>/<experiment>/<time>-seed<k>/
    config.yaml        repeats the run, given the data
    environment.json   versions, hardware, commit
    metrics.csv        every term over time
    hparams.yaml       what the checkpoint rebuilds the game from, to read
    code/              the user's own modules
    checkpoints/  samples/
"""

import json
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from ganlab import hardware
from ganlab.refused import Refused

PACKAGES = ("ganlab", "torch", "lightning", "torchvision", "torchmetrics", "numpy", "jsonargparse")


def create(root: Path, *, data: str, experiment: str, seed: int) -> Path:
    """Make a new folder, never one that exists."""
    parent = root / snake_case(data) / experiment
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"No run folder can be made in {parent}: {error.strerror} (runs).") from error
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-seed{seed}"
    for attempt in range(1, 1000):
        folder = parent / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{parent / name} and 998 folders beside it exist")


def discard(folder: Path) -> None:
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


def write_environment(folder: Path) -> None:
    found = {
        "command": sys.argv,
        "python": sys.version.split()[0],
        **{package: metadata.version(package) for package in PACKAGES},
        **hardware.describe(),
        "commit": _commit(),
    }
    (folder / "environment.json").write_text(json.dumps(found, indent=2) + "\n")


def _commit() -> str | None:
    """The commit of the folder that the run was started in, marked if files there differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
