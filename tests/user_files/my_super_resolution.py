"""Pictures of four times the pixels, with a pixel term: after Ledig et al. 2017, arXiv:1609.04802."""

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate, mse_loss

from ganlab import GAN, losses


class SuperResolution(GAN):
    loss = losses.non_saturating

    def __init__(self, *, pixel_weight: float = 10.0, **base):
        super().__init__(**base)
        self.pixel_weight = pixel_weight

    def condition(self, batch):
        return avg_pool2d(self.real(batch), 2)

    def judge(self, images, condition):
        return self.discriminator(images)

    def generator_terms(self, turn):
        pixels = mse_loss(turn.fake, turn.real)
        return super().generator_terms(turn) | {"pixels": self.pixel_weight * pixels}


class Generator(nn.Module):
    def __init__(self, *, shape: tuple[int, ...], width: int = 8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(shape[0], width, 3, 1, 1), nn.ReLU(), nn.Conv2d(width, 4 * shape[0], 3, 1, 1)
        )
        self.finer = nn.PixelShuffle(2)

    def forward(self, latent, small):
        return torch.tanh(interpolate(small, scale_factor=2) + self.finer(self.layers(small)))


class Discriminator(nn.Sequential):
    def __init__(self, *, shape: tuple[int, ...]):
        super().__init__(nn.Conv2d(shape[0], 8, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 3, 1, 1))
