"""What a discriminator says of samples: logits, those of one critic or of several, and what its heads say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from ganlab.errors import Refused


@dataclass(frozen=True)
class Judged:
    """What a network with more than one head returns.

    Attributes:
        logits: What losses and penalties are made of.
        heads: What the other heads say, which a variant reads: `turn.fake_heads`.
    """

    logits: Any
    heads: Any


def judged(returned: Any) -> Judged:
    """The logits and the heads of what a discriminator returned, or several of them in a list or a mapping.

    Where none has heads, they are None.
    """
    has_heads = any(isinstance(part, Judged) for part in tree_leaves(returned))
    logits = tree_map(lambda part: part.logits if isinstance(part, Judged) else part, returned)
    heads = tree_map(lambda part: part.heads if isinstance(part, Judged) else None, returned)
    return Judged(logits, heads if has_heads else None)


def checked(judgement: Judged) -> Judged:
    """The same, if its logits are tensors."""
    critics = tree_leaves(judgement.logits)
    if not critics or not all(isinstance(critic, Tensor) for critic in critics):
        raise Refused(
            f"The discriminator returned {judgement.logits!r:.60} as logits.\n"
            "It returns a tensor of them, a list or mapping of such tensors, or Judged(logits, heads)."
        )
    return judgement


def of_samples(logits: Tensor) -> Tensor:
    """One logit of each sample: of a map of logits its mean."""
    return logits if logits.ndim == 1 else logits.flatten(1).mean(1)


def head(heads: Any, name: str) -> list[Tensor]:
    """What the head of that name says, of each critic that has one."""
    if said := [*_heads_named(name, heads)]:
        return said
    raise Refused(
        f"The discriminator has no head named {name!r}. Give it one by networks.Heads, in YAML\n"
        "heads: {code: 12, class: classes, features: features}: so many numbers, one for each class of the\n"
        "data, or the features themselves."
    )


def _heads_named(name: str, heads: Any) -> Iterator[Tensor]:
    if isinstance(heads, Mapping) and isinstance(heads.get(name), Tensor):
        yield heads[name]
        return
    within = (
        heads.values() if isinstance(heads, Mapping) else heads if isinstance(heads, list | tuple) else ()
    )
    for part in within:
        yield from _heads_named(name, part)


def mean_over_critics(equation: Callable[..., Tensor], *logits: Any) -> Tensor:
    """The mean of an equation's values, one for each critic, of logits in lists or mappings of one form."""
    each_critics = zip(*map(tree_leaves, logits), strict=True)
    values = [equation(*one) for one in each_critics]
    return values[0] if len(values) == 1 else torch.stack(values).mean()
