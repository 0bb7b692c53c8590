"""Bounds on the numbers that users choose; constructors call them, so that Python and the command line agree.

`owner` is whose arguments they are: a refusal names its class. None stands for no number, and is let through.
"""

from math import inf
from typing import Any

from ganlab.errors import Refused


def at_least(least: float, owner: object, **numbers: Any) -> None:
    between(least, inf, owner, **numbers)


def above(limit: float, owner: object, **numbers: Any) -> None:
    for name, number in numbers.items():
        if number == limit:
            raise Refused(f"{type(owner).__name__}: {name} is {number}; it must be above {limit:,}.")
    at_least(limit, owner, **numbers)


def between(least: float, most: float, owner: object, **numbers: Any) -> None:
    """Refuse what is below `least`, above `most`, not a number or infinite."""
    for name, number in numbers.items():
        if isinstance(number, int | float) and not (least <= number <= most and abs(number) < inf):
            rule = f"from {least:,} to {most:,}" if most < inf else f"a number of at least {least:,}"
            raise Refused(f"{type(owner).__name__}: {name} is {number}; it must be {rule}.")


def seed(owner: object, **seeds: int) -> None:
    between(0, 2**32 - 1, owner, **seeds)
