from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable

from ganlab import losses
from ganlab.class_paths import configured
from ganlab.game.gan import GAN
from ganlab.penalties import R1, R2


class R3GAN(GAN):
    """Huang et al. 2024, arXiv:2501.05441: relativistic pairing, zero-centred penalties on real and fake.

    Args:
        gamma: Weight of both gradient penalties.
    """

    loss = losses.relativistic

    def __init__(
        self,
        *,
        gamma: float = 1.0,
        generator_optimizer: OptimizerCallable = configured(torch.optim.Adam, lr=2e-4, betas=(0.0, 0.99)),
        discriminator_optimizer: OptimizerCallable = configured(torch.optim.Adam, lr=2e-4, betas=(0.0, 0.99)),
        **base: Any,
    ) -> None:
        super().__init__(
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            **base,
        )
        self.penalty_terms = [R1(gamma), R2(gamma), *self.penalty_terms]
