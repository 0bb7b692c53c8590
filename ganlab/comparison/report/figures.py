"""The page's plots, which are kept to be written as files too, and the legend that they share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from PIL import Image

from ganlab.comparison.report.charts import Chart, alone, file_name, sign
from ganlab.comparison.report.curves import Line
from ganlab.comparison.report.intervals import Whiskers
from ganlab.comparison.report.markup import Markup, element
from ganlab.comparison.result import Table


@dataclass
class Figures:
    """
    Attributes:
        places: Of each group, by its id, its place in the comparison, from which its colour follows.
        plots: Files to be, by their names.
        pictures: The same of pictures of pixels.
    """

    places: dict[int, int]
    plots: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, Image.Image] = field(default_factory=dict)

    def chart(self, chart: Chart, *name: object) -> Markup:
        signs = [(line.number, line.name) for line in chart.lines]
        self.plots[self._free(*name)] = alone(chart.inside(), chart.width, chart.height, signs)
        return element("figure", chart.svg(), class_="plot")

    def intervals(self, table: Table, *name: object) -> None:
        self.plots[self._free(*name)] = alone(*Whiskers(table).drawing(self.places))

    def picture(self, picture: Image.Image, *name: object) -> None:
        self.pictures[self._free(*name).replace(".svg", ".png")] = picture

    def _free(self, *name: object) -> str:
        """Two names may differ in nothing that a file's name can hold."""
        found, count = file_name(*name), 2
        while found in self.plots or found.replace(".svg", ".png") in self.pictures:
            found, count = file_name(*name, count), count + 1
        return found


def legend(lines: Iterable[Line]) -> Markup:
    entries = [
        element(
            "button",
            sign(line.number),
            element("span", line.name),
            type="button",
            data_group=line.number,
            aria_pressed="true",
            title="show or hide",
        )
        for line in lines
    ]
    return element("div", *entries, class_="legend", role="group", aria_label="groups")
