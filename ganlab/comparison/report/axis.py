"""Scales from values to positions in a plot, their ticks, and how numbers are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10, sqrt

# What the ticks of a logarithmic scale may be in each decade.
STEPS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7))
NONE = "–"
LEAST_RATIO = 1.25  # of the ends of a logarithmic scale
NEAR = 0.7  # of a scale's length


@dataclass(frozen=True)
class Scale:
    """A map from values to positions: `low` lies at `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def over(
        cls,
        values: Iterable[float | None],
        start: float,
        end: float,
        *,
        log: bool = False,
        spare: float = 0.04,
    ) -> Scale:
        """A scale a little wider than the values; those without a logarithm are left out if it is `log`.

        Args:
            spare: How much wider at each end, as a share of the values' range.
        """
        known = [v for v in values if v is not None and isfinite(v) and (v > 0 or not log)]
        if not known:
            return cls(*((1, 10) if log else (0, 1)), start, end, log)
        low, high = min(known), max(known)
        if log:
            # Values that hardly differ shall look like it.
            ratio = max(sqrt(LEAST_RATIO * low / high), (high / low) ** spare, 1.0)
            return cls(low / ratio, high * ratio, start, end, log)
        width = high - low
        margin = (spare * width if width else (LEAST_RATIO - 1) * max(abs(low), abs(high)) / 2) or 1.0
        return cls(low - margin, high + margin, start, end, log)

    def __call__(self, value: float) -> float:
        if self.log:
            share = log10(value / self.low) / log10(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def shows(self, value: float | None) -> bool:
        """Whether the value has a position, inside the scale or outside."""
        return value is not None and isfinite(value) and (value > 0 or not self.log)

    def near(self, value: float) -> bool:
        """Whether the scale could be widened to the value without shrinking the rest much."""
        if not self.shows(value):
            return False
        share = (self(value) - self.start) / (self.end - self.start)
        return -NEAR <= share <= 1 + NEAR

    def ticks(self, most: int = 6) -> list[float]:
        """About `most` round values between the ends, or fewer."""
        if self.log:
            choices = [self._decades(steps) for steps in STEPS]
            fitting = [ticks for ticks in choices if 3 <= len(ticks) <= most]
            if fitting:
                return fitting[-1]
            if len(choices[0]) > most:
                return choices[0][:: ceil(len(choices[0]) / most)]
        return round_numbers(self.low, self.high, most)

    def _decades(self, steps: Sequence[float]) -> list[float]:
        powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        ticks = (step * 10.0**power for power in powers for step in steps)
        return [tick for tick in ticks if self.low <= tick <= self.high]


def round_numbers(low: float, high: float, most: int) -> list[float]:
    """At most about so many round numbers between two, evenly spaced."""
    rough = (high - low) / most
    power = 10.0 ** floor(log10(rough))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10, 20) if power * nice >= rough)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def short(value: float) -> str:
    """A number as on an axis: 12k, 1.5M, 0.05."""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.4g}M"
    if size >= 1e4:
        return f"{value / 1e3:.4g}k"
    if 0 < size < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:,.6g}" if size >= 1000 else f"{value:.4g}"


def decimals(values: Iterable[float | None]) -> int:
    """How many decimals a column of numbers gets: its smallest has three digits, and all points line up."""
    known = [abs(v) for v in values if v is not None and isfinite(v) and v]
    if not known or all(float(v).is_integer() for v in known):
        return 0
    # A value near 0 must not give the others many decimals.
    least = max(min(known), max(known) / 1e3)
    return min(max(2 - floor(log10(least)), 0), 5)


def number(value: float | None, places: int = 0) -> str:
    """A number with so many decimals, or a dash if there is none."""
    return NONE if value is None or not isfinite(value) else f"{value:,.{places}f}".replace("-", "−")


def time_unit(longest: float | None) -> tuple[str, float]:
    """The unit in which so many seconds are best written: its name and its seconds."""
    longest = longest or 0.0
    return ("hours", 3600.0) if longest >= 5400 else ("minutes", 60.0) if longest >= 120 else ("seconds", 1.0)


def memory(size: int | None) -> str:
    if size is None:
        return NONE
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
