"""Evidence: which games cover all modes. Hours on two cores; run by hand:

    pytest -m evidence tests/game/test_modes.py -n 2 -rP

A mode counts with at least 20 of 20,000 samples within 3 standard deviations of its centre.
"""

import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ganlab
from ganlab.data import Gaussians

HOME = Path(__file__).resolve().parents[2] / "experiments" / "gaussians"
SEEDS = (0, 1, 2)
COVER_THE_RING = ("hinge", "lsgan", "minimax", "ns", "r3gan")


def samples(experiment: str, seed: int, folder: Path) -> torch.Tensor:
    """Train as a user would, then draw 20,000 samples of the average."""
    command = [str(Path(sys.executable).parent / "ganlab"), "fit", "--config"]
    command += [
        str(HOME / f"{experiment}.yaml"),
        "--seed_everything",
        str(seed),
        "--runs",
        str(folder),
        "--trainer.accelerator",
        "cpu",
    ]
    subprocess.run(command, check=True, capture_output=True)
    (newest,) = folder.glob(f"gaussians/{experiment}/*-seed{seed}/checkpoints/step-*10000.ckpt")
    return ganlab.load(newest).sample(20_000, seed=0)


def covered(points: torch.Tensor, layout: str) -> tuple[int, float]:
    """How many modes, and which share of the samples lies within 3 standard deviations of one."""
    data = Gaussians(layout=layout)
    distance, mode = torch.cdist(points, data.centres).min(1)
    close = distance < 3 * data.sigma
    counts = mode[close].bincount(minlength=len(data.centres))
    return int((counts >= 20).sum()), float(close.float().mean())


def measure(experiment: str, folder: Path) -> list[tuple[int, float]]:
    layout = experiment.rsplit("_", 1)[1]
    measured = [covered(samples(experiment, seed, folder), layout) for seed in SEEDS]
    print(experiment, " ".join(f"{modes} modes {share:.3f}" for modes, share in measured), flush=True)
    return measured


@pytest.mark.evidence
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("experiment", sorted(path.stem for path in HOME.glob("*_ring.yaml")))
def test_ring(experiment: str, tmp_path: Path) -> None:
    measured = measure(experiment, tmp_path)
    if experiment.removesuffix("_ring") in COVER_THE_RING:
        assert [modes for modes, _ in measured] == [8, 8, 8]
        assert statistics.median(share for _, share in measured) >= 0.80


@pytest.mark.evidence
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("experiment", sorted(path.stem for path in HOME.glob("*_grid.yaml")))
def test_grid(experiment: str, tmp_path: Path) -> None:
    measured = measure(experiment, tmp_path)
    if experiment == "r3gan_grid":
        assert [modes for modes, _ in measured] == [25, 25, 25]


@pytest.mark.evidence
@pytest.mark.timeout(7200)
def test_the_textbook_normal(tmp_path: Path) -> None:
    data = Gaussians(layout="normal")
    mixing = data.sigma * data.mixing.double()
    for seed in SEEDS:
        points = samples("ns_normal", seed, tmp_path).double()
        mean = (points.mean(0) - data.centres[0]).abs().max()
        covariance = (points.T.cov() - mixing.T @ mixing).abs().max()
        print(f"ns_normal seed {seed}: mean off by {mean:.3f}, covariance by {covariance:.3f}", flush=True)
        assert mean <= 0.1
        assert covariance <= 0.1
