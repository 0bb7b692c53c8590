from typing import Any

from ganlab import losses
from ganlab.game.gan import GAN
from ganlab.penalties import R1


class R1GAN(GAN):
    """Mescheder et al. 2018, arXiv:1801.04406: the non-saturating game with slope 0 at reals, to converge.

    Args:
        gamma: Weight of the gradient penalty.
    """

    loss = losses.non_saturating

    def __init__(self, *, gamma: float = 10.0, **base: Any) -> None:
        super().__init__(**base)
        self.penalty_terms = [R1(gamma), *self.penalty_terms]
