"""Games with a regulariser that acts from the first step on, and what they draw made the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from plain_games import plain, told_labels
from torch import Tensor

from ganlab import regularisers
from ganlab.augment import TABLE
from ganlab.game.gan import GAN
from ganlab.media import Labels
from ganlab.networks import DCGANDiscriminator
from ganlab.regularisers import Regulariser
from ganlab.testing import SHAPE
from ganlab.variants import HingeGAN, Pix2Pix

# These need a generator of styles, or of text: they are tried with StyleGAN2, and where games of text are.
NAMES = [name for name in regularisers.__all__ if name not in ("Regulariser", "PathLength", "Temperature")]
# What makes a regulariser act in the first steps, and what it draws a single number or none.
AT_ONCE: dict[str, dict[str, Any]] = {
    "ADA": {"target": -1.0, "kimg": 0.05, "every": 1, "augmentations": ["flip"]},
    "BCR": {"augmentations": ["flip"]},
    "CHAIN": {"target": -1.0, "rate": 0.2, "added": 0.1},
    "LeCam": {"warm_up": 0},
}
# Some look for convolutions, or for a last layer.
CRITIC = partial(DCGANDiscriminator, shape=SHAPE, width=4, max_width=8, normalization="none")
GAMES: dict[str, Callable[..., GAN]] = {
    "hinge": partial(plain, HingeGAN, discriminator=CRITIC),
    "told labels": partial(told_labels, discriminator=partial(CRITIC, condition=Labels(3))),
    "Pix2Pix": lambda **arguments: plain(Pix2Pix, **arguments),
}


def regulariser(name: str) -> Regulariser:
    return vars(regularisers)[name](**AT_ONCE.get(name, {}))


def regularised(name: str, game: str = "hinge", **arguments: Any) -> GAN:
    return GAMES[game](regularisers=[regulariser(name)], **arguments)


@contextmanager
def nothing_by_chance() -> Iterator[None]:
    """Within, each sample's noise follows from the sample, and each that may be augmented is."""

    def zeros(*shape: int, **how: Any) -> Tensor:
        return torch.zeros(*shape, **how)

    with (
        patch.dict(TABLE, flip=lambda images: images.flip(-1)),
        patch.object(torch, "rand", zeros),
        patch.object(torch, "randn_like", lambda values: (997 * values.detach()).sin()),
    ):
        yield
