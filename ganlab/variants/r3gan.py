from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable

from ganlab import bounds, losses
from ganlab.class_paths import configured
from ganlab.game.gan import GAN
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.penalties import zero_centred


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
            generator_optimizer=generator_optimizer, discriminator_optimizer=discriminator_optimizer, **base
        )
        bounds.at_least(0, self, gamma=gamma)
        self.gamma = gamma

    def penalties(self, turn: Turn) -> Terms:
        half = self.gamma / 2
        return {
            "r1": half * zero_centred(turn.real, turn.real_logits),
            "r2": half * zero_centred(turn.fake, turn.fake_logits),
        }
