"""Which items are read, and in which order: by position, so that any process or restart reads the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import Sampler

from ganlab.seeds import seed_for

Batch = tuple[Tensor, ...]
FAR_APART = 2**30  # positions of an endless stream between one seed's place and the next's


class Items(Protocol):
    """Indexed by a tensor of positions: (images, labels), or (images,)."""

    def __getitem__(self, positions: Tensor, /) -> Batch: ...


class FiniteItems(Items, Protocol):
    def __len__(self) -> int: ...


class Stream(Sampler[Tensor]):
    """The positions in the stream that one process reads: one tensor for each generator step, without end.

    A turn's global batch is `world * batch_size` consecutive positions; rank r takes the r-th slice of
    `batch_size`. A step holds `turns` such batches. It has no length on purpose: Lightning then refuses to
    replace it by its distributed sampler.

    Args:
        turns: Turns of the discriminator in a step.
        world: The number of processes.
        start: Returns the first step; called whenever a loader is restarted, as Lightning does after
            `limit_train_batches`.
    """

    def __init__(
        self,
        batch_size: int,
        *,
        turns: int = 1,
        world: int = 1,
        rank: int = 0,
        start: Callable[[], int] = lambda: 0,
    ) -> None:
        self.batch_size, self.turns, self.world, self.rank, self.start = batch_size, turns, world, rank, start
        turn = torch.arange(turns)[:, None] * (world * batch_size)
        self._first = (turn + rank * batch_size + torch.arange(batch_size)).flatten()

    def __iter__(self) -> Iterator[Tensor]:
        return map(self.positions, count(self.start()))

    def positions(self, step: int) -> Tensor:
        return self._first + step * self.turns * self.world * self.batch_size


class Blocks:
    """An endless sequence of items that are computed, a block at a time; the latest blocks are cached.

    Args:
        size: Items in a block.
        make: From a block's number to its items; pure, so that a worker or a resumed run computes the same.
        keep: How many blocks are cached.
    """

    def __init__(self, size: int, make: Callable[[int], Batch], *, keep: int = 2) -> None:
        self.size, self.make, self.keep = size, make, keep
        self._cached: dict[int, Batch] = {}

    def __getitem__(self, positions: Tensor, /) -> Batch:
        numbers = positions // self.size
        first, last = (int(number) for number in numbers.aminmax()) if len(numbers) else (0, 0)
        if first == last:
            offsets = positions - first * self.size
            return tuple(column[offsets] for column in self._block(first))
        places, pieces = [], []
        for number in numbers.unique().tolist():
            place = (numbers == number).nonzero().squeeze(1)
            offsets = positions[place] - number * self.size
            places.append(place)
            pieces.append([column[offsets] for column in self._block(number)])
        order = torch.cat(places).argsort()
        return tuple(torch.cat(column)[order] for column in zip(*pieces, strict=True))

    def _block(self, number: int) -> Batch:
        if number not in self._cached:
            if len(self._cached) >= self.keep:
                del self._cached[next(iter(self._cached))]
            self._cached[number] = self.make(number)
        return self._cached[number]


class Shuffled:
    """A finite set, repeated without end in new orders.

    Position p is item p mod n of permutation f(seed, p div n), where n is the number of items.
    """

    def __init__(self, items: FiniteItems, seed: int) -> None:
        self.items, self.seed = items, seed
        self._order = Blocks(len(items), self._permutation)

    def __getitem__(self, positions: Tensor, /) -> Batch:
        return self.items[self.indices(positions)]

    def indices(self, positions: Tensor) -> Tensor:
        (indices,) = self._order[positions]
        return indices

    def _permutation(self, number: int) -> Batch:
        source = torch.Generator().manual_seed(seed_for("permutation", self.seed, number))
        return (torch.randperm(len(self.items), generator=source),)


class Endless:
    """A set without end, which each seed reads from a place of its own: its items are the same for all."""

    def __init__(self, items: Items, seed: int) -> None:
        self.items, self.first = items, seed * FAR_APART

    def __getitem__(self, positions: Tensor, /) -> Batch:
        return self.items[positions + self.first]
