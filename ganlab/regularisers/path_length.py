from __future__ import annotations

import torch
from torch import Tensor

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.game.parts import Game, Regulariser, replace_by_finite
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.networks.stylegan2 import StyleGAN2Generator

MOVED = 0.01  # how far the mean length moves to that of each turn that has one


class PathLength(Regulariser):
    """Karras et al. 2020 (StyleGAN2), arXiv:1912.04958, eq. 4: equal steps in images for equal ones in w.

    It needs a generator of styles, `StyleGAN2Generator`. The mean length is in the log as `mean_path_length`.

    Args:
        weight: The authors' pl_weight.
        every: Regularise in each k-th generator step only, k times as hard.
    """

    mean_length: Tensor

    def __init__(self, weight: float = 2.0, every: int = 4) -> None:
        super().__init__()
        bounds.at_least(0, self, weight=weight)
        bounds.at_least(1, self, every=every)
        self.weight, self.every = weight, every
        self._generators: list[StyleGAN2Generator] = []  # in a list it is no part of this
        self.register_buffer("mean_length", torch.zeros(()))

    def attach(self, game: Game) -> None:
        if not isinstance(game.generator, StyleGAN2Generator):
            raise Refused(
                f"PathLength needs a generator of styles, and {type(game.generator).__name__} has none.\n"
                "Take StyleGAN2Generator, or a class that derives from it."
            )
        self._generators = [game.generator]

    def terms(self, turn: Turn) -> Terms:
        if not self.weight or not turn.generating or turn.step % self.every:
            return {}
        (generator,) = self._generators
        lengths = generator.path_lengths(turn.latent, turn.condition, turn.draws.normal(*generator.shape))
        turn.note("mean_path_length", lengths.mean())
        distance = (lengths - self.mean_length).square().mean()
        return {"path_length": self.every * self.weight * distance}

    def after_generator_step(self, logged: Terms, images: int) -> None:
        if (length := logged.get("mean_path_length")) is not None:
            replace_by_finite(self.mean_length, self.mean_length.lerp(length, MOVED))
