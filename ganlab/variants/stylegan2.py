from collections.abc import Sequence
from typing import Any, cast

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from ganlab import bounds, losses
from ganlab.class_paths import configured
from ganlab.game.draws import Draws
from ganlab.game.gan import GAN
from ganlab.game.parts import Regulariser
from ganlab.networks.stylegan2 import StyleGAN2Generator, mixed
from ganlab.penalties import R1
from ganlab.regularisers.path_length import PathLength


class StyleGAN2(GAN):
    """Karras et al. 2020, arXiv:1912.04958: R1, mixed styles, and equal steps in images for equal ones in w.

    Args:
        gamma: Weight of the gradient penalty.
        path_weight: Weight of the path length regularisation.
        path_every: Regularise path lengths in each k-th generator step only, k times as hard.
        mixing: The share of latents in training that give the finer layers to another, from a random one on.
    """

    loss = losses.non_saturating

    def __init__(
        self,
        *,
        gamma: float = 10.0,
        path_weight: float = 2.0,
        path_every: int = 4,
        mixing: float = 0.9,
        penalty_every: int = 16,
        # A rate of 0.002 and a decay of 0.99, corrected for terms that are not in each step: appendix B.
        generator_optimizer: OptimizerCallable = configured(torch.optim.Adam, lr=1.6e-3, betas=(0.0, 0.992)),
        discriminator_optimizer: OptimizerCallable = configured(
            torch.optim.Adam, lr=1.88e-3, betas=(0.0, 0.9905)
        ),
        regularisers: Sequence[Regulariser] = (),
        **base: Any,
    ) -> None:
        super().__init__(
            penalty_every=penalty_every,
            regularisers=[PathLength(path_weight, path_every), *regularisers],
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            **base,
        )
        self.penalty_terms = [R1(gamma), *self.penalty_terms]
        bounds.between(0, 1, self, mixing=mixing)
        self.mixing, self.layers = mixing, cast(StyleGAN2Generator, self.generator).layers

    def latents(self, count: int, *, seed: int, at: int = 0, **choices: Any) -> Any:
        return super().latents(count, seed=seed, at=at, **{"mix": self.layers, **choices})

    def latent(self, draws: Draws, *, truncation: float | None = None, mix: int | None = None) -> Any:
        """A latent for all layers, or one for each.

        Args:
            truncation: The share of the way from the mean style to a latent's own.
            mix: The first layer that takes the style of another latent; in training it is drawn.
        """
        bounds.at_least(0, self, truncation=truncation)
        bounds.between(1, self.layers, self, mix=mix)
        latent, first = super().latent(draws), torch.tensor(mix or self.layers)
        if mix is None:
            stays = draws.uniform(1) >= self.mixing
            first = (1 + draws.integers(self.layers - 1, 1)).masked_fill(stays, self.layers)
        if mix != self.layers:
            latent = mixed(latent, super().latent(draws), self.layers, first)
        if truncation is None:
            return latent
        return {"latent": latent, "truncation": latent.new_full((len(latent), 1), truncation)}

    def fake(self, generator: nn.Module, latent: Any, condition: Any) -> Any:
        if isinstance(latent, Tensor):
            return super().fake(generator, latent, condition)
        return generator(latent["latent"], condition, latent["truncation"])
