"""What parts of a network return while the whole runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn


@contextmanager
def watched(network: nn.Module, parts: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Within, what the parts of these names, as `named_modules` calls them, returned last."""
    seen: dict[str, Any] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda part, inputs, output: seen.__setitem__(name, output)

    with ExitStack() as stack:
        for name in parts:
            stack.callback(network.get_submodule(name).register_forward_hook(keep(name)).remove)
        yield seen
