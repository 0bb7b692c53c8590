"""Lines of text as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from math import ceil, sqrt
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont

SIZE = 14  # of letters in pixels
GAP, BETWEEN = 4, 24  # pixels between lines, and between columns
WIDEST = 1600  # pixels of a line; what is longer is cut
NO_FONTS = ("Last Resort High-Efficiency",)  # has a box for every character
OWN = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"


class LineSheet:
    """Draws lines of up to `length` characters of an alphabet, each in a place of the same size."""

    def __init__(self, alphabet: str, length: int) -> None:
        self.alphabet, self.length = alphabet, length

    @cached_property
    def font(self) -> FreeTypeFont:
        return ImageFont.truetype(font_with(self.alphabet), SIZE)

    @cached_property
    def place(self) -> tuple[int, int]:
        """Pixels of a line's place: width and height."""
        widest = max(map(self.font.getlength, self.alphabet))
        return min(ceil(widest * self.length), WIDEST), sum(self.font.getmetrics())

    def columns(self, count: int) -> int:
        """As many as make a sheet of so many lines nearly square."""
        width, height = self.place
        return max(1, ceil(sqrt(count * (height + GAP) / (width + BETWEEN))))

    def drawn(self, lines: Sequence[str], columns: int | None = None) -> Image.Image:
        columns = min(columns or self.columns(len(lines)), len(lines))
        width, height = self.place
        size = columns * (width + BETWEEN) - BETWEEN, -(-len(lines) // columns) * (height + GAP) - GAP
        sheet = Image.new("L", size, 255)
        for number, line in enumerate(lines):
            row, column = divmod(number, columns)
            place = Image.new("L", (width, height), 255)
            ImageDraw.Draw(place).text((0, 0), line, 0, self.font)
            sheet.paste(place, (column * (width + BETWEEN), row * (height + GAP)))
        return sheet


@lru_cache(maxsize=16)
def font_with(characters: str) -> str:
    """The file of a font that has these characters: matplotlib's, or else the machine's that has most."""
    needed = {ord(character) for character in characters if not character.isspace()}
    if not needed - _characters_of(str(OWN)):
        return str(OWN)
    files = sorted(entry.fname for entry in font_manager.fontManager.ttflist if entry.name not in NO_FONTS)
    return max([str(OWN), *files], key=lambda file: len(needed & _characters_of(file)))


def _characters_of(file: str) -> set[int]:
    try:
        return {*FT2Font(file).get_charmap()}
    except (OSError, RuntimeError):  # A font that is damaged, or gone.
        return set()
