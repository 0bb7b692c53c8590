"""A pass of the discriminator over a turn's reals or its fakes, as its layers know of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Pass:
    """What is judged, and what layers leave behind for regularisers.

    Attributes:
        of_reals: Whether it is the reals that are judged, or the fakes.
        left: By what left it.
    """

    of_reals: bool
    left: dict[Any, Any] = field(default_factory=dict)


CURRENT: ContextVar[Pass | None] = ContextVar("pass", default=None)


@contextmanager
def passing(current: Pass) -> Iterator[None]:
    """Within, layers are in this pass."""
    token = CURRENT.set(current)
    try:
        yield
    finally:
        CURRENT.reset(token)
