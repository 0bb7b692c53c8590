"""What the watchdog costs: python scripts/benchmark_watchdog.py [EXPERIMENT.yaml ...] [--steps N]

For each experiment the share of the training time that is spent in the watchdog's hooks, in one run and
without evaluations. It includes the first look at samples, for which the reals are measured as well.
"""

import argparse
import tempfile
import time
from typing import Any
from unittest.mock import patch

import torch

from ganlab.callbacks import Watchdog
from ganlab.cli import fit

EXPERIMENTS = (
    "experiments/digits/ns.yaml",
    "experiments/digits/r3gan.yaml",
    "experiments/gaussians/ns_ring.yaml",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiments", nargs="*", default=EXPERIMENTS)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    for experiment in arguments.experiments:
        spent, total = measure(experiment, arguments.steps, arguments.set)
        print(f"{experiment}: {spent:.2f} s of {total:.1f} s, {spent / total:.2%}", flush=True)


def measure(experiment: str, steps: int, options: list[str]) -> tuple[float, float]:
    """Seconds in the watchdog's hooks, and from its first hook to its last."""
    intervals: list[tuple[float, float]] = []

    class Timed(Watchdog):
        def on_train_batch_end(self, *arguments: Any) -> None:
            _wait_for_gpu()
            start = time.perf_counter()
            super().on_train_batch_end(*arguments)
            _wait_for_gpu()
            intervals.append((start, time.perf_counter()))

    with tempfile.TemporaryDirectory() as folder:
        arguments = [f"--config={experiment}", f"--runs={folder}", f"--trainer.max_steps={steps}"]
        arguments += ["--evaluation.extractor=null", *(f"--{option}" for option in options)]
        with patch("ganlab.cli.experiment.Watchdog", Timed):
            if fit.main(["fit", *arguments]):
                raise SystemExit(1)
    return sum(end - start for start, end in intervals), intervals[-1][1] - intervals[0][0]


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
