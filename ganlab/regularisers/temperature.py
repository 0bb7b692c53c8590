from __future__ import annotations

import torch
from torch import Tensor

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.game.parts import Game, Regulariser
from ganlab.game.terms import Terms
from ganlab.networks.characters import Characters


class Temperature(Regulariser):
    """The temperature by which a generator of text draws characters falls by the same factor in each step.

    Nie et al. 2019 (RelGAN, ICLR), section 2.4. It needs a generator that draws characters (`distribution`).
    A low one from the beginning has gradients of large variance, and one that stays high never draws whole
    characters in training.

    Args:
        start: In the first generator step.
        end: After `steps` generator steps, and from then on.
    """

    steps_taken: Tensor

    def __init__(self, start: float = 1.0, end: float = 0.1, steps: int = 5000) -> None:
        super().__init__()
        bounds.above(0, self, start=start, end=end)
        bounds.at_least(1, self, steps=steps)
        self.start, self.end, self.steps = start, end, steps
        self._layers: list[Characters] = []  # in a list they are no part of this
        self.register_buffer("steps_taken", torch.zeros((), dtype=torch.long))

    def attach(self, game: Game) -> None:
        drawing = (layer for layer in game.generator.modules() if isinstance(layer, Characters))
        self._layers = [layer for layer in drawing if layer.draws]
        if not self._layers:
            raise Refused(
                f"Temperature is of drawn characters, and {type(game.generator).__name__} draws none:\n"
                "take a generator of text with distribution: gumbel, or straight_through."
            )
        self._set(self.start)

    def after_generator_step(self, logged: Terms, images: int) -> None:
        self.steps_taken += 1
        share = min(1.0, int(self.steps_taken) / self.steps)
        self._set(self.start * (self.end / self.start) ** share)

    def _set(self, temperature: float) -> None:
        for layer in self._layers:
            layer.temperature.fill_(temperature)
