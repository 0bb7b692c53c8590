"""Run a network on many samples a few at a time, so that it needs memory for those few only."""

from collections.abc import Callable
from typing import Any, cast

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor
from torch.utils._pytree import tree_leaves

CHUNK_SIZE = 64


class PerChunk:
    """An argument that is made for the rows of a chunk when these are needed.

    Args:
        make: From the rows' slice to the argument.
    """

    def __init__(self, make: Callable[[slice], Any]) -> None:
        self.make = make


def in_chunks(function: Callable[..., Any], count: int, *arguments: Any) -> Any:
    """The joined results of `function`; it is given the rows of a chunk of each tensor of length `count`."""
    results = []
    for start in range(0, max(count, 1), CHUNK_SIZE):
        rows = slice(start, min(start + CHUNK_SIZE, count))
        results.append(function(*(_some(argument, rows, count) for argument in arguments)))
    return results[0] if len(results) == 1 else joined(results)


def _some(argument: Any, rows: slice, count: int) -> Any:
    if isinstance(argument, PerChunk):
        return argument.make(rows)
    if count <= CHUNK_SIZE:
        return argument
    return apply_to_collection(argument, Tensor, lambda t: t[rows] if t.ndim and len(t) == count else t)


def rows_of(tree: Any) -> int:
    """How many rows the first of its tensors has."""
    return next(len(leaf) for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


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
