"""Augmentation as strong as the discriminator overfits: Karras et al. 2020, arXiv:2006.06676, section 3.1."""

import torch

from ganlab import GAN, losses
from ganlab.augment import augment


class ADA(GAN):
    """Augments what the discriminator sees with the probability p. It rises while the share of reals that are
    taken for reals is above `target`, and else falls, by 1 in so many images. Couples samples.
    """

    loss = losses.non_saturating  # Its logits have a zero: beyond it the discriminator says real.

    def __init__(self, *, target: float = 0.6, images: int = 500_000, **base):
        super().__init__(**base)
        self.target, self.images = target, images
        self.register_buffer("p", torch.zeros(()))

    def judge(self, images, condition):
        chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < self.p
        changed = augment(images, ["flip", "translation", "cutout"])
        return super().judge(torch.where(chosen, changed, images), condition)

    def discriminator_terms(self, turn):
        turn.note("overfitting", turn.real_logits.sign())
        turn.note("p", self.p)
        return super().discriminator_terms(turn)

    def after_discriminator_step(self, logged):
        share = self.images_per_step / self.critic_steps / self.images
        self.p.add_(share * (logged["overfitting"] - self.target).sign()).clamp_(0, 1)
