"""Traffic between two processes, and speed: python scripts/benchmark_strategies.py [--quick] [--json FILE]

ganlab.training.TwoPlayers against Lightning's ddp_find_unused_parameters_true, on two processes of this
machine's CPU (gloo), for games whose networks are large beside their batch:

- bytes a generator step: the size of the tensors that a process passes to collectives;
- steps a second. The strategies take turns, round after round, so that other work on the machine slows both;
  each turn trains from the beginning, and its first steps and the set-up are not counted. The first round
  warms up.

A ratio compares the turns of one round. Every number is the median over rounds, with the least and the
greatest. Each process has one thread, so that two cores are enough.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback
from torch import Tensor, nn
from torch import distributed as dist
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ganlab import Trainer, data, networks, variants
from ganlab.cli.parser import silence_warnings
from ganlab.game.gan import GAN
from ganlab.system import hardware

QUICK, LONG = (3, 20), (9, 60)  # rounds, steps a turn
WARM_UP = 4  # steps
STRATEGIES = {"TwoPlayers": "auto", "DDP": "ddp_find_unused_parameters_true"}


class Game(NamedTuple):
    variant: Callable[..., GAN]
    generator: Callable[..., nn.Module]
    discriminator: Callable[..., nn.Module]
    size: int
    batch: int

    def play(self, strategy: str, steps: int, callback: Callback) -> None:
        shape = (1, self.size, self.size)
        players = {name: getattr(self, name)(shape=shape) for name in ("generator", "discriminator")}
        silent = ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing")
        settings = {"precision": "32", "accelerator": "cpu", **dict.fromkeys(silent, False)}
        trainer = Trainer(max_steps=steps, devices=2, strategy=strategy, callbacks=[callback], **settings)
        trainer.fit(self.variant(**players), data.Digits(size=self.size, batch_size=self.batch))


WIDE: dict[str, Any] = {"hidden": (1024, 1024)}
MLP = partial(networks.MLPGenerator, **WIDE), partial(networks.MLPDiscriminator, **WIDE)
DCGAN = networks.DCGANGenerator, networks.DCGANDiscriminator
GAMES = {
    "R1GAN, MLP of 1024": Game(variants.R1GAN, *MLP, 16, 32),
    "WGANGP, MLP of 1024": Game(variants.WGANGP, *MLP, 16, 32),
    "NonSaturatingGAN, DCGAN": Game(variants.NonSaturatingGAN, *DCGAN, 32, 8),
}


class SentBytes(TorchDispatchMode):
    """Counts the bytes that are passed to collectives, also by C++ code."""

    sent = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "c10d":
            self.sent += sum(t.nbytes for t in tree_leaves(args[0]) if isinstance(t, Tensor))
        return func(*args, **(kwargs or {}))


class Measure(Callback):
    """Measures the rate of steps after the warm-up, and counts what they send if a counter is given."""

    def __init__(self, steps: int, counter: SentBytes | None = None) -> None:
        self.steps, self.counter = steps, counter

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == WARM_UP:
            dist.barrier()
            self.start = time.perf_counter()
            if self.counter:
                self.counter.__enter__()
        elif trainer.global_step == WARM_UP + self.steps:
            if self.counter:
                self.counter.__exit__(None, None, None)
            self.rate = self.steps / (time.perf_counter() - self.start)


def rate(game: Game, strategy: str, steps: int) -> float:
    measure = Measure(steps)
    game.play(strategy, WARM_UP + steps, measure)
    return measure.rate


def megabytes(game: Game, strategy: str, steps: int = 2) -> float:
    counter = SentBytes()
    game.play(strategy, WARM_UP + steps, Measure(steps, counter))
    return counter.sent / steps / 1e6


def spread(values: Sequence[float], form: str) -> str:
    return f"{median(values):>8{form}}   {min(values):{form}} - {max(values):{form}}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two minutes on two cores, not ten")
    parser.add_argument("--json", type=Path, help="write all numbers there, too")
    arguments = parser.parse_args()
    rounds, steps = QUICK if arguments.quick else LONG
    torch.set_num_threads(1)
    silence_warnings()
    # Lightning starts the second process, which runs this script, too, but prints nothing.
    first = "LOCAL_RANK" not in os.environ

    def show(line: str) -> None:
        if first:
            print(line, flush=True)

    show(", ".join(f"{key}: {value}" for key, value in hardware.describe().items()))
    show(f"torch {torch.__version__}, load average before the start: {os.getloadavg()[0]:.1f}")
    results: dict[str, Any] = {}
    for name, game in GAMES.items():
        sent = {which: megabytes(game, strategy) for which, strategy in STRATEGIES.items()}
        rates: dict[str, list[float]] = {which: [] for which in STRATEGIES}
        for _ in range(1 + rounds):
            for which, strategy in STRATEGIES.items():
                rates[which].append(rate(game, strategy, steps))
        rates = {which: values[1:] for which, values in rates.items()}
        ratios = [ours / theirs for ours, theirs in zip(*rates.values(), strict=True)]
        results[name] = {"megabytes a step": sent, "steps a second": rates, "times as fast": ratios}
        show(f"{name}, {game.batch} images a process")
        for which in STRATEGIES:
            show(f"  {which:12}{sent[which]:8.2f} MB a step   {spread(rates[which], '.2f')} steps/s")
        less, faster = sent["DDP"] / sent["TwoPlayers"], spread(ratios, ".2f")
        show(f"  ratio       {less:8.2f} x less       {faster} x as fast")
    if arguments.json and first:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
