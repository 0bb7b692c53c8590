from __future__ import annotations

from typing import Any, Literal

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.game.parts import Game, Regulariser
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.judgements import mean_over_critics, of_samples
from ganlab.networks.random_layers import Dropout

DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, Dropout)
LEAST_OF_BF16 = 0.1  # a smaller sigma moves logits by less than bf16 rounds them


class ApproximatedPenalty(Regulariser):
    """R1 and R2 by differences instead of gradients: Lin et al. 2025, arXiv:2501.08316, the approximated R1.

    (gamma / 2) E ((D(a) - D(a + sigma e)) / sigma)^2, where `a` is a sample as the discriminator is shown it
    and e standard normal noise. Of a smooth discriminator it tends to `penalties.R1` and `penalties.R2` with
    the same gamma for small sigma, without a second backward pass, in three quarters of their time. With
    (leaky) ReLUs, which bend near flat backgrounds, it is another penalty, and trained worse: R1 and R2 of a
    share of the batch (`penalty_share`) cost as little. A discriminator with dropout is refused.

    Args:
        gamma: Weight; half of it multiplies the squared difference, as with R1.
        sigma: Standard deviation of the noise.
        at: Where: at reals (R1), at fakes (R2), or at both.
        share: Of a turn's samples those that are penalised (1, 0.5, 0.25, ...).
        precision: Of the discriminator at both points; bf16 needs a sigma of 0.1 or more.
    """

    compares_logits = True

    def __init__(
        self,
        gamma: float = 1.0,
        sigma: float = 0.01,
        at: Literal["reals", "fakes", "both"] = "both",
        share: float = 1.0,
        precision: Literal["32", "bf16"] = "32",
    ) -> None:
        super().__init__()
        bounds.at_least(0, self, gamma=gamma)
        bounds.above(0, self, sigma=sigma)
        bounds.share(self, share=share)
        if precision == "bf16" and sigma < LEAST_OF_BF16:
            raise Refused(
                f"ApproximatedPenalty: in bf16 logits of points {sigma} apart differ by rounding alone.\n"
                f"Leave precision at 32, or take a sigma of {LEAST_OF_BF16} or more."
            )
        self.gamma, self.sigma, self.at, self.precision = gamma, sigma, at, precision
        self.every = round(1 / share)

    def attach(self, game: Game) -> None:
        if any(isinstance(layer, DROPOUT) and layer.p for layer in game.discriminator.modules()):
            raise Refused(
                "ApproximatedPenalty compares logits of near points, and dropout would tell them apart.\n"
                "Take a discriminator without dropout, or penalties.R1."
            )

    def terms(self, turn: Turn) -> Terms:
        if turn.generating:
            return {}
        some = turn if self.every == 1 else turn.share(self.every)
        terms: Terms = {}
        if self.at != "fakes":
            terms["approximated_r1"] = self.gamma / 2 * self.slope(some, some.real)
        if self.at != "reals":
            terms["approximated_r2"] = self.gamma / 2 * self.slope(some, some.fake)
        return terms

    def slope(self, turn: Turn, samples: Any) -> Tensor:
        """The mean square of the difference of logits, over sigma^2. Both points are judged in one pass."""
        shown = turn.seen(apply_to_collection(samples, Tensor, Tensor.detach))
        near = apply_to_collection(shown, Tensor, self.moved)
        both = tree_map(lambda one, other: torch.cat([one, other]), shown, near)
        conditions = apply_to_collection(turn.condition, Tensor, lambda one: torch.cat([one, one]))
        device = tree_leaves(both)[0].device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            logits = turn.judged_as_seen(both, conditions).logits
        return mean_over_critics(self.squared_difference, logits) / self.sigma**2

    def moved(self, shown: Tensor) -> Tensor:
        # What is told beside samples in whole numbers, such as a level of noise, stays.
        return shown + self.sigma * torch.randn_like(shown) if shown.is_floating_point() else shown

    def squared_difference(self, logits: Tensor) -> Tensor:
        here, there = of_samples(logits).chunk(2)
        return (here - there).square().mean()
