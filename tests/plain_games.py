"""Games whose networks treat each sample separately, for tests of sums and means over samples."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from ganlab.game.gan import GAN
from ganlab.media import Labels
from ganlab.networks import MLPDiscriminator, MLPGenerator, PatchGANDiscriminator, UNetGenerator
from ganlab.testing import PAIRED, SHAPE, SpeckPairs, Specks, new, tried_with
from ganlab.variants import DRAGAN, HingeGAN, RelativisticGAN

COUPLED = {DRAGAN, RelativisticGAN}


class Plain(nn.Sequential):
    """No normalisation and no dropout: samples do not influence one another."""

    def __init__(self, inputs: int = 64, outputs: int = 1) -> None:
        super().__init__(nn.Flatten(), nn.Linear(inputs, 32), nn.LeakyReLU(0.2), nn.Linear(32, outputs))


class PlainGenerator(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(Plain(8, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))


# For the data that a variant is tried with; instance norm takes the statistics of each sample by itself.
PLAYERS: dict[type, dict[str, Any]] = {
    Specks: {"generator": PlainGenerator, "discriminator": Plain},
    SpeckPairs: {
        "generator": partial(UNetGenerator, **PAIRED, latent_size=8),
        "discriminator": partial(PatchGANDiscriminator, **PAIRED, layers=1),
    },
}


def plain(variant: type[GAN], **arguments: Any) -> GAN:
    return new(variant, **PLAYERS[tried_with(variant).data], **arguments)


def told_labels(**arguments: Any) -> GAN:
    """A game with a projection of the label in its discriminator, and the label beside its latents."""
    facts: dict[str, Any] = {"shape": SHAPE, "condition": Labels(3), "hidden": (32,)}
    players = {
        "generator": partial(MLPGenerator, **facts, latent_size=8),
        "discriminator": partial(MLPDiscriminator, **facts),
    }
    return new(HingeGAN, **players, conditional=True, **arguments)


SHIPPED = [variant for variant in GAN.__subclasses__() if variant.__module__.startswith("ganlab.")]
GAMES: dict[str, Callable[..., GAN]] = {
    **{variant.__name__: partial(plain, variant) for variant in SHIPPED},
    "told labels": told_labels,
}
