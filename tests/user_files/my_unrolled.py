"""A generator that learns from what the critic would answer: Metz et al. 2017, arXiv:1611.02163."""

import torch
from torch.func import functional_call

from ganlab import GAN, losses


class UnrolledGAN(GAN):
    """The generator's loss is that against a critic some steps of gradient descent ahead, with a gradient
    through these steps (equations 7 and 10). They are taken on copies.

    Couples samples: a process takes these steps on its own.
    """

    loss = losses.non_saturating

    def __init__(self, *, unrolled_steps: int = 3, unrolled_rate: float = 0.01, **base):
        super().__init__(**base)
        self.unrolled_steps, self.unrolled_rate = unrolled_steps, unrolled_rate

    def generator_terms(self, turn):
        if not turn.adversarial:
            return {}
        # A product in half precision would be differentiated in half precision, twice.
        with torch.autocast(self.device.type, enabled=False):
            weights = self.unrolled(turn.real, turn.fake)
            fake_logits = self.judged_with(weights, turn.fake)
            return {
                "generator": self.loss.generator(fake_logits, lambda: self.judged_with(weights, turn.real))
            }

    def unrolled(self, real, fake):
        """The critic's weights after some steps more."""
        weights = {name: w.detach().requires_grad_() for name, w in self.discriminator.named_parameters()}
        for _ in range(self.unrolled_steps):
            logits = self.judged_with(weights, real), self.judged_with(weights, fake)
            value = self.loss.discriminator(*logits)
            slopes = torch.autograd.grad(value, [*weights.values()], create_graph=True)
            moved = (
                w - self.unrolled_rate * slope for w, slope in zip(weights.values(), slopes, strict=True)
            )
            weights = dict(zip(weights, moved, strict=True))
        return weights

    def judged_with(self, weights, images):
        return functional_call(self.discriminator, weights, (images,))
