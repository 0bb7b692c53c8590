"""What short runs of many kinds come to, as SHA-256: a change that shall change nothing leaves them equal.

    python scripts/fingerprint.py --out before.json          # before the change
    python scripts/fingerprint.py --against before.json      # after it; MNIST needs its files in --mnist

Of each run: every tensor of its last checkpoint, its metrics, its scores with their contracts, its pictures.
Hashes are comparable on one machine with the same versions alone.
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
    chosen = {f"digits/{name}": [f"--config={file}"] for name, file in digits.items()}
    for name in GAUSSIANS:
        chosen[f"gaussians/{name}"] = [f"--config={EXPERIMENTS / 'gaussians' / name}.yaml"]
    if mnist:
        chosen["mnist/ns"] = [f"--config={EXPERIMENTS / 'mnist' / 'ns.yaml'}", f"--data.root={mnist}"]
    two = ["--trainer.devices=2", "--data.batch_size=32"]
    chosen["digits/r3gan on two processes"] = [f"--config={digits['r3gan']}", *two]
    chosen["digits/r3gan killed and resumed"] = [f"--config={digits['r3gan']}"]
    return chosen


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


def play(name: str, options: list[str], home: Path) -> Path:
    """The folder of a finished run."""
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
    held = torch.load(last, map_location="cpu", weights_only=True)
    state = {part: held[part] for part in ("state_dict", "optimizer_states")}
    found = {name: value.contiguous().numpy().tobytes() for name, value in tensors(state)}
    scores = [json.loads(line) for line in (run / "scores.jsonl").read_text().splitlines()]
    for row in scores:
        for time_name in TIMES:
            row.pop(time_name, None)
    found["scores"] = json.dumps(scores, sort_keys=True).encode()
    found["metrics"] = (run / "metrics.csv").read_bytes()
    found |= {f"samples/{file.name}": file.read_bytes() for file in sorted(run.glob("samples/*.png"))}
    return {name: hashlib.sha256(value).hexdigest() for name, value in found.items()}


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
    chosen = parser.parse_args()
    wanted = {name: options for name, options in cases(chosen.mnist).items() if chosen.only in name}
    with (
        tempfile.TemporaryDirectory(prefix="fingerprint-") as temporary,
        ThreadPoolExecutor(chosen.jobs) as pool,
    ):
        home = chosen.keep or Path(temporary)
        made = pool.map(lambda name: fingerprint(play(name, wanted[name], home / name)), wanted)
        hashes = dict(zip(wanted, made, strict=True))
    if chosen.out:
        chosen.out.write_text(json.dumps(hashes, indent=1) + "\n")
    print(f"{len(hashes)} runs, {sum(map(len, hashes.values()))} hashes")
    if not chosen.against:
        return 0
    before = json.loads(chosen.against.read_text())
    differing = 0
    for name, own in hashes.items():
        other = before[name]
        unlike = sorted(key for key in {*own, *other} if own.get(key) != other.get(key))
        differing += bool(unlike)
        print(
            f"{name}: "
            + (f"{len(unlike)} of {len(own)} differ: {', '.join(unlike[:5])}" if unlike else "equal")
        )
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
