"""An encoder for a finished GAN, to find anomalies: the second stage (izi_f) of f-AnoGAN.

Schlegl et al. 2019, "f-AnoGAN: Fast unsupervised anomaly detection with generative adversarial networks",
Medical Image Analysis 54, 30-44.
"""

from math import prod

from torch import nn
from torch.nn.functional import mse_loss

from ganlab import GAN


class Reconstruction(nn.Module):
    """An encoder of pictures, and behind it the finished generator."""

    def __init__(self, *, decoder: nn.Module, shape: tuple[int, ...], code_size: int = 8):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(prod(shape), 64), nn.LeakyReLU(0.2), nn.Linear(64, code_size), nn.Tanh()
        )
        self.decoder = decoder

    def forward(self, latent, pictures):
        return self.decoder(self.encoder(pictures))


class FAnoGAN(GAN):
    """Pictures are told themselves, and made again; the critic, which is finished, lends its features."""

    def __init__(self, *, kappa: float = 1.0, **base):
        super().__init__(**base)
        self.kappa = kappa

    def condition(self, batch):
        return self.real(batch)

    def judge(self, images, condition):
        return self.discriminator(images)

    def discriminator_terms(self, turn):
        return {}

    def generator_terms(self, turn):
        features = self.discriminator.network.features
        distance = mse_loss(features(turn.fake), features(turn.real))
        return {"residual": mse_loss(turn.fake, turn.real), "features": self.kappa * distance}
