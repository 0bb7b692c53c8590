"""Plots as SVG: in the page they use the page's colours; a file of its own contains them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from markupsafe import Markup

from ganlab.comparison.report.axis import Scale, short
from ganlab.comparison.report.curves import Line
from ganlab.comparison.report.svg import element

HUES, DASHES = 6, ("", "7 3", "2 2.5")
MARKED = 40  # a curve of at most so many points has a marker on each
CLIPPED = 0.5  # per cent of values at each end that may lie outside a plot of terms
TWO_LINES = 40  # pixels above a plot from which on its note has a line of its own below the title
STYLE = Path(__file__).with_name("plot.css")


def hue(number: int) -> str:
    """The CSS class of a group's colour, by the group's number in the comparison."""
    return f"g{number % HUES}"


def dash(number: int) -> str | None:
    """The dashes of a group's curve; groups that share a hue differ in them."""
    return DASHES[number // HUES % len(DASHES)] or None


def marker(number: int, x: float, y: float, size: float = 3.4, **more: object) -> Markup:
    """A group's marker; its shape differs with the hue, for readers who cannot tell hues apart."""
    shapes: dict[int, list[tuple[float, float]]] = {
        1: [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        2: [(0, -1.45), (1.45, 0), (0, 1.45), (-1.45, 0)],
        3: [(0, -1.35), (1.25, 0.95), (-1.25, 0.95)],
        4: [(0, 1.35), (1.25, -0.95), (-1.25, -0.95)],
        5: [(-1.3, -0.55), (1.3, -0.55), (1.3, 0.55), (-1.3, 0.55)],
    }
    corners = shapes.get(number % HUES)
    kind = f"dot {hue(number)}{' hollow' if number // HUES % 2 else ''}"
    if corners is None:
        return element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=size, class_=kind, **more)
    points = " ".join(f"{x + size * 0.95 * a:.1f},{y + size * 0.95 * b:.1f}" for a, b in corners)
    return element("polygon", points=points, class_=kind, **more)


def sign(number: int) -> Markup:
    """A group's colour, dashes and marker, as in a legend."""
    line = element("path", d="M1 7H25", class_=f"mean {hue(number)}", stroke_dasharray=dash(number))
    return element(
        "svg", line, marker(number, 13, 7, 3.6), class_="sign", viewBox="0 0 26 14", aria_hidden="true"
    )


def path(points: Iterable[tuple[float, float]]) -> str:
    """The `d` of an SVG path through the points."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


@dataclass
class Chart:
    """Curves of groups over training.

    Attributes:
        note: What the reader should know of the vertical axis.
        across: The label of the horizontal axis.
        floor: The score of real samples, drawn as a dashed line.
        robust: Let the most extreme values lie outside.
        unit: What the horizontal values are divided by.
    """

    title: str
    note: str
    lines: Sequence[Line]
    across: str
    log: bool = False
    floor: float | None = None
    robust: bool = False
    width: int = 460
    height: int = 290
    unit: float = 1.0
    margins: tuple[int, int, int, int] = field(default=(44, 14, 42, 52))  # top, right, bottom, left

    @cached_property
    def x(self) -> Scale:
        values = [0.0, *(x / self.unit for line in self.lines for x in line.x_values())]
        return Scale(0.0, (max(values) or 1.0) * 1.02, self.margins[3], self._right)

    @cached_property
    def y(self) -> Scale:
        values = [v for line in self.lines for v in line.y_values()]
        if self.robust and len(values) > 20:
            values = list(np.percentile(values, [CLIPPED, 100 - CLIPPED]))
        ends = self._base, self.margins[0]
        scale = Scale.over(values, *ends, log=self.log, spare=0.06)
        if self.floor is None or not scale.near(self.floor):
            return scale
        return Scale.over([*values, self.floor], *ends, log=self.log, spare=0.06)

    @property
    def _base(self) -> int:
        return self.height - self.margins[2]

    @property
    def _right(self) -> int:
        return self.width - self.margins[1]

    def svg(self) -> Markup:
        return element(
            "svg",
            element("title", f"{self.title} over {self.across}"),
            *self.elements(),
            class_="chart",
            viewBox=f"0 0 {self.width} {self.height}",
            role="img",
            preserveAspectRatio="xMidYMid meet",
        )

    def elements(self) -> Iterable[Markup]:
        """The title, axes and curves, without the `svg` around them."""
        if self.margins[0] < TWO_LINES:
            note = element("tspan", self.note, dx=6, class_="note") if self.note else ""
            yield element("text", self.title, note, x=0, y=13, class_="title")
        else:
            yield element("text", self.title, x=0, y=13, class_="title")
            yield element("text", self._note_with_floor, x=0, y=29, class_="quiet")
        yield from self._axes()
        top, _, _, left = self.margins
        # A nested svg cuts off what leaves it, without an id that another plot could have, too.
        box = {"x": left, "y": top - 4, "width": self._right - left + 6, "height": self._base - top + 8}
        view = " ".join(str(box[side]) for side in ("x", "y", "width", "height"))
        curves = [part for line in self.lines for part in self._line(line)]
        yield element("svg", *curves, **box, viewBox=view, class_="plot")
        yield from self._floor()

    @property
    def _floor_inside(self) -> bool:
        floor = self.floor
        return floor is not None and self.y.shows(floor) and self.y.low <= floor <= self.y.high

    @property
    def _note_with_floor(self) -> str:
        """The note; a floor far away is named there, since drawing it would flatten the curves."""
        if self.floor is None or self._floor_inside:
            return self.note
        return (
            f"{self.note}; real floor {short(self.floor)}, {'below' if self.floor < self.y.low else 'above'}"
        )

    def _floor(self) -> Iterable[Markup]:
        if self.floor is None or not self._floor_inside:
            return
        at, left, right = self.y(self.floor), self.margins[3], self._right
        points = [self._at(*point) for line in self.lines for point in line.mean]
        # The label stands at the side where the curves stay farther from the line.
        distance = {
            side: min((abs(y - at) for x, y in points if abs(x - side) < right / 3), default=self.height)
            for side in (left, right)
        }
        end = distance[right] > distance[left]
        kind = f"quiet halo{' end' if end else ''}"
        yield element("path", d=f"M{left} {at:.1f}H{right}", class_="floor")
        yield element("text", "real floor", x=right if end else left + 6, y=f"{at - 5:.1f}", class_=kind)

    def _axes(self) -> Iterable[Markup]:
        left, base, end = self.margins[3], self._base, self._right
        for tick in self.y.ticks(6):
            at = self.y(tick)
            yield element("path", d=f"M{left} {at:.1f}H{end}", class_="grid")
            yield element("text", short(tick), x=left - 7, y=f"{at + 4:.1f}", class_="tick end")
        yield element("path", d=f"M{left} {base}H{end}", class_="axis")
        for tick in self.x.ticks(5):
            at = self.x(tick)
            yield element("path", d=f"M{at:.1f} {base}v4", class_="axis")
            yield element("text", short(tick), x=f"{at:.1f}", y=base + 17, class_="tick middle")
        yield element("text", self.across, x=end, y=base + 35, class_="label end")

    def _line(self, line: Line) -> Iterable[Markup]:
        at = self._at
        parts: list[Markup] = []
        if line.band:
            upper = [at(x, high) for x, _, high in line.band]
            lower = [at(x, low) for x, low, _ in reversed(line.band)]
            parts.append(element("path", d=path(upper + lower) + "Z", class_=f"band {hue(line.number)}"))
        # Up to its end the band shows the seeds; single ones are drawn from there on.
        band_end = line.mean[-1][0] if line.mean else -1.0
        for seed in line.seeds:
            if (len(line.seeds) > 1 and seed[-1][0] > band_end) or not line.mean:
                points = [at(*point) for point in seed if point[0] >= band_end]
                kind = f"seed {hue(line.number)}"
                if len(points) == 1:
                    parts.append(marker(line.number, *points[0], 2.8))
                parts.append(element("path", d=path(points), class_=kind, stroke_dasharray=dash(line.number)))
        points = [at(*point) for point in line.mean]
        if len(points) > 1:
            kind = f"mean {hue(line.number)}"
            parts.append(element("path", d=path(points), class_=kind, stroke_dasharray=dash(line.number)))
        if line.seeds and len(points) <= MARKED:
            for i, (x, y) in enumerate(points):
                parts.append(marker(line.number, x, y, 2.8, data_told=self._tooltip(line, i)))
        yield element("g", *parts, class_="series", data_group=line.number)

    def _tooltip(self, line: Line, i: int) -> str:
        """Place, mean and range of a point, separated by tabs, for browser.js."""
        x, y = line.mean[i]
        place = f"{short(x / self.unit)} {self.across}"
        _, low, high = line.band[i] if line.band else (x, y, y)
        return f"{place}\t{y:.4g}\t" + (f"{low:.4g}–{high:.4g}" if line.band else "")

    def _at(self, x: float, y: float) -> tuple[float, float]:
        # Positions far outside of a plot are cut off anyway, and renderers fail at huge numbers.
        limit = 4 * self.height
        return self.x(x / self.unit), min(max(self.y(y) if y > 0 or not self.log else limit, -limit), limit)


def as_file(
    elements: Iterable[Markup], width: int, height: int, signs: Sequence[tuple[int, str]] = ()
) -> str:
    """The text of an SVG file for papers: on white, with plain colours, and a legend of the groups below.

    Args:
        signs: Number and name of each group in the legend.
    """
    margin, row = 16, 20
    legend = []
    for i, (number, name) in enumerate(signs):
        y = height + 14 + i * row
        line = element("path", d=f"M0 {y}H24", class_=f"mean {hue(number)}", stroke_dasharray=dash(number))
        legend += [line, marker(number, 12, y, 3.6), element("text", name, x=32, y=y + 4, class_="label")]
    full = height + 2 * margin + (len(signs) * row + 8 if signs else 0)
    inner = element("g", *elements, *legend, transform=f"translate({margin} {margin})")
    style = element("style", Markup(_light_style()))
    paper = element("rect", width="100%", height="100%", class_="paper")
    size = {"width": width + 2 * margin, "height": full, "viewBox": f"0 0 {width + 2 * margin} {full}"}
    return element("svg", style, paper, inner, xmlns="http://www.w3.org/2000/svg", **size) + "\n"


def _light_style() -> str:
    """The plots' style, with the light page's colours put in for their variables."""
    light, _, rules = STYLE.read_text().split("/* dark */")
    colours = dict(re.findall(r"(--[a-z0-9]+): ([^;]+);", light))
    return re.sub(r"var\((--[a-z0-9]+)\)", lambda variable: colours[variable[1]], rules)


def file_name(*parts: object) -> str:
    """A plot's file name; no name of a score or a term can make it lead out of the folder."""
    words = (re.sub(r"[^A-Za-z0-9_]+", "-", str(part)).strip("-")[:60] for part in parts)
    return "-".join(word for word in words if word) + ".svg"
