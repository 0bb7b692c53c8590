"""The same work in several processes at once, as a run on several devices has them."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import connection, forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any
from unittest import SkipTest

import torch
from torch import distributed as dist

PRELOADED = ["ganlab.testing"]  # what the server imports, from which processes are forked
MOST_SECONDS = 300.0


def on_two_processes(work: Callable[[], Any]) -> list[Any]:
    """What `work` returns in each of two processes, in the order of their ranks.

    They are a group, in which `play(game, steps=8, devices=2)` trains. The first call takes the seconds in
    which ganlab is imported, each further one some tenths of a second.

    Args:
        work: A function of a module, or a partial of one: it is pickled, and what cannot be skips the test.
    """
    return on_processes(work, 2)


def on_processes(work: Callable[[], Any], processes: int, *, group: bool = True) -> list[Any]:
    """The same in so many processes; without a group they know nothing of each other."""
    try:
        pickled = pickle.dumps(work)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise SkipTest(
            f"Another process cannot be given this game: {error}. Define it in a module."
        ) from error
    with tempfile.TemporaryDirectory() as name:
        context, folder = forking(), Path(name)
        given = processes, folder, dict(os.environ), group
        children = [
            context.Process(target=_answer, args=(pickled, rank, *given)) for rank in range(processes)
        ]
        for child in children:
            child.start()
        _wait(children)
        if any(child.exitcode for child in children):
            raise AssertionError(_words(folder, [child.exitcode for child in children]))
        return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(processes)]


def forking() -> ForkServerContext:
    """Makes processes by forking one that has imported ganlab.

    They are not forked from this process: threads that it may have, such as OpenMP's, are not there in a
    fork, which would wait for them for ever.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with _environment({"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}):
        forkserver.ensure_running()
    return context


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _answer(
    work: bytes, rank: int, processes: int, folder: Path, environment: dict[str, str], group: bool
) -> None:
    printed = os.open(folder / f"{rank}.out", os.O_WRONLY | os.O_CREAT)
    for number in (1, 2):
        os.dup2(printed, number)
    # The platform's default, as in a run: a loader's workers would else wait for a server of their own.
    multiprocessing.set_start_method(None, force=True)
    os.environ.clear()
    os.environ.update(environment | {"LOCAL_RANK": str(rank)} if group else environment)
    torch.set_num_threads(1)
    try:
        if group:
            meet = f"file://{folder}/meet"
            within = timedelta(seconds=MOST_SECONDS)
            dist.init_process_group("gloo", meet, within, world_size=processes, rank=rank)
        torch.save(pickle.loads(work)(), folder / f"{rank}.pt")
        if group:
            dist.destroy_process_group()
    except BaseException:
        (folder / f"{rank}.err").write_text(traceback.format_exc())
        raise


def _wait(children: list[ForkServerProcess]) -> None:
    """Until all have ended, or one of them has failed: the others might wait for it."""
    until = time.monotonic() + MOST_SECONDS
    try:
        while living := [child.sentinel for child in children if child.exitcode is None]:
            ended = connection.wait(living, until - time.monotonic())
            if not ended or any(child.exitcode for child in children):
                break
    finally:
        for child in children:
            if child.exitcode is None:
                child.kill()
            child.join()


def _words(folder: Path, codes: list[int | None]) -> str:
    """Why processes failed: the words of the one that failed first, or else what all of them printed."""
    # The others may fail because they have lost it.
    if files := sorted(folder.glob("*.err"), key=lambda file: file.stat().st_mtime_ns):
        return f"process {files[0].stem} of {len(codes)} failed:\n{files[0].read_text()}"
    printed = "\n".join(path.read_text() for path in sorted(folder.glob("*.out")))
    return f"processes ended with the exit codes {codes}:\n{printed}"
