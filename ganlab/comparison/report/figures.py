"""The page's plots, which are kept to be written as files too."""

from __future__ import annotations

from dataclasses import dataclass, field

from markupsafe import Markup
from PIL import Image

from ganlab.comparison.report.charts import Chart, alone, file_name
from ganlab.comparison.report.intervals import Whiskers
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
        return chart.svg()

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
