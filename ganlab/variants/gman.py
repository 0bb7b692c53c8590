from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from ganlab import bounds, losses
from ganlab.game.gan import GAN
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn


class GMAN(GAN):
    """Durugkar et al. 2017, arXiv:1611.01673: of several critics, the generator heeds the stricter ones more.

    The generator minimises the mean of its non-saturating losses against each critic, weighted by their
    softmax (section 3.2, the arithmetic mean). Critics learn each by its own loss, unweighted.

    Couples samples: the weights are those of one process's micro-batch.

    Args:
        softmax_weight: The paper's lambda. 0: the mean over critics; the larger, the more the strictest.
    """

    loss = losses.non_saturating

    def __init__(self, *, softmax_weight: float = 1.0, **base: Any) -> None:
        super().__init__(**base)
        bounds.at_least(0, self, softmax_weight=softmax_weight)
        self.softmax_weight = softmax_weight

    def generator_terms(self, turn: Turn) -> Terms:
        if not turn.adversarial:
            return {}
        critics = range(len(fakes := tree_leaves(turn.fake_logits)))
        each = torch.stack([self.loss.generator(fakes[k], partial(self.reals_of, turn, k)) for k in critics])
        return {"generator": ((self.softmax_weight * each).softmax(0) * each).sum()}

    def reals_of(self, turn: Turn, critic: int) -> Tensor:
        return tree_leaves(turn.real_logits)[critic]
