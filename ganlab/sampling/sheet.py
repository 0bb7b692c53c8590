"""Samples as one picture, beside what they are made from."""

import torch
from PIL import Image
from torch import Tensor

from ganlab.game.gan import GAN
from ganlab.media import Medium, tiles


def sheet(game: GAN, samples: Tensor, seed: int, columns: int | None = None) -> Image.Image:
    """The first samples of a seed as one picture.

    If what they are made from can be drawn, each lies between that and the real that belongs to it, as far as
    there is one: source, made, real. Else the words that tell what it was told stand with it.
    """
    made, around = game.medium(samples), beside(game, len(samples), seed)
    if around is None:
        return made.captioned(samples, game.captions(len(samples), seed=seed), columns)
    source, *real = around
    return tiles.groups([source, (made, samples), *real], columns)


def beside(game: GAN, count: int, seed: int) -> list[tuple[Medium, Tensor]] | None:
    """What so many samples are made from, and the reals that belong to them, if there are such.

    None if it is nothing that can be drawn.
    """
    conditions, column = game.conditions, game.drawable_source
    if conditions is None or column is None:
        return None
    batch = conditions.batch(torch.arange(count), seed)
    shown = [(game.media[column], batch[column])]
    # What is made from the real itself, such as from a smaller form of it, has shown it already.
    if column and conditions.has_reals and batch[0] is not None:
        shown.append((game.media[0], batch[0]))
    return shown
