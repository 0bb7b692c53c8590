"""Checks that every variant must pass, ours and yours. One line in a test file:

test_my_gan = conformance(MyGAN)
"""

from ganlab.testing.checks import CHECKS, OF_TWO_PROCESSES, conformance
from ganlab.testing.games import (
    AUTOENCODER,
    PAIRED,
    SHAPE,
    STYLED,
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
from ganlab.testing.processes import on_two_processes

__all__ = [
    "AUTOENCODER",
    "CHECKS",
    "OF_TWO_PROCESSES",
    "PAIRED",
    "SHAPE",
    "STYLED",
    "Discriminator",
    "Game",
    "Generator",
    "SpeckPairs",
    "Specks",
    "assert_same",
    "conformance",
    "new",
    "on_two_processes",
    "play",
    "state",
    "tried_with",
]
