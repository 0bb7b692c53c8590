from typing import Any

from ganlab import bounds, losses
from ganlab.game.gan import GAN
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.penalties import zero_centred


class R1GAN(GAN):
    """Mescheder et al. 2018, arXiv:1801.04406: the non-saturating game with slope 0 at reals, to converge.

    Args:
        gamma: Weight of the gradient penalty.
    """

    loss = losses.non_saturating

    def __init__(self, *, gamma: float = 10.0, **base: Any) -> None:
        super().__init__(**base)
        bounds.at_least(0, self, gamma=gamma)
        self.gamma = gamma

    def penalties(self, turn: Turn) -> Terms:
        return {"r1": self.gamma / 2 * zero_centred(turn.real, turn.real_logits)}
