"""Many samples, a few at a time: what a network needs meanwhile grows with those few, not with all."""

from collections.abc import Callable
from typing import Any, cast

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

AT_ONCE = 64


def in_chunks(make: Callable[..., Any], count: int, *given: Any) -> Any:
    """What `make` makes of `count` samples; in what is given, a tensor of that length holds one of each."""
    if count <= AT_ONCE:
        return make(*given)
    made = []
    for start in range(0, count, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        few = apply_to_collection(
            given, Tensor, lambda t, part=part: t[part] if t.ndim and len(t) == count else t
        )
        made.append(make(*few))
    return _joined(made)


def _joined(made: list[Any]) -> Any:
    first = made[0]
    if isinstance(first, Tensor):
        return torch.cat(made)
    if isinstance(first, dict):
        return {name: _joined([each[name] for each in made]) for name in first}
    return cast(Any, type(first))(map(_joined, map(list, zip(*made, strict=True))))
