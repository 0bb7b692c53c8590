"""Several processes that each take a share of the samples and come to one result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch import distributed as dist


def rank_and_world() -> tuple[int, int]:
    """This process's number, and how many there are."""
    in_group = dist.is_available() and dist.is_initialized()
    return (dist.get_rank(), dist.get_world_size()) if in_group else (0, 1)


def shares(total: int, batch: int) -> Iterator[Tensor]:
    """This process's indices, a batch at a time: every world-th batch, without padding."""
    rank, world = rank_and_world()
    batch = min(batch, max(1, total // world))
    yield from torch.arange(total).split(batch)[rank::world]


def summed(values: Tensor) -> Tensor:
    """Their sum over all processes; `values` themselves stay what they are."""
    if rank_and_world()[1] == 1:
        return values
    total = values.to(_carrier(values), copy=True)
    dist.all_reduce(total)
    return total.to(values.device)


def sent(values: Tensor, source: int) -> Tensor:
    """The tensor of process `source`. The others give one of its shape and type, which may be overwritten."""
    carried = values.to(_carrier(values))
    dist.broadcast(carried, source)
    return carried.to(values.device)


def _carrier(values: Tensor) -> torch.device:
    """The device that a message has to lie on: NCCL sends nothing but a GPU's memory."""
    if dist.get_backend() != "nccl":
        return values.device
    return torch.device("cuda", torch.cuda.current_device())


def broadcast(value: Any) -> Any:
    """The first process's value, pickled and sent to all."""
    if rank_and_world()[1] == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def everyones(value: Any) -> list[Any]:
    """Each process's value, in the order of their ranks, pickled and sent to all."""
    values = [value] * rank_and_world()[1]
    if len(values) > 1:
        dist.all_gather_object(values, value)
    return values


def on_rank_zero(compute: Callable[[], Any]) -> Any:
    """The first process's result, on all. An error that it raises all raise, so that none waits for ever."""
    outcome: tuple[Any, Exception | None] = None, None
    if rank_and_world()[0] == 0:
        try:
            outcome = compute(), None
        except Exception as raised:
            outcome = None, raised
    value, error = broadcast(outcome)
    if error:
        raise error
    return value


def is_first_process() -> bool:
    """Of all processes of a run, also before they have met."""
    return getattr(rank_zero_only, "rank", 0) == 0
