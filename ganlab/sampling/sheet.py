"""Samples as one picture, beside what they are made from."""

import torch
from PIL import Image
from torch import Tensor

from ganlab.game.gan import GAN
from ganlab.media import tiles


def sheet(game: GAN, samples: Tensor, seed: int) -> Image.Image:
    """The first samples of a seed as one picture.

    If what they are made from can be drawn, each lies between that and the real that belongs to it, as far as
    this is known: source, made, real. Else the words that tell what it was told stand with it.
    """
    made, column = game.medium(samples), game.drawable_source
    if game.conditions is None or column is None:
        return made.captioned(samples, game.captions(len(samples), seed=seed))
    batch = game.conditions.batch(torch.arange(len(samples)), seed)
    parts = [(game.media[column], batch[column]), (made, samples)]
    # What is made from the real itself, such as from a smaller form of it, has shown it already.
    if column and batch[0] is not None:
        parts.append((made, batch[0]))
    return tiles.groups(parts)
