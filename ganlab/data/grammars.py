"""Small languages whose lines can be made and checked: text that needs no file, whose mistakes are known."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Literal

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(1999, 12, 31)
MOST = 99  # of a number that is added or subtracted
OPERATORS = {"+": "sum", "-": "difference"}
GrammarKind = Literal["dates", "sums"]


class Grammar(ABC):
    """All lines of a small language, each with its class.

    Attributes:
        classes: Their names, in the order of their numbers.
    """

    classes: tuple[str, ...]

    @abstractmethod
    def lines(self) -> Iterator[tuple[str, int]]:
        """Each line once, and the number of its class."""

    @abstractmethod
    def valid(self, line: str) -> bool:
        """Whether it is such a line."""


class Dates(Grammar):
    """The days of the 20th century, `14 March 1987`; the class is the month."""

    classes = MONTHS

    def lines(self) -> Iterator[tuple[str, int]]:
        for number in range((LAST_DAY - FIRST_DAY).days + 1):
            day = FIRST_DAY + timedelta(number)
            yield f"{day.day} {MONTHS[day.month - 1]} {day.year}", day.month - 1

    def valid(self, line: str) -> bool:
        if not (parts := re.fullmatch(r"([1-9]\d?) ([A-Z][a-z]+) (19\d\d)", line, re.ASCII)):
            return False
        day, month, year = parts.groups()
        try:
            date(int(year), MONTHS.index(month) + 1, int(day))
        except ValueError:  # no such month, or no such day in it
            return False
        return True


class Sums(Grammar):
    """Sums and differences of numbers up to 99, `12+7=19` and `31-7=24`, none below 0; the class is which."""

    classes = tuple(OPERATORS.values())

    def lines(self) -> Iterator[tuple[str, int]]:
        for first in range(MOST + 1):
            for second in range(MOST + 1):
                yield f"{first}+{second}={first + second}", 0
                if second <= first:
                    yield f"{first}-{second}={first - second}", 1

    def valid(self, line: str) -> bool:
        number = r"(0|[1-9]\d?)"
        if not (parts := re.fullmatch(rf"{number}([+-]){number}=(0|[1-9]\d*)", line, re.ASCII)):
            return False
        first, operator, second, result = parts.groups()
        return int(result) == int(first) + (int(second) if operator == "+" else -int(second))


GRAMMARS: dict[GrammarKind, type[Grammar]] = {"dates": Dates, "sums": Sums}
