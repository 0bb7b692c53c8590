from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ganlab.augment import TABLE, Augmentation
from ganlab.game.parts import Regulariser
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.regularisers.overfitting import Overfitting


class ADA(Regulariser):
    """Karras et al. 2020, arXiv:2006.06676: the more the discriminator overfits, the more it sees augmented.

    Each augmentation is made or left out by itself, of each sample, with the probability p. The log has p as
    `ada_p`, and as `overfitting` how many more reals are taken for real than for fake (r_t, eq. 1). Losses
    whose logits do not tell that, such as relativistic and Wasserstein ones, are refused.

    Args:
        augmentations: What is made of samples, in this order.
        target: p rises while `overfitting` is above this, and falls while it is below.
        kimg: Thousands of images in which p can rise from 0 to 1.
        every: Turns of the discriminator from one change of p to the next.
    """

    needs_boundary = True

    def __init__(
        self,
        augmentations: Sequence[Augmentation] = ("flip", "translation", "colour", "cutout"),
        target: float = 0.6,
        kimg: float = 500.0,
        every: int = 4,
    ) -> None:
        super().__init__()
        self.augmentations = tuple(augmentations)
        self.overfitting = Overfitting(self, target=target, kimg=kimg, every=every)

    def seen(self, samples: Tensor) -> Tensor:
        for name in self.augmentations:
            shape = len(samples), *[1] * (samples.ndim - 1)
            chosen = torch.rand(shape, device=samples.device) < self.overfitting.strength
            samples = torch.where(chosen, TABLE[name](samples), samples)
        return samples

    def terms(self, turn: Turn) -> Terms:
        if not turn.generating:
            turn.note("overfitting", self.overfitting.seen_in(turn.real_logits, self.boundary))
            turn.note("ada_p", self.overfitting.strength)
        return {}

    def after_discriminator_step(self, logged: Terms, images: int) -> None:
        self.overfitting.follow(logged["overfitting"], images)
