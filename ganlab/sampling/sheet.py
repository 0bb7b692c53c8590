"""Samples as one picture, beside what they are made from."""

from math import ceil, sqrt

import torch
from PIL import Image
from torch import Tensor

from ganlab.game.gan import GAN
from ganlab.media import Medium
from ganlab.media.pictures import GAP


def sheet(game: GAN, samples: Tensor, seed: int) -> Image.Image:
    """The first samples of a seed as one picture.

    If what they are made from can be drawn, each lies in a row between that and the real that belongs to it,
    as far as this is known: source, made, real. Else the words that tell what it was told stand with it.
    """
    made, source = game.medium(samples), game.condition_medium
    if not (game.conditions and source and source.drawable):
        return made.captioned(samples, game.captions(len(samples), seed=seed))
    reals, sources, *_ = game.conditions.batch(torch.arange(len(samples)), seed)
    columns = [(source, sources), (made, samples), (made, reals)]
    return _in_rows([(medium, items) for medium, items in columns if items is not None])


def _in_rows(columns: list[tuple[Medium, Tensor]]) -> Image.Image:
    """Item i of each column in one row; the rows in blocks beside one another, nearly square."""
    count = len(columns[0][1])
    length = ceil(count / max(1, round(sqrt(count / len(columns)))))
    strips = [
        medium.sheet(items[start : start + length], columns=1)
        for start in range(0, count, length)
        for medium, items in columns
    ]
    # Sources may be smaller, as in super-resolution.
    width, height = max(strip.width for strip in strips), max(strip.height for strip in strips)
    picture = Image.new("RGB", ((width + GAP) * len(strips) - GAP, height), "white")
    for number, strip in enumerate(strips):
        scale = width / strip.width
        resized = strip.resize((width, round(strip.height * scale)), Image.Resampling.NEAREST)
        picture.paste(resized, (number * (width + GAP), 0))
    return picture
