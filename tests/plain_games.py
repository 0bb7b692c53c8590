"""Games whose networks treat each sample separately, for tests of sums and means over samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ganlab.game.gan import GAN
from ganlab.testing import new
from ganlab.variants import DRAGAN, RelativisticGAN

COUPLED = {DRAGAN, RelativisticGAN}


class Plain(nn.Sequential):
    """No normalisation and no dropout: samples do not influence one another."""

    def __init__(self, inputs: int = 64, outputs: int = 1) -> None:
        super().__init__(nn.Flatten(), nn.Linear(inputs, 32), nn.LeakyReLU(0.2), nn.Linear(32, outputs))


class PlainGenerator(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(Plain(8, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))


def plain(variant: type[GAN], **arguments: Any) -> GAN:
    torch.manual_seed(0)
    return new(variant, generator=PlainGenerator(), discriminator=Plain(), **arguments)
