"""Labels beside the inputs of both networks: Mirza & Osindero 2014, arXiv:1411.1784."""

import torch
from torch import nn
from torch.nn.functional import one_hot

from ganlab import GAN, losses


class ConditionalGAN(GAN):
    loss = losses.non_saturating

    def condition(self, batch):
        return one_hot(batch[1], 10).float()


class Generator(nn.Module):
    def __init__(self, *, shape: tuple[int, ...], latent_size: int = 8):
        super().__init__()
        pixels = shape[1] * shape[2]
        self.layers = nn.Sequential(
            nn.Linear(latent_size + 10, 32), nn.ReLU(), nn.Linear(32, pixels), nn.Tanh()
        )
        self.shape = tuple(shape)

    def forward(self, latent, label):
        return self.layers(torch.cat([latent, label], 1)).unflatten(1, self.shape)


class Discriminator(nn.Module):
    def __init__(self, *, shape: tuple[int, ...]):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(shape[1] * shape[2] + 10, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1)
        )

    def forward(self, images, label):
        return self.layers(torch.cat([images.flatten(1), label], 1)).squeeze(1)
