"""Samples of networks that draw noise of their own: sample i of a seed is the same wherever it is made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from ganlab.game.chunks import chunks, joined
from ganlab.networks.random_layers import SampleNoise, drawing
from ganlab.seeds import keeping_random_states, random_states, reseed, seed_for


@dataclass
class Numbered:
    """Samples of a seed by their numbers, of which each follows from the two and from nothing else.

    Random layers of ganlab draw each sample's noise by its number. Where anything else draws from torch's
    global generators, samples are made one at a time, each with these seeded for it; then they are as before.

    Args:
        make: From a slice of rows to their samples.
        numbers: Of the samples that are wanted: those of the first rows. The others only fill the last chunk.
        network: Whose samples they are, for the message once they are made one at a time.
    """

    make: Callable[[slice], Any]
    seed: int
    numbers: Sequence[int]
    device: torch.device
    network: type

    def of_rows(self, count: int) -> Any:
        """The samples, of so many rows, made a chunk at a time."""
        results, alone = [], False
        with keeping_random_states(self.device):
            for rows in chunks(count):
                wanted = range(rows.start, min(rows.stop, len(self.numbers)))
                if not alone:
                    result, alone = self._together(rows)
                if alone and wanted:
                    result = joined([self._alone(row) for row in wanted])
                results.append(result)
        samples, total = joined(results), len(self.numbers)
        return samples if total == count else apply_to_collection(samples, Tensor, lambda t: t[:total])

    def _together(self, rows: slice) -> tuple[Any, bool]:
        """A chunk's samples, and whether they must be made one at a time instead."""
        numbers = self.numbers[rows]
        others = [-1] * (rows.stop - rows.start - len(numbers))
        made, foreign = _watched(
            partial(self.make, rows), SampleNoise(self.seed, [*numbers, *others]), self.device
        )
        if foreign:
            warn_of_noise(self.network)
        return made, foreign

    def _alone(self, row: int) -> Any:
        number = self.numbers[row]
        reseed(seed_for("alone", self.seed, number), self.device)
        # A compiled network would be compiled again for one sample, and draw other numbers.
        with torch.compiler.set_stance("force_eager"), drawing(SampleNoise(self.seed, [number])):
            return self.make(slice(row, row + 1))


@cache
def warn_of_noise(network: type) -> None:
    """Say why samples take longer; once a process."""
    rank_zero_only(print)(
        f"ganlab: {network.__name__}, or what it is told, draws random numbers otherwise than by Noise and"
        " Dropout of ganlab.networks.layers: its samples are made one at a time, which is slower",
        file=sys.stderr,
    )


def draws_noise(make: Callable[[], Any], count: int, device: torch.device) -> bool:
    """Whether random numbers are drawn where so many samples are made."""
    noise = SampleNoise(0, range(count))
    with keeping_random_states(device):
        _, foreign = _watched(make, noise, device)
    return foreign or noise.drawn


def _watched(make: Callable[[], Any], noise: SampleNoise, device: torch.device) -> tuple[Any, bool]:
    """What is made with this noise, and whether torch's global generators were drawn from for it."""
    before = random_states(device)
    with drawing(noise):
        made = make()
    same = map(torch.equal, before, random_states(device))
    return made, not all(same)
