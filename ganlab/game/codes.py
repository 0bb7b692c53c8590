"""Codes: parts of a latent that stand for something, which a network is to guess from the sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.game.draws import Draws


class Codes:
    """Categorical codes in one-hot form, then continuous ones: Chen et al. 2016 (InfoGAN), arXiv:1606.03657.

    Args:
        categorical: Values of each categorical code; all are equally likely.
        continuous: How many codes are uniform between -1 and 1.

    Attributes:
        size: The numbers of all codes.
    """

    def __init__(self, categorical: Sequence[int], continuous: int) -> None:
        bounds.at_least(2, self, **{f"categorical[{index}]": size for index, size in enumerate(categorical)})
        bounds.at_least(0, self, continuous=continuous)
        self.categorical, self.continuous = tuple(categorical), continuous
        self.size = sum(categorical) + continuous

    def drawn(self, draws: Draws, code: Any, continuous: Any, dtype: torch.dtype) -> Tensor:
        """A row for each sample.

        Args:
            code: The value of the first categorical code, or a list for several; None: drawn.
            continuous: The same of continuous codes.
        """
        parts = []
        for size, value in zip(self.categorical, _each(code, len(self.categorical), "code"), strict=True):
            bounds.between(0, size - 1, self, code=value)
            drawn = draws.integers(size)
            values = drawn if value is None else torch.full_like(drawn, value)
            parts.append(one_hot(values, size).to(dtype))
        for value in _each(continuous, self.continuous, "continuous"):
            number = 2 * draws.uniform(1) - 1
            parts.append(number if value is None else torch.full_like(number, value))
        return torch.cat(parts, 1)

    def errors(self, guessed: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Minus log Q(c|x) of eq. 5, a mean over samples: of categorical codes, and of continuous ones.

        For these Q is normal with standard deviation 1, as in the authors' code; its constant is left out.
        """
        sizes = [*self.categorical, self.continuous]
        if guessed.shape != codes.shape:
            raise Refused(
                f"The codes have {self.size} numbers, and the head for them has {guessed.shape[1]}.\n"
                f"Give it as many: heads: {{code: {self.size}}}."
            )
        (*guesses, numbers), (*values, drawn) = guessed.split(sizes, 1), codes.split(sizes, 1)
        categorical = sum(map(cross_entropy, guesses, values), guessed.new_zeros(()))
        return categorical, (numbers - drawn).square().sum(1).mean() / 2


def _each(chosen: Any, count: int, name: str) -> list[Any]:
    """A choice for each code, of one value for the first or of a list; None: as drawn."""
    values = [*chosen] if isinstance(chosen, list | tuple) else [] if chosen is None else [chosen]
    if len(values) > count:
        raise Refused(f"{name} is {chosen!r}, and this game has {count} such codes.")
    return values + [None] * (count - len(values))
