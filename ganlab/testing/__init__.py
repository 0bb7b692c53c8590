"""Checks that every variant must pass, ours and yours. One line in a test file:

test_my_gan = conformance(MyGAN)
"""

from ganlab.testing.checks import CHECKS, conformance
from ganlab.testing.games import (
    PAIRED,
    SHAPE,
    Discriminator,
    Game,
    Generator,
    SpeckPairs,
    Specks,
    assert_same,
    new,
    play,
    state,
    tried_with,
)

__all__ = [
    "CHECKS",
    "PAIRED",
    "SHAPE",
    "Discriminator",
    "Game",
    "Generator",
    "SpeckPairs",
    "Specks",
    "assert_same",
    "conformance",
    "new",
    "play",
    "state",
    "tried_with",
]
