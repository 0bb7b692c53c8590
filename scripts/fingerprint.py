"""SHA-256 hashes of what short runs of many kinds produce, to show that a change of the code changes nothing.

    python scripts/fingerprint.py --out before.json          # before the change
    python scripts/fingerprint.py --against before.json      # after it; MNIST needs its files in --mnist

For each run they cover every tensor of its last checkpoint, its metrics, its scores with their contracts and
its pictures. They are comparable only on one machine, with the same versions of packages.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
GAUSSIANS = ("ns_ring", "r3gan_grid", "wgangp_ring")
SHORT = {
    "trainer.max_steps": 60,
    "trainer.precision": "32",
    "trainer.accelerator": "cpu",
    "trainer.log_every_n_steps": 10,
    "samples.every_n_steps": 30,
    "evaluation.samples": 1000,
    "evaluation.every_n_steps": 30,
    "checkpoint_every": 20,
}
TIMES = ("seconds", "time")


def cases(mnist: Path | None) -> dict[str, list[str]]:
    """The options of `ganlab fit` for each case."""
    digits = {file.stem: file for file in sorted((EXPERIMENTS / "digits").glob("*.yaml"))}
    result = {f"digits/{name}": [f"--config={file}"] for name, file in digits.items()}
    for name in GAUSSIANS:
        result[f"gaussians/{name}"] = [f"--config={EXPERIMENTS / 'gaussians' / name}.yaml"]
    if mnist:
        result["mnist/ns"] = [f"--config={EXPERIMENTS / 'mnist' / 'ns.yaml'}", f"--data.root={mnist}"]
    two_processes = ["--trainer.devices=2", "--data.batch_size=32"]
    result["digits/r3gan on two processes"] = [f"--config={digits['r3gan']}", *two_processes]
    result["digits/r3gan killed and resumed"] = [f"--config={digits['r3gan']}"]
    return result


def fit(*options: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "ganlab", "fit", *options]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args!r}:\n{errors.decode()[-2000:]}")


def train(name: str, options: list[str], home: Path) -> Path:
    """Train to the end and return the run's folder."""
    settings = [f"--{key}={value}" for key, value in SHORT.items()]
    process = fit(*options, *settings, f"--runs={home}")
    if name.endswith("killed and resumed"):
        while process.poll() is None and not [*home.glob("*/*/*/checkpoints/step-*.ckpt")]:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        process = fit(f"--resume={next(home.glob('*/*/*'))}")
    finish(process)
    return next(home.glob("*/*/*"))


def tensors(tree: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(tree, torch.Tensor):
        yield name, tree
    elif isinstance(tree, dict):
        for key, branch in tree.items():
            yield from tensors(branch, f"{name}.{key}")
    elif isinstance(tree, (list, tuple)):
        for index, branch in enumerate(tree):
            yield from tensors(branch, f"{name}.{index}")


def fingerprint(run: Path) -> dict[str, str]:
    last = max((run / "checkpoints").glob("step-*.ckpt"))
    checkpoint = torch.load(last, map_location="cpu", weights_only=True)
    state = {part: checkpoint[part] for part in ("state_dict", "optimizer_states")}
    contents = {name: value.contiguous().numpy().tobytes() for name, value in tensors(state)}
    scores = [json.loads(line) for line in (run / "scores.jsonl").read_text().splitlines()]
    for row in scores:
        for name in TIMES:
            row.pop(name, None)
    contents["scores"] = json.dumps(scores, sort_keys=True).encode()
    contents["metrics"] = (run / "metrics.csv").read_bytes()
    contents |= {f"samples/{file.name}": file.read_bytes() for file in sorted(run.glob("samples/*.png"))}
    return {name: hashlib.sha256(value).hexdigest() for name, value in contents.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="where to write the hashes")
    parser.add_argument("--against", type=Path, help="hashes to compare with")
    parser.add_argument("--mnist", type=Path, help="the folder that torchvision's MNIST is read from")
    parser.add_argument("--only", default="", help="cases whose names hold this")
    parser.add_argument("--keep", type=Path, help="keep the runs in this folder")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    arguments = parser.parse_args()
    before = json.loads(arguments.against.read_text()) if arguments.against else None
    known = cases(arguments.mnist)
    if before is not None:
        print(f"new, and not compared: {', '.join(sorted(known.keys() - before.keys())) or 'none'}")
    selected = {
        name: options
        for name, options in known.items()
        if arguments.only in name and (before is None or name in before)
    }
    with (
        tempfile.TemporaryDirectory(prefix="fingerprint-") as temporary,
        ThreadPoolExecutor(arguments.jobs) as pool,
    ):
        home = arguments.keep or Path(temporary)
        fingerprints = pool.map(lambda name: fingerprint(train(name, selected[name], home / name)), selected)
        hashes = dict(zip(selected, fingerprints, strict=True))
    if arguments.out:
        arguments.out.write_text(json.dumps(hashes, indent=1) + "\n")
    print(f"{len(hashes)} runs, {sum(map(len, hashes.values()))} hashes")
    if before is None:
        return 0
    differing_runs = 0
    for name, new in hashes.items():
        old = before[name]
        different = sorted(key for key in {*new, *old} if new.get(key) != old.get(key))
        differing_runs += bool(different)
        print(
            f"{name}: "
            + (f"{len(different)} of {len(new)} differ: {', '.join(different[:5])}" if different else "equal")
        )
    return int(differing_runs > 0)


if __name__ == "__main__":
    sys.exit(main())
