"""Pictures of four times the pixels, trained beforehand by pixels: Ledig et al. 2017, arXiv:1609.04802."""

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate, mse_loss

from ganlab import GAN, losses


class SRGAN(GAN):
    """A stage of the squared error alone (section 3.2), then a little of the adversary (section 2.2)."""

    loss = losses.non_saturating

    def __init__(self, *, adversarial_weight: float = 1e-3, **base):
        super().__init__(**base)
        self.adversarial_weight = adversarial_weight

    def condition(self, batch):
        return avg_pool2d(self.real(batch), 2)

    def judge(self, images, condition):
        return self.discriminator(images)

    def generator_terms(self, turn):
        terms = super().generator_terms(turn)
        return {
            **{name: self.adversarial_weight * term for name, term in terms.items()},
            "pixels": mse_loss(turn.fake, turn.real),
        }


class SRResNet(nn.Module):
    def __init__(self, *, shape: tuple[int, ...], width: int = 8):
        super().__init__()
        self.first = nn.Conv2d(shape[0], width, 3, 1, 1)
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1),
            nn.BatchNorm2d(width),
            nn.PReLU(),
            nn.Conv2d(width, width, 3, 1, 1),
        )
        self.finer = nn.Sequential(nn.Conv2d(width, 4 * shape[0], 3, 1, 1), nn.PixelShuffle(2))

    def forward(self, latent, small):
        maps = self.first(small)
        return torch.tanh(interpolate(small, scale_factor=2) + self.finer(maps + self.block(maps)))


class Critic(nn.Sequential):
    def __init__(self, *, shape: tuple[int, ...]):
        super().__init__(nn.Conv2d(shape[0], 8, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 3, 1, 1))
