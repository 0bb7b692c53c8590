"""The same work in several processes at once, with a cache of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganlab.testing.processes import on_processes


def together(work: Callable[[], Any], processes: int, folder: Path, *, group: bool = True) -> list[Any]:
    """What `work` returns in each of them, in the order of their ranks.

    Args:
        work: A function of a module.
        folder: Their cache lies here.
        group: Whether they are a group of torch.distributed, or know nothing of each other.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANLAB_CACHE", str(folder / "cache"))
        return on_processes(work, processes, group=group)
