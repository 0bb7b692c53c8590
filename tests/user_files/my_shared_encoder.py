"""A generator that begins with its critic's encoder: after Chen et al. 2020 (NICE-GAN), arXiv:2003.00273.

In one direction: from negatives of pictures to pictures. The critic alone trains the encoder (section 3.2).
"""

from torch import nn

from ganlab import GAN, losses


class SharedEncoder(GAN):
    loss = losses.least_squares

    def __init__(self, *, reconstruction_weight: float = 10.0, **base):
        super().__init__(**base)
        self.reconstruction_weight = reconstruction_weight

    def tie(self):
        self.generator.encoder = self.discriminator.encoder

    def learns(self, side):
        own = super().learns(side)
        if side == "discriminator":
            return own
        return {name: each for name, each in own.items() if not name.startswith("encoder.")}

    def condition(self, batch):
        return -self.real(batch)

    def judge(self, images, condition):
        return self.discriminator(images)

    def generator_terms(self, turn):
        error = (self.generator(None, turn.real) - turn.real).abs().mean()
        return super().generator_terms(turn) | {"reconstruction": self.reconstruction_weight * error}


class Encoder(nn.Sequential):
    def __init__(self, channels: int, width: int = 8):
        super().__init__(nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2))


class Translator(nn.Module):
    def __init__(self, *, shape: tuple[int, ...], width: int = 8):
        super().__init__()
        self.encoder = Encoder(shape[0], width)
        self.decoder = nn.Sequential(nn.ConvTranspose2d(width, shape[0], 4, 2, 1), nn.Tanh())

    def forward(self, latent, source):
        return self.decoder(self.encoder(source))


class Critic(nn.Module):
    def __init__(self, *, shape: tuple[int, ...], width: int = 8):
        super().__init__()
        self.encoder, self.logits = Encoder(shape[0], width), nn.Conv2d(width, 1, 3, 1, 1)

    def forward(self, images):
        return self.logits(self.encoder(images))
