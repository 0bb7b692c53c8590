from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.utils._pytree import tree_leaves

from ganlab import bounds, losses
from ganlab.game.gan import GAN
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn, at_least_float32
from ganlab.judgements import checked, judged


class UnrolledGAN(GAN):
    """Metz et al. 2017, arXiv:1611.02163: a generator that is told how the discriminator would answer it.

    The generator's loss is that against a discriminator some steps of gradient descent ahead, with the
    gradient through these steps (eqs. 7, 10). They are taken on copies of its weights, with the turn's
    samples, by its loss without penalties, in float32. Each costs as much as a turn of the discriminator, and
    its backward pass about twice that again. The loss is the non-saturating one, of fakes alone: with eq. 7's
    the discriminator of digits is soon sure of all of them, and the generator learns nothing.

    Couples samples: a process takes these steps on its own micro-batch.

    Args:
        unrolled_steps: Steps ahead; 0 is the non-saturating game.
        unrolled_rate: Learning rate of these steps: with 1e-2 the gradient through the steps of a DCGAN with
            batch normalisation is ten times as long as the one beside it.
    """

    loss = losses.non_saturating

    def __init__(self, *, unrolled_steps: int = 5, unrolled_rate: float = 1e-4, **base: Any) -> None:
        super().__init__(**base)
        bounds.at_least(0, self, unrolled_steps=unrolled_steps, unrolled_rate=unrolled_rate)
        self.unrolled_steps, self.unrolled_rate = unrolled_steps, unrolled_rate
        self.moving = {name for name, p in self.discriminator.named_parameters() if p.requires_grad}

    def generator_terms(self, turn: Turn) -> Terms:
        if not turn.adversarial:
            return {}
        # A product in half precision would be differentiated in half precision, twice; and compiled networks
        # have no double backward.
        with torch.autocast(self.device.type, enabled=False), self.uncompiled(True):
            weights = self.weights_ahead(turn.real, turn.fake, turn.condition)
            fake = self.judged_with(weights, turn.fake, turn.condition)
            return {
                "generator": self.loss.generator(
                    fake, lambda: self.judged_with(weights, turn.real, turn.condition)
                )
            }

    def weights_ahead(self, real: Any, fake: Any, condition: Any) -> dict[str, Tensor]:
        """The discriminator's weights after the steps; of several critics each steps by its own loss."""
        named = self.discriminator.named_parameters()
        weights = {name: weight.detach().requires_grad_() for name, weight in named if name in self.moving}
        for _ in range(self.unrolled_steps):
            reals, fakes = (self.judged_with(weights, images, condition) for images in (real, fake))
            value = self.loss.discriminator(reals, fakes) * len(tree_leaves(reals))
            slopes = torch.autograd.grad(
                value, [*weights.values()], create_graph=True, materialize_grads=True
            )
            moved = zip(weights.items(), slopes, strict=True)
            weights = {name: weight - self.unrolled_rate * slope for (name, weight), slope in moved}
        return weights

    def judged_with(self, weights: Mapping[str, Tensor], images: Any, condition: Any) -> Any:
        """Logits by a discriminator of other weights."""
        seen = self.augmented(images)
        given = (seen,) if condition is None else (seen, condition)
        said = checked(judged(functional_call(self.discriminator, dict(weights), given)))
        return at_least_float32(said.logits)
