"""Run a network on many samples a few at a time, so that it needs memory for those few only."""

from collections.abc import Callable, Iterator
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


def chunks(count: int) -> Iterator[slice]:
    """The rows of each chunk; of no rows one chunk without any, so that results have their shapes."""
    for start in range(0, max(count, 1), CHUNK_SIZE):
        yield slice(start, min(start + CHUNK_SIZE, count))


def of_rows(argument: Any, rows: slice, count: int) -> Any:
    """An argument with these rows alone of each of its tensors that has `count` of them."""
    if isinstance(argument, PerChunk):
        return argument.make(rows)
    if rows == slice(0, count):
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
    if len(results) == 1:
        return first
    if isinstance(first, Tensor):
        return torch.cat(results)
    if isinstance(first, dict):
        return {name: joined([result[name] for result in results]) for name in first}
    return cast(Any, type(first))(map(joined, map(list, zip(*results, strict=True))))
