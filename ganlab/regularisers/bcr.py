from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from ganlab import bounds
from ganlab.augment import Augmentation, augment
from ganlab.game.parts import Regulariser
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.judgements import mean_over_critics, of_samples


class BCR(Regulariser):
    """Balanced consistency: Zhao et al. 2020, arXiv:2002.04724, section 2.1, algorithm 1.

    The discriminator is to say the same of a sample and of the augmented sample. The generator is not told of
    augmentations. Reals and fakes are each judged once more.

    Args:
        augmentations: What is made of samples, in this order.
        real_weight: The paper's lambda of reals; 0: they are not judged again.
        fake_weight: The paper's lambda of fakes; without it the discriminator tells them by their edges.
    """

    def __init__(
        self,
        augmentations: Sequence[Augmentation] = ("flip", "translation"),
        real_weight: float = 10.0,
        fake_weight: float = 10.0,
    ) -> None:
        super().__init__()
        bounds.at_least(0, self, real_weight=real_weight, fake_weight=fake_weight)
        self.augmentations = tuple(augmentations)
        self.real_weight, self.fake_weight = real_weight, fake_weight

    def terms(self, turn: Turn) -> Terms:
        terms: Terms = {}
        if not turn.generating and self.real_weight:
            terms["bcr_real"] = self.real_weight * self.difference(turn, turn.real, turn.real_logits)
        if not turn.generating and self.fake_weight:
            terms["bcr_fake"] = self.fake_weight * self.difference(turn, turn.fake, turn.fake_logits)
        return terms

    def difference(self, turn: Turn, samples: Any, logits: Any) -> Tensor:
        """The mean of (D(x) - D(T(x)))^2."""
        changed = apply_to_collection(samples, Tensor, lambda one: augment(one.detach(), self.augmentations))
        return mean_over_critics(
            lambda one, other: (of_samples(one) - of_samples(other)).square().mean(),
            logits,
            turn.logits(changed),
        )
