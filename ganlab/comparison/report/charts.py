"""Plots as SVG: in the page they take its colours, in a file of their own they bring them along."""

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
DOTTED = 40  # points up to which each is marked
CLIPPED = 0.5  # per cent of values at each end that may lie outside a plot of terms
BESIDE = 40  # where less is left above a plot, its note stands in the title's line
SHEET = Path(__file__).with_name("plot.css")


def hue(number: int) -> str:
    return f"g{number % HUES}"


def dash(number: int) -> str | None:
    """Groups that have to share a hue differ in their dashes."""
    return DASHES[number // HUES % len(DASHES)] or None


def marker(number: int, x: float, y: float, size: float = 3.4, **more: object) -> Markup:
    """A shape for each hue, for eyes that do not tell the hues apart."""
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
    """A group's colour, dash and shape, beside its name."""
    line = element("path", d="M1 7H25", class_=f"mean {hue(number)}", stroke_dasharray=dash(number))
    return element(
        "svg", line, marker(number, 13, 7, 3.6), class_="sign", viewBox="0 0 26 14", aria_hidden="true"
    )


def path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


@dataclass
class Chart:
    """Curves of groups over training.

    Attributes:
        note: What is to be known of the vertical axis.
        robust: Leave the most extreme values outside.
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
        places = [0.0, *(x / self.unit for line in self.lines for x in line.places())]
        return Scale(0.0, (max(places) or 1.0) * 1.02, self.margins[3], self._right)

    @cached_property
    def y(self) -> Scale:
        values = [v for line in self.lines for v in line.values()]
        if self.robust and len(values) > 20:
            values = list(np.percentile(values, [CLIPPED, 100 - CLIPPED]))
        ends = self._base, self.margins[0]
        found = Scale.over(values, *ends, log=self.log, spare=0.06)
        if self.floor is None or not found.near(self.floor):
            return found
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
            *self.inside(),
            class_="chart",
            viewBox=f"0 0 {self.width} {self.height}",
            role="img",
            preserveAspectRatio="xMidYMid meet",
        )

    def inside(self) -> Iterable[Markup]:
        if self.margins[0] < BESIDE:
            note = element("tspan", self.note, dx=6, class_="note") if self.note else ""
            yield element("text", self.title, note, x=0, y=13, class_="title")
        else:
            yield element("text", self.title, x=0, y=13, class_="title")
            yield element("text", self._note, x=0, y=29, class_="quiet")
        yield from self._axes()
        top, _, _, left = self.margins
        # A nested svg cuts off what leaves it, and needs no id that another plot could bear.
        box = {"x": left, "y": top - 4, "width": self._right - left + 6, "height": self._base - top + 8}
        view = " ".join(str(box[side]) for side in ("x", "y", "width", "height"))
        drawn = [part for line in self.lines for part in self._line(line)]
        yield element("svg", *drawn, **box, viewBox=view, class_="plot")
        yield from self._floor()

    @property
    def _floor_inside(self) -> bool:
        floor = self.floor
        return floor is not None and self.y.shows(floor) and self.y.low <= floor <= self.y.high

    @property
    def _note(self) -> str:
        """One that lies far away is told in words, for else the curves would be pressed together."""
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
        # The words stand where curves come less near to the line.
        near = {
            side: min((abs(y - at) for x, y in points if abs(x - side) < right / 3), default=self.height)
            for side in (left, right)
        }
        end = near[right] > near[left]
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
            there = [at(x, high) for x, _, high in line.band]
            back = [at(x, low) for x, low, _ in reversed(line.band)]
            parts.append(element("path", d=path(there + back) + "Z", class_=f"band {hue(line.number)}"))
        # As far as it goes the band tells what the seeds did.
        reach = line.mean[-1][0] if line.mean else -1.0
        for seed in line.seeds:
            if (len(line.seeds) > 1 and seed[-1][0] > reach) or not line.mean:
                points = [at(*point) for point in seed if point[0] >= reach]
                kind = f"seed {hue(line.number)}"
                if len(points) == 1:
                    parts.append(marker(line.number, *points[0], 2.8))
                parts.append(element("path", d=path(points), class_=kind, stroke_dasharray=dash(line.number)))
        points = [at(*point) for point in line.mean]
        if len(points) > 1:
            kind = f"mean {hue(line.number)}"
            parts.append(element("path", d=path(points), class_=kind, stroke_dasharray=dash(line.number)))
        if line.seeds and len(points) <= DOTTED:
            for i, (x, y) in enumerate(points):
                parts.append(marker(line.number, x, y, 2.8, data_told=self._told(line, i)))
        yield element("g", *parts, class_="series", data_group=line.number)

    def _told(self, line: Line, i: int) -> str:
        x, y = line.mean[i]
        place = f"{short(x / self.unit)} {self.across}"
        _, low, high = line.band[i] if line.band else (x, y, y)
        return f"{place}\t{y:.4g}\t" + (f"{low:.4g}–{high:.4g}" if line.band else "")

    def _at(self, x: float, y: float) -> tuple[float, float]:
        # What lies far outside of a plot is cut off; renderers fail at numbers beyond reason.
        reach = 4 * self.height
        return self.x(x / self.unit), min(max(self.y(y) if y > 0 or not self.log else reach, -reach), reach)


def alone(inside: Iterable[Markup], width: int, height: int, signs: Sequence[tuple[int, str]] = ()) -> str:
    """A file for papers: on white, with colours that a drawing program knows, and a legend below."""
    pad, row = 16, 20
    legend = []
    for i, (number, name) in enumerate(signs):
        y = height + 14 + i * row
        line = element("path", d=f"M0 {y}H24", class_=f"mean {hue(number)}", stroke_dasharray=dash(number))
        legend += [line, marker(number, 12, y, 3.6), element("text", name, x=32, y=y + 4, class_="label")]
    full = height + 2 * pad + (len(signs) * row + 8 if signs else 0)
    inner = element("g", *inside, *legend, transform=f"translate({pad} {pad})")
    sheet = element("style", Markup(_light()))
    paper = element("rect", width="100%", height="100%", class_="paper")
    size = {"width": width + 2 * pad, "height": full, "viewBox": f"0 0 {width + 2 * pad} {full}"}
    return element("svg", sheet, paper, inner, xmlns="http://www.w3.org/2000/svg", **size) + "\n"


def _light() -> str:
    """The plots' style, with the colours of the light page in the places of their names."""
    told = SHEET.read_text().split("/* dark */")
    colours = dict(re.findall(r"(--[a-z0-9]+): ([^;]+);", told[0]))
    return re.sub(r"var\((--[a-z0-9]+)\)", lambda found: colours[found[1]], told[2])


def file_name(*parts: object) -> str:
    """Nothing that a score or a term is called can lead out of the folder."""
    words = (re.sub(r"[^A-Za-z0-9_]+", "-", str(part)).strip("-")[:60] for part in parts)
    return "-".join(word for word in words if word) + ".svg"
