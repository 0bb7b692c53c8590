from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import relu

from ganlab import bounds
from ganlab.game.parts import Regulariser, replace_by_finite
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.judgements import mean_over_critics


class LeCam(Regulariser):
    """Tseng et al. 2021, arXiv:2104.03310, eq. 4: logits stay near the average logits of the other kind.

    Args:
        weight: The paper's lambda.
        decay: How much of the averages each step of the discriminator keeps.
        warm_up: Steps of the discriminator before the term begins, in which the averages are found.
    """

    reals: Tensor
    fakes: Tensor
    steps: Tensor

    def __init__(self, weight: float = 0.3, decay: float = 0.99, warm_up: int = 1000) -> None:
        super().__init__()
        bounds.at_least(0, self, weight=weight, warm_up=warm_up)
        bounds.between(0, 1, self, decay=decay)
        self.weight, self.decay, self.warm_up = weight, decay, warm_up
        self.register_buffer("reals", torch.zeros(()))
        self.register_buffer("fakes", torch.zeros(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def terms(self, turn: Turn) -> Terms:
        if turn.generating:
            return {}
        distance = mean_over_critics(self.distance, turn.real_logits, turn.fake_logits)
        return {"lecam": self.weight * (self.steps >= self.warm_up) * distance}

    def distance(self, real: Tensor, fake: Tensor) -> Tensor:
        # The equation has the squares without relu. The authors' code has it, so that only reals above the
        # fakes' average move down to it, and only fakes below the reals' average move up.
        return relu(real - self.fakes).square().mean() + relu(self.reals - fake).square().mean()

    def after_discriminator_step(self, logged: Terms, images: int) -> None:
        keep = self.decay * (self.steps > 0)  # The first logits are the first averages.
        seen = torch.stack([logged["real_logit"], logged["fake_logit"]])
        for average, logit in zip((self.reals, self.fakes), seen, strict=True):
            replace_by_finite(average, average.lerp(logit, 1 - keep))
        self.steps += seen.isfinite().all()
