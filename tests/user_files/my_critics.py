"""Critics that each see another random projection of the samples: Neyshabur et al. 2017, arXiv:1705.07831."""

import math

import torch
from torch import nn


class Generator(nn.Module):
    def __init__(self, *, shape: tuple[int, ...], latent_size: int = 8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(latent_size, 32), nn.ReLU(), nn.Linear(32, math.prod(shape)), nn.Tanh()
        )
        self.shape = tuple(shape)

    def forward(self, latent):
        return self.layers(latent).unflatten(1, self.shape)


class Critic(nn.Module):
    def __init__(self, seen: int = 16, *, shape: tuple[int, ...]):
        super().__init__()
        size = math.prod(shape)
        self.register_buffer("projection", torch.randn(size, seen) / math.sqrt(size))
        self.layers = nn.Sequential(nn.Linear(seen, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1), nn.Flatten(0))

    def forward(self, images):
        return self.layers(images.flatten(1) @ self.projection)
