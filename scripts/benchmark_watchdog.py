"""What the watchdog costs: python scripts/benchmark_watchdog.py [EXPERIMENT.yaml ...] [--steps N]

Of each experiment the share of its training that is spent in the watchdog's hooks, in one run and without its
evaluations. The first look at samples, which measures the reals as well, is part of it.
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
    told = parser.parse_args()
    for experiment in told.experiments:
        spent, whole = measured(experiment, told.steps, told.set)
        print(f"{experiment}: {spent:.2f} s of {whole:.1f} s, {spent / whole:.2%}", flush=True)


def measured(experiment: str, steps: int, options: list[str]) -> tuple[float, float]:
    """Seconds in the watchdog, and between its first hook and its last."""
    moments: list[tuple[float, float]] = []

    class Timed(Watchdog):
        def on_train_batch_end(self, *given: Any) -> None:
            _settle()
            began = time.perf_counter()
            super().on_train_batch_end(*given)
            _settle()
            moments.append((began, time.perf_counter()))

    with tempfile.TemporaryDirectory() as folder:
        given = [f"--config={experiment}", f"--runs={folder}", f"--trainer.max_steps={steps}"]
        given += ["--evaluation.extractor=null", *(f"--{option}" for option in options)]
        with patch("ganlab.cli.options.Watchdog", Timed):
            if fit.main(["fit", *given]):
                raise SystemExit(1)
    return sum(end - began for began, end in moments), moments[-1][1] - moments[0][0]


def _settle() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
