"""Translation without pairs: Zhu et al. 2017, arXiv:1703.10593; digits from negatives of other digits."""

import torch
from torch import nn
from torch.utils.data import TensorDataset

from ganlab import GAN, losses
from ganlab.data import Digits
from ganlab.media import Pictures
from ganlab.pools import Pool


class Negatives(Digits):
    """Digits, which are the domain b, and beside each the negative of another one, of the domain a."""

    @property
    def media(self):
        return Pictures(self.shape), Pictures(self.shape)

    def load(self):
        splits = (rows[torch.arange(len(rows))][0] for rows in super().load())
        return tuple(TensorDataset(digits, 255 - digits.flip(0)) for digits in splits)


class MyCycleGAN(GAN):
    """Samples are b's, made from a's; two critics see a history of fakes. Couples samples."""

    loss = losses.least_squares
    per_process = ("pools",)

    def __init__(
        self, *, shape: tuple[int, ...] | None = None, pool=50, cycle: float = 10, identity: float = 0, **base
    ):
        super().__init__(**base)
        self.pools = nn.ModuleDict({domain: Pool(pool, shape) for domain in "ab"})
        self.cycle, self.identity = cycle, identity

    def discriminator_terms(self, turn):
        fakes = {"a": self.pools["a"](self.generator["ba"](turn.real)), "b": self.pools["b"](turn.fake)}
        reals = turn.logits({"a": turn.condition}) | {"b": turn.real_logits}
        # A loss is the mean over critics, whose losses the paper adds up.
        return {"discriminator": 2 * self.loss.discriminator(reals, turn.logits(fakes))}

    def generator_terms(self, turn):
        (to_b, to_a), a, b = self.generator.values(), turn.condition, turn.real
        fake_a = to_a(b)
        logits = turn.logits({"a": fake_a}) | {"b": turn.fake_logits}
        cycle = (to_a(turn.fake) - a).abs().mean() + (to_b(fake_a) - b).abs().mean()
        terms = {"generator": 2 * self.loss.generator(logits, lambda: logits), "cycle": self.cycle * cycle}
        if self.identity:
            terms["identity"] = self.identity * ((to_b(b) - b).abs().mean() + (to_a(a) - a).abs().mean())
        return terms


class Translators(nn.ModuleDict):
    def __init__(self, *, shape: tuple[int, ...]):
        def make():
            return nn.Sequential(
                nn.Conv2d(shape[0], 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, shape[0], 3, 1, 1), nn.Tanh()
            )

        super().__init__({"ab": make(), "ba": make()})

    def forward(self, latent, source):
        return self["ab"](source)


class Critics(nn.ModuleDict):
    """Of pictures by their domains each critic judges its own; others are b's."""

    def __init__(self, *, shape: tuple[int, ...]):
        def make():
            return nn.Sequential(nn.Conv2d(shape[0], 8, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 3, 1, 1))

        super().__init__({"a": make(), "b": make()})

    def forward(self, pictures, source):
        if isinstance(pictures, dict):
            return {domain: self[domain](some) for domain, some in pictures.items()}
        return self["b"](pictures)
