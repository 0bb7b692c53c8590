"""Comparisons of invented runs, with the files that a report reads."""

from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ganlab.callbacks import nearest_reals
from ganlab.comparison import ranking
from ganlab.comparison.read import Group, Run
from ganlab.comparison.result import Comparison, Row, Table
from ganlab.data.sets.digits import Digits
from ganlab.media.pictures import grid, quantise
from ganlab.runs.records import Scored

STEPS = (100, 200, 300, 400)
BATCH = 64
TERMS = ("discriminator", "generator", "r1")


def contract(name: str = "digits") -> dict[str, Any]:
    return {
        "hash": (name * 64)[:64],
        "extractor": {"name": name, "sha256": "x", "dtype": "float32", "resize": ""},
        "data": {"class": "Digits", "split": "train", "fingerprint": "x"},
        "reals": 1497,
        "samples": 10_000,
        "fakes": "ema",
        "seed": 0,
        "quantiser": "8 bits",
        "version": 1,
    }


def run(root: Path, experiment: str, number: int, seed: int) -> Run:
    folder = root / f"group{number}" / f"20260101-000000-seed{seed}"
    (folder / "samples").mkdir(parents=True)
    noise = np.random.default_rng([number, seed])
    return Run(
        source=str(folder),
        folder=folder,
        data="digits",
        experiment=experiment,
        seed=seed,
        settings={},
        state="done",
        max_steps=STEPS[-1],
        step=STEPS[-1],
        images=STEPS[-1] * BATCH,
        seconds=400.0,
        images_per_second=640.0,
        peak_memory=10**9,
        hardware="a CPU",
        command=f"ganlab fit --config {experiment}.yaml --seed_everything {seed}",
        evaluations=[
            Scored(s, s * BATCH, float(s), {"fid10k_digits": _score(number, s, noise)}, {}, {}, contract())
            for s in STEPS
        ],
        terms={name: [(x * 64.0, float(noise.normal())) for x in range(0, 400, 5)] for name in TERMS},
    )


def _score(number: int, step: int, noise: np.random.Generator) -> float:
    return float((2 + number) * (1 + 5 * exp(-step / 100)) * exp(noise.normal(0, 0.05)))


def draw(run: Run, *, memorised: bool = False) -> None:
    """Write a sample sheet for each step, of training images or of noise that differs by group and step, and
    the training images nearest to the last.
    """
    assert run.folder
    data = Digits(size=16)
    train: Any = data.splits.train
    for step in STEPS:
        seed = sum(run.experiment.encode()) + step
        images = torch.rand(64, 1, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        if memorised:
            images = train[torch.arange(64) + step][0] / 127.5 - 1
        name = f"step-{step:09d}.png"
        grid(images).save(run.folder / "samples" / name)
    nearest_reals.draw(quantise(images), data, run.folder / nearest_reals.FOLDER / name)


def comparison(root: Path, names: tuple[str, ...] = ("hinge", "r3gan"), seeds: int = 3) -> Comparison:
    groups = []
    for number, name in enumerate(names):
        runs = [run(root, name, number, seed) for seed in range(seeds)]
        draw(runs[0], memorised=number == 0)
        groups.append(Group(name, runs, {"model.init_args.gamma": number, "model.class_path": name}))
    return Comparison(groups, [table(groups)] if groups else [])


def table(groups: list[Group], score: str = "fid10k_digits", under: dict[str, Any] | None = None) -> Table:
    rows = []
    for group in groups:
        last = [_last(each, score) if each.state == "done" else None for each in group.runs]
        known = [value for value in last if value is not None]
        row = Row(group, len(known), group.runs, best=last, last=last, evaluations=[len(STEPS)] * len(known))
        row.steps, row.images, row.hours = STEPS[-1], 25_600, 0.1
        row.best_mean = float(np.exp(np.mean(np.log(known)))) if known else None
        row.trouble = [f"seed {each.seed} {each.state}: {each.reason}" for each in group.runs if each.reason]
        rows.append(row)
    result = Table(under or contract(), score, "min", "log", rows, floor=1.5, notes=["Tested by pairs."])
    ranking.rank(result)
    rows.sort(key=lambda row: (row.mean is None, row.mean))
    return result


def _last(run: Run, score: str) -> float | None:
    return next(each.scores[score] for each in reversed(run.evaluations) if score in each.scores)
