from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable

from ganlab import bounds, losses
from ganlab.class_paths import configured
from ganlab.game.gan import GAN
from ganlab.game.terms import Terms
from ganlab.penalties import GradientPenalty


class WGAN(GAN):
    """Arjovsky et al. 2017, arXiv:1701.07875: a critic kept Lipschitz by clipping its weights (algorithm 1).

    Args:
        clip: Largest absolute value of the critic's weights.
    """

    loss = losses.wasserstein

    def __init__(
        self,
        *,
        clip: float = 0.01,
        critic_steps: int = 5,
        generator_optimizer: OptimizerCallable = configured(torch.optim.RMSprop, lr=5e-5),
        discriminator_optimizer: OptimizerCallable = configured(torch.optim.RMSprop, lr=5e-5),
        **base: Any,
    ) -> None:
        super().__init__(
            critic_steps=critic_steps,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            **base,
        )
        bounds.above(0, self, clip=clip)
        self.clip = clip

    def after_discriminator_step(self, logged: Terms) -> None:
        for parameter in self.discriminator.parameters():
            parameter.clamp_(-self.clip, self.clip)


class WGANGP(GAN):
    """Gulrajani et al. 2017, arXiv:1704.00028: a critic kept Lipschitz by a gradient penalty (algorithm 1).

    Args:
        gamma: Weight of the gradient penalty, the paper's lambda.
    """

    loss = losses.wasserstein

    def __init__(
        self,
        *,
        gamma: float = 10.0,
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
        self.penalty_terms = [GradientPenalty(gamma), *self.penalty_terms]
