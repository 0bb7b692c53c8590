"""Scoring by several processes, each a share of the samples, with one result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


def place() -> tuple[int, int]:
    """This process's number, and how many there are."""
    together = dist.is_available() and dist.is_initialized()
    return (dist.get_rank(), dist.get_world_size()) if together else (0, 1)


def shares(total: int, batch: int) -> Iterator[Tensor]:
    """This process's indices, a batch at a time: every world-th batch, without padding."""
    rank, world = place()
    batch = min(batch, max(1, total // world))
    yield from torch.arange(total).split(batch)[rank::world]


def agreed(value: Any) -> Any:
    """What the first process has."""
    if place()[1] == 1:
        return value
    told = [value]
    dist.broadcast_object_list(told, src=0)
    return told[0]


def once(compute: Callable[[], Any]) -> Any:
    """Computed by the first process, for all; what it raises all raise, so that none waits for ever."""
    outcome: tuple[Any, Exception | None] = None, None
    if place()[0] == 0:
        try:
            outcome = compute(), None
        except Exception as raised:
            outcome = None, raised
    value, error = agreed(outcome)
    if error:
        raise error
    return value
