from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable

from ganlab import losses
from ganlab.class_paths import configured
from ganlab.game.gan import GAN
from ganlab.penalties import GradientPower


class WGANDiv(GAN):
    """Wu et al. 2018, arXiv:1712.01026: the Wasserstein divergence, whose critic needs no bound on its slope.

    Args:
        k: Weight of the penalty.
        p: Power of the slope.
    """

    loss = losses.wasserstein

    def __init__(
        self,
        *,
        k: float = 2.0,
        p: float = 6.0,
        critic_steps: int = 5,
        generator_optimizer: OptimizerCallable = configured(torch.optim.Adam, lr=1e-4, betas=(0.0, 0.9)),
        discriminator_optimizer: OptimizerCallable = configured(torch.optim.Adam, lr=1e-4, betas=(0.0, 0.9)),
        **base: Any,
    ) -> None:
        super().__init__(
            critic_steps=critic_steps,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            **base,
        )
        self.penalty_terms = [GradientPower(k, p), *self.penalty_terms]
