"""Work in several processes at once: what it returns, and what is heard of it when it fails."""

import os
import time
from functools import partial

import pytest
import torch
from torch import distributed as dist

from ganlab.testing.processes import on_processes, on_two_processes


def ranks(base: int = 0) -> tuple[int, int, int]:
    return base + dist.get_rank(), dist.get_world_size(), torch.get_num_threads()


def failing() -> None:
    if dist.get_rank() == 1:
        raise ValueError("no such thing")
    dist.barrier()


def dying() -> None:
    print("last words", flush=True)
    os._exit(7)


def alone() -> bool:
    return dist.is_initialized()


def test_what_processes_return_is_in_the_order_of_their_ranks() -> None:
    assert on_two_processes(partial(ranks, 10)) == [(10, 2, 1), (11, 2, 1)]
    assert on_processes(ranks, 3) == [(rank, 3, 1) for rank in range(3)]
    assert on_processes(alone, 2, group=False) == [False, False]


def test_a_process_that_fails_is_heard_and_the_other_does_not_wait_for_it() -> None:
    begun = time.monotonic()
    with pytest.raises(AssertionError, match=r"process 1 of 2 failed:[\s\S]*ValueError: no such thing"):
        on_two_processes(failing)
    with pytest.raises(AssertionError, match=r"exit codes[\s\S]*last words"):
        on_two_processes(dying)
    assert time.monotonic() - begun < 60
