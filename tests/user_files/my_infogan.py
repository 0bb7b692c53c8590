"""A code in the latent that a head of the critic guesses: Chen et al. 2016, arXiv:1606.03657."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from ganlab import GAN, Judged, losses

CODES = 10


class InfoGAN(GAN):
    """Eq. 6: the generator and the head Q share the bound of the mutual information of code and sample."""

    loss = losses.non_saturating

    def __init__(self, *, information_weight: float = 1.0, **base):
        super().__init__(**base)
        self.information_weight = information_weight

    def latent(self, draws, *, truncation: float | None = None, code: int | None = None):
        noise = super().latent(draws, truncation=truncation)
        codes = draws.integers(CODES)
        codes = codes if code is None else torch.full_like(codes, code)
        return torch.cat([noise, one_hot(codes, CODES).to(noise.dtype)], 1)

    def learns(self, side):
        guess = dict(self.discriminator.guess.named_parameters(prefix="guess"))
        if side == "generator":
            return super().learns(side) | guess
        return {name: each for name, each in super().learns(side).items() if name not in guess}

    def generator_terms(self, turn):
        information = cross_entropy(turn.fake_heads, turn.latent[:, -CODES:])
        return super().generator_terms(turn) | {"information": self.information_weight * information}


class Generator(nn.Sequential):
    def __init__(self, *, shape: tuple[int, ...], latent_size: int = 8):
        pixels = shape[1] * shape[2]
        layers = nn.Linear(latent_size + CODES, 32), nn.ReLU(), nn.Linear(32, pixels), nn.Tanh()
        super().__init__(*layers, nn.Unflatten(1, tuple(shape)))


class Critic(nn.Module):
    def __init__(self, *, shape: tuple[int, ...]):
        super().__init__()
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(shape[1] * shape[2], 32), nn.LeakyReLU(0.2))
        self.logit, self.guess = nn.Linear(32, 1), nn.Linear(32, CODES)

    def forward(self, images):
        features = self.trunk(images)
        return Judged(self.logit(features).squeeze(1), self.guess(features))
