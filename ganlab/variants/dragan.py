from typing import Any

from ganlab import losses
from ganlab.game.gan import GAN
from ganlab.penalties import LocalGradientPenalty


class DRAGAN(GAN):
    """Kodali et al. 2017, arXiv:1705.07215: slope 1 around the reals, against sharp local equilibria.

    Couples samples: the noise is as wide as one process's micro-batch of reals.

    Args:
        gamma: Weight of the gradient penalty, the paper's lambda.
        strength: The noise added to a real is uniform up to this many standard deviations of the reals.
    """

    loss = losses.non_saturating

    def __init__(self, *, gamma: float = 10.0, strength: float = 0.5, **base: Any) -> None:
        super().__init__(**base)
        self.penalty_terms = [LocalGradientPenalty(gamma, strength), *self.penalty_terms]
