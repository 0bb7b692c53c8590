"""Sheets that show what belongs together side by side: a source, and what was made from it."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt

from PIL import Image
from torch import Tensor

from ganlab.media.medium import Medium

GAP, APART = 2, 10  # pixels between the tiles of a group, and between groups


def groups(parts: Sequence[tuple[Medium, Tensor]], columns: int | None = None) -> Image.Image:
    """A sheet of groups of tiles, each of one item of every part; all tiles have the size of the largest.

    Args:
        parts: Media that can be drawn, each with as many items as the others.
        columns: Groups beside one another; none: as many as make the sheet nearly square.
    """
    tiles = [[medium.sheet(item[None]) for item in items] for medium, items in parts]
    shown = [tile for part in tiles for tile in part]
    width, height = max(tile.width for tile in shown), max(tile.height for tile in shown)
    count, across = len(tiles[0]), len(parts) * (width + GAP) - GAP + APART
    columns = columns or ceil(sqrt(count * (height + APART) / across))
    size = min(columns, count) * across - APART, -(-count // columns) * (height + APART) - APART
    grey = all(tile.mode == "L" for tile in shown)
    sheet = Image.new("L" if grey else "RGB", size, "white")
    for place, part in enumerate(tiles):
        for number, tile in enumerate(part):
            row, column = divmod(number, columns)
            corner = column * across + place * (width + GAP), row * (height + APART)
            sheet.paste(tile.resize((width, height), Image.Resampling.NEAREST), corner)
    return sheet
