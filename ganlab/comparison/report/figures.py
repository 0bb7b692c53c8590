"""The page's plots, collected to be written as files as well."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO

from markupsafe import Markup
from PIL import Image

from ganlab.comparison.report.charts import Chart, as_file, file_name
from ganlab.comparison.report.intervals import IntervalPlot
from ganlab.comparison.report.templates import writable
from ganlab.comparison.result import Table


@dataclass
class Figures:
    """The files of a report beside its page.

    Attributes:
        numbers: By the group's id its position in the comparison, from which its colour follows.
        plots: The texts of SVG files, by file name.
        pictures: The pictures of PNG files, by file name.
    """

    numbers: dict[int, int]
    plots: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, Image.Image] = field(default_factory=dict)

    def chart(self, chart: Chart, *name: object) -> Markup:
        """Collect a chart under a name made of the parts given, and return it for the page."""
        signs = [(line.number, line.name) for line in chart.lines]
        self.plots[self._free_name(*name)] = as_file(chart.elements(), chart.width, chart.height, signs)
        return chart.svg()

    def intervals(self, table: Table, *name: object) -> None:
        self.plots[self._free_name(*name)] = as_file(*IntervalPlot(table).drawing(self.numbers))

    def picture(self, picture: Image.Image, *name: object) -> None:
        self.pictures[self._free_name(*name).replace(".svg", ".png")] = picture

    def files(self) -> dict[str, bytes]:
        """The content of each file, by its name."""
        files = {name: writable(plot).encode() for name, plot in self.plots.items()}
        for name, picture in self.pictures.items():
            picture.save(content := BytesIO(), "PNG")
            files[name] = content.getvalue()
        return files

    def _free_name(self, *name: object) -> str:
        """A file name that is not taken: two scores may differ only in characters that none can hold."""
        free, count = file_name(*name), 2
        while free in self.plots or free.replace(".svg", ".png") in self.pictures:
            free, count = file_name(*name, count), count + 1
        return free
