"""The same work in several processes at once."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
import torch

import ganlab

# Where the tests' modules lie, and this ganlab.
PLACES = Path(__file__).parent, Path(ganlab.__file__).resolve().parents[1]


def together(work: Callable[[], Any], processes: int, folder: Path, *, group: bool = True) -> list[Any]:
    """What `work` returns in each of them, in the order of their ranks.

    They are forked from a server that has imported ganlab, which saves each of them seconds.

    Args:
        work: A function of a module.
        folder: Their cache and their answers lie here.
        group: Whether they are a group of torch.distributed, or know nothing of each other.
    """
    context = multiprocessing.get_context("forkserver")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, PLACES)))
        patch.setenv("OMP_NUM_THREADS", "1")
        # What tests/commands.py has it import: the first who asks starts the server for both.
        context.set_forkserver_preload(["pytest", "commands", "ganlab.cli.fit", "ganlab.data.sets.digits"])
        forkserver.ensure_running()
    children = [
        context.Process(target=_answer, args=(work, rank, processes, folder, group), daemon=True)
        for rank in range(processes)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(200)
    assert [child.exitcode for child in children] == [0] * processes
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(processes)]


def _answer(work: Callable[[], Any], rank: int, processes: int, folder: Path, group: bool) -> None:
    torch.set_num_threads(1)
    os.environ["GANLAB_CACHE"] = str(folder / "cache")
    if group:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=processes
        )
    torch.save(work(), folder / f"{rank}.pt")
    if group:
        torch.distributed.destroy_process_group()
