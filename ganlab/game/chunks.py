"""Run a network on many samples a few at a time, so that it needs memory for those few only."""

from collections.abc import Callable
from typing import Any, cast

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

CHUNK_SIZE = 64


def in_chunks(function: Callable[..., Any], count: int, *arguments: Any) -> Any:
    """The joined results of `function`; it is given the rows of a chunk of each tensor of length `count`."""
    if count <= CHUNK_SIZE:
        return function(*arguments)
    results = []
    for start in range(0, count, CHUNK_SIZE):
        rows = slice(start, start + CHUNK_SIZE)
        chunk = apply_to_collection(
            arguments, Tensor, lambda t, rows=rows: t[rows] if t.ndim and len(t) == count else t
        )
        results.append(function(*chunk))
    return joined(results)


def whole_chunks(count: int) -> int:
    """So many or a few more, so that a network is given chunks of one size, which it rounds alike."""
    return -(-count // CHUNK_SIZE) * CHUNK_SIZE


def joined(results: list[Any]) -> Any:
    first = results[0]
    if isinstance(first, Tensor):
        return torch.cat(results)
    if isinstance(first, dict):
        return {name: joined([result[name] for result in results]) for name in first}
    return cast(Any, type(first))(map(joined, map(list, zip(*results, strict=True))))
