"""What telling samples their conditions costs: python scripts/benchmark_conditions.py [--rounds N]

- labels: the processor time of `sample(250)` of a conditional DCGAN of 32 x 32 pixels, told labels by its
  plan, against the same game that is handed finished labels, which is what the plan itself costs, and against
  the game without labels: at most 5 % each. The three run in turn; a ratio compares those of one round, and
  numbers are medians over rounds, with the range.
- pairs: the memory that a game of pairs at 256 x 256 pixels takes at most beyond that of one sample, for a
  single portion (64) and for 250 samples told by the plan, and for 250 that are told all at once. Each is
  measured in a process of its own. The samples themselves, in float32, are told beside it.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from ganlab.game.chunks import CHUNK_SIZE
from ganlab.game.conditions import ItemsOfSplit, LabelFrequencies
from ganlab.game.draws import BLOCK
from ganlab.game.gan import GAN
from ganlab.media import Labels, Pictures
from ganlab.networks import (
    DCGANDiscriminator,
    DCGANGenerator,
    PatchGANDiscriminator,
    UNetGenerator,
)
from ganlab.variants import HingeGAN

SMALL, LARGE, CLASSES, WIDTH = (3, 32, 32), (3, 256, 256), 10, 16
MIB = 2**20


def game_of(labels: Labels | None) -> GAN:
    torch.manual_seed(0)
    players: dict[str, Any] = {
        "generator": DCGANGenerator(shape=SMALL, latent_size=128, condition=labels),
        "discriminator": DCGANDiscriminator(shape=SMALL, condition=labels),
    }
    game = HingeGAN(conditional=labels is not None, **players)
    if labels:
        game.media = Pictures(SMALL), labels
        game.conditions = LabelFrequencies([600] * CLASSES)
    return game


def race(rounds: int) -> None:
    """Print the ratios of the times of `sample(250)`."""
    told, plain = game_of(Labels(CLASSES)), game_of(None)
    assert told.conditions
    labels: Tensor = told.conditions.batch(torch.arange(BLOCK), 0)[1]
    ways: dict[str, Callable[[], Any]] = {
        "told by the plan": lambda: told.sample(BLOCK, seed=0),
        "handed labels": lambda: told.sample(BLOCK, seed=0, condition=labels),
        "without labels": lambda: plain.sample(BLOCK, seed=0),
    }
    assert torch.equal(ways["told by the plan"](), ways["handed labels"]())
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(1 + rounds):
        for name, draw in ways.items():
            start = time.process_time()
            draw()
            seconds[name].append(time.process_time() - start)
    by_plan, *others = (values[1:] for values in seconds.values())
    print(f"sample({BLOCK}) told by the plan: {1000 * median(by_plan):.1f} ms of processor time")
    for name, values in zip([*ways][1:], others, strict=True):
        ratios = [mine / other for mine, other in zip(by_plan, values, strict=True)]
        print(f"ratio to {name:15} {median(ratios):.3f} ({min(ratios):.3f} - {max(ratios):.3f})", flush=True)


def peak(count: int, at_once: bool) -> int:
    """The most bytes that this process held while it drew so many samples."""
    torch.set_num_threads(1)
    source = Pictures(LARGE)
    game = HingeGAN(
        conditional=True,
        latent_size=0,
        generator=UNetGenerator(shape=LARGE, condition=source, width=WIDTH),
        discriminator=PatchGANDiscriminator(shape=LARGE, condition=source, width=WIDTH),
    )
    pictures = torch.zeros(BLOCK, *LARGE, dtype=torch.uint8)
    game.media, game.conditions = (
        (source, source),
        ItemsOfSplit(TensorDataset(pictures, pictures), "held_out"),
    )
    condition = source.played(pictures[:count]) if at_once else None
    game.sample(count, seed=0, condition=condition)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def measure_memory() -> None:
    cases = {
        f"one portion ({CHUNK_SIZE})": (CHUNK_SIZE, False),
        f"{BLOCK}, told by the plan": (BLOCK, False),
        f"{BLOCK}, told at once": (BLOCK, True),
    }
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, maxtasksperchild=1) as pool:
        least = pool.apply(peak, (1, False))
        for name, (count, at_once) in cases.items():
            own = count * 4 * torch.Size(LARGE).numel()
            more = pool.apply(peak, (count, at_once)) - least
            print(f"{name:25} {more / MIB:6.0f} MiB; the samples are {own / MIB:.0f} of them", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    race(arguments.rounds)
    measure_memory()


if __name__ == "__main__":
    main()
