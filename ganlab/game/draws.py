"""Random numbers that follow from a seed, and not from what was drawn before."""

from collections.abc import Callable
from functools import partial
from math import erf, sqrt
from typing import Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from ganlab.game.chunks import joined
from ganlab.seeds import seed_for

BLOCK = 250  # samples whose numbers are drawn at once


class Draws:
    """Numbers drawn for `total` samples at once, of which `rows` are handed out.

    A turn draws for its global batch and hands each process and each micro-batch its own rows, so a sample's
    numbers depend neither on the number of processes nor on that of micro-batches. After `restart` the same
    sequence is handed out again, for other rows.

    Args:
        drawn_on: The device that draws the numbers, `device` by default; other kinds of devices draw others.
    """

    def __init__(
        self,
        seed: int,
        total: int,
        *,
        device: torch.device | str,
        dtype: torch.dtype,
        drawn_on: torch.device | str | None = None,
    ) -> None:
        self.total = total
        self.rows = slice(0, total)
        self._device, self._dtype = device, dtype
        self._source = torch.Generator(drawn_on or device).manual_seed(seed)
        self._drawn: list[Tensor] = []
        self._next = 0

    def restart(self, rows: slice) -> None:
        self.rows = rows
        self._next = 0

    def normal(self, *shape: int) -> Tensor:
        return self._hand_out(partial(torch.randn, (self.total, *shape), dtype=self._dtype))

    def uniform(self, *shape: int) -> Tensor:
        """Between 0 and 1."""
        return self._hand_out(partial(torch.rand, (self.total, *shape), dtype=self._dtype))

    def integers(self, below: int, *shape: int) -> Tensor:
        return self._hand_out(partial(torch.randint, below, (self.total, *shape)))

    def _hand_out(self, draw: Callable[..., Tensor]) -> Tensor:
        if self._next == len(self._drawn):
            drawn = draw(generator=self._source, device=self._source.device)
            self._drawn.append(drawn.to(self._device))
        self._next += 1
        return self._drawn[self._next - 1][self.rows]


class SomeDraws(Draws):
    """Of other draws those rows that `pick` takes; the others' sequence goes on."""

    def __init__(self, draws: Draws, pick: Callable[[Tensor], Tensor]) -> None:
        self.total, self._dtype = draws.total, draws._dtype
        self._all, self._pick = draws, pick

    def _hand_out(self, draw: Callable[..., Tensor]) -> Tensor:
        return self._pick(self._all._hand_out(draw))


def truncated_normal(latent: Tensor, most: float) -> Tensor:
    """Normal numbers moved to between -most and most, each to the same quantile of what lies there.

    They are distributed as those of Brock et al. (2019, arXiv:1809.11096, section 3.1), who draw again what
    lies beyond; but each depends on its own number alone, and changes little where `most` does.
    """
    moved = torch.erfinv(torch.erf(latent.double() / sqrt(2)) * erf(most / sqrt(2)))
    return (sqrt(2) * moved).clamp(-most, most).to(latent.dtype)


def truncated_uniform(latent: Tensor, most: float) -> Tensor:
    """The same of numbers that are uniform between -1 and 1."""
    return latent * min(most, 1.0)


TRUNCATED = {"normal": truncated_normal, "uniform": truncated_uniform}  # by the distribution of latents


def drawn_in_blocks(latents: Callable[[int, int], Any], seed: int, first: int, count: int) -> Any:
    """The latents of `count` samples of a seed, from number `first` on; each follows from seed and number.

    Args:
        latents: From a block's seed and size to its latents.
    """
    numbers = range(first // BLOCK, (first + max(count, 1) - 1) // BLOCK + 1)
    blocks = joined([latents(seed_for("evaluation", seed, number), BLOCK) for number in numbers])
    start = first - numbers.start * BLOCK
    return apply_to_collection(blocks, Tensor, lambda rows: rows[start : start + count])
