"""A discriminator that is an autoencoder: Berthelot et al. 2017, arXiv:1703.10717, section 3.4."""

import torch
from torch import nn

from ganlab import GAN


class BEGAN(GAN):
    """Judges by the reconstruction error; a moving weight k holds the ratio of the two errors at gamma."""

    def __init__(self, *, gamma: float = 0.5, rate: float = 0.01, **base):
        super().__init__(**base)
        self.gamma, self.rate = gamma, rate
        self.register_buffer("k", torch.zeros(()))

    def judge(self, images, condition):
        return (self.discriminator(images) - images).abs().mean((1, 2, 3))

    def discriminator_terms(self, turn):
        real, fake = turn.real_logits.mean(), turn.fake_logits.mean()
        turn.note("balance", self.gamma * real - fake)
        return {"discriminator": real - self.k * fake}

    def generator_terms(self, turn):
        return {"generator": turn.fake_logits.mean()}

    def after_discriminator_step(self, logged):
        self.k.add_(self.rate * logged["balance"]).clamp_(0, 1)


class Decoder(nn.Sequential):
    def __init__(self, *, shape: tuple[int, ...], latent_size: int = 8):
        pixels = shape[0] * shape[1] * shape[2]
        super().__init__(
            nn.Linear(latent_size, 32),
            nn.ReLU(),
            nn.Linear(32, pixels),
            nn.Tanh(),
            nn.Unflatten(1, tuple(shape)),
        )


class Autoencoder(nn.Sequential):
    def __init__(self, *, shape: tuple[int, ...], code: int = 8):
        pixels = shape[0] * shape[1] * shape[2]
        super().__init__(nn.Flatten(), nn.Linear(pixels, code), *Decoder(shape=shape, latent_size=code))
