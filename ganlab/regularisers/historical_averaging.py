from __future__ import annotations

import torch
from torch import Tensor, nn

from ganlab import bounds
from ganlab.game.parts import Game, Regulariser
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn


class HistoricalAveraging(Regulariser):
    """Salimans et al. 2016, arXiv:1606.03498, section 3.3: each player's weights stay near their own history.

    The term of a side is the squared distance of its player's weights to the mean of what they were after
    each of the discriminator's steps. Costs the memory of the weights once, and a copy of them in each turn.

    Args:
        weight: Of both players' terms.
    """

    generator_mean: Tensor
    discriminator_mean: Tensor
    steps: Tensor

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        bounds.at_least(0, self, weight=weight)
        self.weight = weight
        # In a tuple, so that the weights do not become this module's.
        self.weights: tuple[list[nn.Parameter], ...] = ()
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def attach(self, game: Game) -> None:
        self.weights = [*game.generator.parameters()], [*game.discriminator.parameters()]
        generator, discriminator = (numbers(each).detach() for each in self.weights)
        self.register_buffer("generator_mean", generator)
        self.register_buffer("discriminator_mean", discriminator)

    def terms(self, turn: Turn) -> Terms:
        generator, discriminator = self.weights
        if turn.generating:
            return {"generator_history": self.distance(generator, self.generator_mean)}
        return {"discriminator_history": self.distance(discriminator, self.discriminator_mean)}

    def distance(self, weights: list[nn.Parameter], mean: Tensor) -> Tensor:
        # Before the first step there is no history.
        return self.weight * (self.steps > 0) * (numbers(weights) - mean).square().sum()

    def after_discriminator_step(self, logged: Terms, images: int) -> None:
        self.steps += 1
        for weights, mean in zip(self.weights, (self.generator_mean, self.discriminator_mean), strict=True):
            mean.lerp_(numbers(weights), 1 / self.steps)


def numbers(weights: list[nn.Parameter]) -> Tensor:
    """All in one row; torch's own function refuses weights with the channels last."""
    return torch.cat([weight.flatten() for weight in weights])
