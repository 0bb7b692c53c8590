"""A projection discriminator of one's own, after Miyato & Koyama 2018, arXiv:1802.05637."""

import torch
from torch import nn

from ganlab.media import Labels


class Generator(nn.Module):
    def __init__(self, *, shape: tuple[int, ...], condition: Labels, latent_size: int = 8):
        super().__init__()
        self.labels = nn.Embedding(condition.classes, latent_size)
        self.layers = nn.Sequential(
            nn.Linear(2 * latent_size, 32), nn.ReLU(), nn.Linear(32, shape[1] * shape[2]), nn.Tanh()
        )
        self.shape = tuple(shape)

    def forward(self, latent, label):
        return self.layers(torch.cat([latent, self.labels(label)], 1)).unflatten(1, self.shape)


class Discriminator(nn.Module):
    def __init__(self, *, shape: tuple[int, ...], condition: Labels):
        super().__init__()
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(shape[1] * shape[2], 32), nn.ReLU())
        self.logit, self.labels = nn.Linear(32, 1), nn.Embedding(condition.classes, 32)

    def forward(self, images, label):
        features = self.features(images)
        return self.logit(features).squeeze(1) + (self.labels(label) * features).sum(1)
