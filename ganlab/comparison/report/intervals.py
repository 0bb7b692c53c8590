"""A small drawing of each interval of a table: mean, interval, seeds and the real floor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from ganlab.comparison.report.axis import Scale, short
from ganlab.comparison.report.charts import hue, marker
from ganlab.comparison.report.svg import element
from ganlab.comparison.report.words import direction
from ganlab.comparison.result import Row, Table

WIDTH, HEIGHT, SIDE = 170, 26, 8
STRETCH = 0.6  # how far beyond the seeds an interval may widen the drawing, as a share of their range


@dataclass
class IntervalPlot:
    """Means, intervals and seeds of a table, all on one scale."""

    table: Table

    @cached_property
    def scale(self) -> Scale:
        """An interval over two seeds can be a hundred times as wide as all scores; it is then cut off."""
        logarithmic = self.table.scale == "log"
        seeds = [v for row in self.table.rows for v in (row.mean, *row.last) if v is not None]
        widest = Scale.over(seeds, SIDE, WIDTH - SIDE, log=logarithmic, spare=STRETCH)
        ends = [v for row in self.table.rows for v in (row.low, row.high) if v is not None]
        inside = [min(max(v, widest.low), widest.high) for v in ends]
        floor = self.table.floor
        near = floor is not None and seeds and widest.near(floor)
        return Scale.over([*seeds, *inside, *([floor] if near else [])], SIDE, WIDTH - SIDE, log=logarithmic)

    def row(self, row: Row, number: int) -> Markup:
        """A row's drawing for the page, in the colour of the group of that number."""
        return _drawing(
            self.elements(row, number), role="img", aria_label=f"{row.group.name}: drawing of the interval"
        )

    def elements(self, row: Row, number: int) -> Iterable[Markup]:
        middle = HEIGHT / 2
        yield from self._floor(0, HEIGHT)
        if row.low is not None and row.high is not None:
            yield from self._whisker(row.low, row.high, f"whisker {hue(number)}", middle)
        for value in row.last:
            if value is not None and self.scale.shows(value):
                at = f"{self.scale(value):.1f}"
                yield element("circle", cx=at, cy=middle, r=2.2, class_=f"each {hue(number)}")
        if row.mean is not None and self.scale.shows(row.mean):
            yield marker(number, self.scale(row.mean), middle, 4.2)

    def _whisker(self, low: float, high: float, kind: str, middle: float) -> Iterable[Markup]:
        """A line from low to high, with an arrowhead at an end that lies outside of the drawing."""
        ends = []
        for value, edge, sign in ((low, SIDE / 2, -1), (high, WIDTH - SIDE / 2, 1)):
            inside = self.scale.shows(value) and SIDE / 2 <= self.scale(value) <= WIDTH - SIDE / 2
            at = self.scale(value) if inside else edge
            back = 0 if inside else -4 * sign
            arrow = f"M{at + back:.1f} {middle - 4}L{at:.1f} {middle}L{at + back:.1f} {middle + 4}"
            ends.append((at, f"M{at:.1f} {middle - 4}v8" if inside else arrow))
        (left, first), (right, last) = ends
        yield element("path", d=f"M{left:.1f} {middle}H{right:.1f}{first}{last}", class_=kind)

    def _floor(self, top: float, height: float) -> Iterable[Markup]:
        floor = self.table.floor
        if floor is not None and self.scale.low <= floor <= self.scale.high:
            yield element("path", d=f"M{self.scale(floor):.1f} {top}v{height}", class_="floor")

    def axis(self) -> Markup:
        return _drawing(self._axis(), aria_hidden="true")

    def _axis(self) -> Iterable[Markup]:
        yield from self._floor(0, 5)
        yield element("path", d=f"M{SIDE} 5H{WIDTH - SIDE}", class_="axis")
        for tick in self.scale.ticks(4):
            at = self.scale(tick)
            yield element("path", d=f"M{at:.1f} 5v4", class_="axis")
            anchor = "end" if at > WIDTH - 20 else "" if at < 16 else "middle"
            yield element("text", short(tick), x=f"{at:.1f}", y=21, class_=f"tick {anchor}")

    def drawing(self, numbers: Mapping[int, int]) -> tuple[list[Markup], int, int]:
        """All rows under one another, with their names, as a plot of its own, and its width and height.

        Args:
            numbers: By the group's id its position in the comparison.
        """
        left = 200  # the width of the names
        parts = [element("text", f"{self.table.score}, {direction(self.table)}", y=12, class_="title")]
        for i, row in enumerate(self.table.rows):
            name = element("text", row.group.name, x=left - 12, y=i * HEIGHT + 41, class_="end")
            inner = element(
                "g",
                *self.elements(row, numbers[id(row.group)]),
                transform=f"translate({left} {i * HEIGHT + 24})",
            )
            parts += [name, inner]
        below = 24 + len(self.table.rows) * HEIGHT
        parts.append(element("g", *self._axis(), transform=f"translate({left} {below})"))
        return parts, left + WIDTH, below + HEIGHT


def _drawing(parts: Iterable[Markup], **attributes: str) -> Markup:
    size = {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "width": WIDTH, "height": HEIGHT}
    return element("svg", *parts, class_="whiskers", **size, **attributes)
