"""Pictures from pictures, with an L1 term: Isola et al. 2017, arXiv:1611.07004; digits from edges."""

import torch
from torch import nn
from torch.utils.data import TensorDataset

from ganlab import GAN, losses
from ganlab.data import Digits
from ganlab.media import Pictures


class Edges(Digits):
    """Digits, and beside each the difference of every pixel and the one to its left."""

    @property
    def media(self):
        return Pictures(self.shape), Pictures(self.shape)

    def load(self):
        splits = (rows[torch.arange(len(rows))][0] for rows in super().load())
        return tuple(TensorDataset(digits, digits - digits.roll(1, 3)) for digits in splits)


class MyPix2Pix(GAN):
    loss = losses.non_saturating

    def __init__(self, *, l1_weight: float = 100.0, **base):
        super().__init__(**base)
        self.l1_weight = l1_weight

    def generator_terms(self, turn):
        l1 = (turn.fake - turn.real).abs().mean()
        return super().generator_terms(turn) | {"l1": self.l1_weight * l1}


class Generator(nn.Sequential):
    def __init__(self, *, condition: Pictures):
        channels = condition.shape[0]
        super().__init__(nn.Conv2d(channels, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 1, 3, 1, 1), nn.Tanh())

    def forward(self, latent, source):
        return super().forward(source)


class Discriminator(nn.Sequential):
    def __init__(self, *, condition: Pictures):
        channels = 1 + condition.shape[0]
        super().__init__(nn.Conv2d(channels, 8, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 3, 1, 1))

    def forward(self, images, source):
        return super().forward(torch.cat([images, source], 1))
