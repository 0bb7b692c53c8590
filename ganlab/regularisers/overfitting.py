from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganlab import bounds
from ganlab.judgements import mean_over_critics


class Overfitting(nn.Module):
    """How much to do against overfitting: Karras et al. 2020, arXiv:2006.06676, section 3.1.

    Args:
        owner: Whose arguments they are.
        target: Where the r_t of `seen_in` is to stay.
        kimg: Thousands of images in which `strength` rises from 0 to 1.
        every: Turns of the discriminator from one change to the next.

    Attributes:
        strength: From 0, at the beginning, to 1.
    """

    strength: Tensor
    signs: Tensor
    turns: Tensor

    def __init__(self, owner: object, *, target: float, kimg: float, every: int) -> None:
        super().__init__()
        bounds.between(-1, 1, owner, target=target)
        bounds.above(0, owner, kimg=kimg)
        bounds.at_least(1, owner, every=every)
        self.target, self.kimg, self.every = target, kimg, every
        self.register_buffer("strength", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(()))
        self.register_buffer("turns", torch.zeros((), dtype=torch.long))

    def seen_in(self, real_logits: Any, boundary: float) -> Tensor:
        """Eq. 1, r_t: 1 where the discriminator takes all reals for real, 0 where it takes half of them."""
        return mean_over_critics(lambda one: (one - boundary).sign().mean(), real_logits)

    def follow(self, sign: Tensor, images: int) -> None:
        """Change the strength, where it is time to, after a turn of so many reals whose r_t was `sign`."""
        self.signs += sign
        self.turns += 1
        due = self.turns >= self.every
        change = (self.signs / self.every - self.target).sign() * self.every * images / (1000 * self.kimg)
        self.strength.add_(due * change).clamp_(0, 1)
        self.signs *= ~due
        self.turns *= ~due
