from typing import Any

from ganlab.game.gan import GAN
from ganlab.losses import Loss


class Mixed(GAN):
    """Any loss, with any penalties (`penalty_terms`) and regularisers: a game that no class is written for.

    Args:
        loss: Two equations on logits.
    """

    def __init__(self, *, loss: Loss, **base: Any) -> None:
        super().__init__(**base)
        self.loss = loss
