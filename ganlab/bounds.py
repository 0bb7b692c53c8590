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


def share(owner: object, **shares: float) -> None:
    """Refuse what is not one of so many: 1, a half, a third, ..."""
    for name, number in shares.items():
        if not 0 < number <= 1 or abs(1 / number - round(1 / number)) > 1e-6:
            raise Refused(
                f"{type(owner).__name__}: {name} is {number}; it is one of so many samples:\n"
                "1 (all), 0.5, 0.25, 0.125, ..."
            )


def seed(owner: object, **seeds: int) -> None:
    between(0, 2**32 - 1, owner, **seeds)
