"""A sheet of pictures with words: beside each row whose pictures have the same, else below each picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, sqrt

from PIL import Image, ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont
from torch import Tensor

SIZES = (13, 12, 11, 10)  # of letters in pixels; smaller ones cannot be read
BAND = 16  # pixels below a row for its words
LINE, MOST_LINES = 12, 3  # pixels of a line after the first, and lines below a picture
APART = 2  # pixels between words below pictures, besides those between the pictures
WIDEST = 180  # pixels for words beside rows
MARGIN = 6  # pixels between these and a row
LONGEST = 100  # characters that are looked at

Grid = Callable[[Tensor, int], Image.Image]


def captioned(grid: Grid, images: Tensor, captions: Sequence[str], columns: int | None = None) -> Image.Image:
    """The grid's sheet of images, nearly square if no columns are given, with a caption for each image."""
    columns = columns or ceil(sqrt(len(images)))
    captions = [" ".join(caption[:LONGEST].split()) for caption in captions]
    rows = [captions[start : start + columns] for start in range(0, len(captions), columns)]
    if all(len({*row}) == 1 for row in rows):
        return _beside(grid(images, columns), [row[0] for row in rows])
    strips = [grid(some, columns) for some in images.split(columns)]
    picture = grid(images[:1], 1).width
    return _below(strips, rows, picture, (strips[0].width - picture) / max(columns - 1, 1))


def _beside(sheet: Image.Image, captions: Sequence[str]) -> Image.Image:
    font = _font(captions, WIDEST)
    captions = [_fitting(caption, font, WIDEST) for caption in captions]
    left = ceil(max(font.getlength(caption) for caption in captions)) + 2 * MARGIN
    whole = Image.new(sheet.mode, (left + sheet.width, sheet.height), "white")
    whole.paste(sheet, (left, 0))
    draw, height = ImageDraw.Draw(whole), sheet.height / len(captions)
    for row, caption in enumerate(captions):
        draw.text((left - MARGIN, (row + 0.5) * height), caption, "black", font, anchor="rm")
    return whole


def _below(
    strips: Sequence[Image.Image], rows: Sequence[Sequence[str]], picture: int, step: float
) -> Image.Image:
    """Words below pictures of `picture` pixels' width, each of which begins `step` pixels after the last."""
    font = _font([caption for row in rows for caption in row], picture - APART)
    wrapped = [[_wrapped(caption, font, picture - APART) for caption in row] for row in rows]
    band = BAND + LINE * (max(len(lines) for row in wrapped for lines in row) - 1)
    width, height = strips[0].width, strips[0].height + band
    whole = Image.new(strips[0].mode, (width, len(strips) * height), "white")
    draw = ImageDraw.Draw(whole)
    for number, (strip, row) in enumerate(zip(strips, wrapped, strict=True)):
        whole.paste(strip, (0, number * height))
        middle = number * height + strip.height + BAND / 2
        for place, lines in enumerate(row):
            for below, line in enumerate(lines):
                at = place * step + picture / 2, middle + below * LINE
                draw.text(at, line, "black", font, anchor="mm")
    return whole


def _wrapped(caption: str, font: FreeTypeFont, width: float) -> list[str]:
    """The caption in a few lines, cut where these do not do."""
    lines = [""]
    for word in caption.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width and len(lines) < MOST_LINES:
            lines.append(word)
        else:
            lines[-1] = longer
    return [_fitting(line, font, width) for line in lines]


def _font(captions: Sequence[str], width: float) -> FreeTypeFont:
    """Pillow's own, in the largest of the sizes in which all captions fit, or else in the smallest."""
    fonts = [_built_in(size) for size in SIZES]
    return next((font for font in fonts if max(map(font.getlength, captions)) <= width), fonts[-1])


def _built_in(size: int) -> FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, FreeTypeFont)
    return font


def _fitting(caption: str, font: FreeTypeFont, width: float) -> str:
    """The caption, or as much of its beginning as fits."""
    if font.getlength(caption) <= width:
        return caption
    while caption and font.getlength(f"{caption}…") > width:
        caption = caption[:-1]
    return f"{caption.rstrip(' ,')}…"
