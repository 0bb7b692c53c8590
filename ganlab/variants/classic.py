"""Variants that only choose a loss."""

from typing import Any

from ganlab import losses
from ganlab.game.gan import GAN


class MinimaxGAN(GAN):
    """Goodfellow et al. 2014, arXiv:1406.2661: the original game; a generator that loses hardly learns."""

    loss = losses.minimax


class NonSaturatingGAN(GAN):
    """Goodfellow et al. 2014, arXiv:1406.2661, section 3: a generator that learns even when it loses.

    Args:
        smoothing: Taken off the discriminator's target for reals (one-sided label smoothing).
    """

    def __init__(self, *, smoothing: float = 0.0, **base: Any) -> None:
        super().__init__(**base)
        self.loss = losses.NonSaturating(smoothing)


class LSGAN(GAN):
    """Mao et al. 2017, arXiv:1611.04076: regression to the targets 0 and 1."""

    loss = losses.least_squares


class HingeGAN(GAN):
    """Lim & Ye 2017, arXiv:1705.02894: the discriminator stops at a margin."""

    loss = losses.hinge


class RelativisticGAN(GAN):
    """Jolicoeur-Martineau 2018, arXiv:1807.00734: real against the average fake, and the reverse.

    Couples samples: the averages are those of one process's micro-batch.
    """

    loss = losses.relativistic_average
