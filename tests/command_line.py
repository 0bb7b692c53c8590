"""How tests call the command, within this process or in a process of its own, and read a run's files."""

from __future__ import annotations

import csv
import importlib
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from itertools import repeat
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch

import ganlab
from ganlab.cli import fit, main

# A process that trains again gives a large model's memory back at once; a test's is small.
fit.STARTS = repeat(0)
REPOSITORY = Path(__file__).resolve().parents[1]
COMMAND = str(Path(sys.executable).parent / "ganlab")
SMALL = """\
model:
  class_path: R3GAN
  init_args:
    critic_steps: 2
    latent_size: 4
    generator: {class_path: MLPGenerator, init_args: {hidden: [16]}}
    discriminator: {class_path: MLPDiscriminator, init_args: {hidden: [16]}}
data: {class_path: Digits, init_args: {size: 8, batch_size: 8}}
trainer: {max_steps: 7, log_every_n_steps: 2, accelerator: cpu}
samples: {every_n_steps: 3, count: 9}
checkpoints: {every_n_steps: 3, keep: 3}
"""
TERMS = {"discriminator", "generator", "r1", "r2", "real_logit", "fake_logit"}
NORMS = {"discriminator_gradient_norm", "generator_gradient_norm"}


class Answer(NamedTuple):
    code: int
    out: str
    err: str


def here(*arguments: str | Path, folder: Path, **environment: str) -> Answer:
    """Run the command within this process and restore its state; a process of its own takes 8 s to start."""
    out, err = StringIO(), StringIO()
    before, home, path, modules = dict(os.environ), Path.cwd(), sys.path[:], set(sys.modules)
    os.environ.update(environment)
    os.chdir(folder)
    # A module that was written a moment ago is not found where its folder was listed just before.
    importlib.invalidate_caches()
    # A process of its own would not know another folder's module of the same name.
    foreign = {name: module for name, module in sys.modules.items() if _is_of_another(module, name, folder)}
    for name in foreign:
        del sys.modules[name]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main.main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code
    finally:
        os.chdir(home)
        os.environ.clear()
        os.environ.update(before)
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if name.startswith("my_"):
                del sys.modules[name]
        sys.modules.update(foreign)
    return Answer(code, out.getvalue(), err.getvalue())


def _is_of_another(module: ModuleType, name: str, folder: Path) -> bool:
    file = getattr(module, "__file__", None) if name.startswith("my_") else None
    if file is None or str(Path(file).parent) in sys.path:
        return False
    return folder.resolve() not in Path(file).resolve().parents


def alone(*arguments: str | Path, folder: Path) -> Answer:
    """Run the installed command in a process of its own."""
    return process(COMMAND, *arguments, folder=folder)


def process(*command: str | Path, folder: Path) -> Answer:
    options = {
        "cwd": folder,
        "env": bare(folder.with_name(f"{folder.name}-home")),
        "stdin": subprocess.DEVNULL,
    }
    done = subprocess.run([*map(str, command)], **options, capture_output=True, text=True, timeout=300)
    return Answer(done.returncode, done.stdout, done.stderr)


def bare(home: Path) -> dict[str, str]:
    """An environment without accounts and settings of other runs, in which this ganlab is imported."""
    home.mkdir(exist_ok=True)
    removed = ("GANLAB_", "WANDB_", "PL_", "PYTEST_")
    rest = {name: value for name, value in os.environ.items() if not name.startswith(removed)}
    source = str(Path(ganlab.__file__).resolve().parents[1])
    return rest | {"HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONPATH": source}


def write(folder: Path, text: str = SMALL, name: str = "small.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def run_folders(folder: Path) -> list[Path]:
    return sorted((folder / "runs").glob("*/*/*"))


def weights(run: Path, step: int = 7) -> dict[str, torch.Tensor]:
    return checkpoint(run, step)["state_dict"]


def checkpoint(run: Path, step: int = 7) -> dict[str, Any]:
    return torch.load(run / "checkpoints" / f"step-{step:09d}.ckpt", weights_only=True)


def metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def refused(answer: Answer, folder: Path) -> str:
    """Check that the command was refused in at most three lines and left no run; return the message."""
    assert answer.code == 2, answer
    lines = answer.err.splitlines()
    assert 1 <= len(lines) <= 3, answer.err
    assert lines[0].startswith("ganlab: ")
    assert "Traceback" not in answer.err
    assert answer.out == ""
    assert not run_folders(folder)
    return answer.err


def is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(below) for key, below in value.items())
    if isinstance(value, list):
        return all(map(is_plain, value))
    return value is None or type(value) in (str, int, float, bool)
