"""Games whose discriminator is an autoencoder: its logits are errors of reconstruction, low for reals."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ganlab import bounds, losses
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.judgements import mean_over_critics
from ganlab.losses import Logits, Loss


class Equilibrium(Loss):
    """Berthelot et al. 2017, arXiv:1703.10717, section 3.4, of errors: low for reals, k of `fake_weight`."""

    def __init__(self, fake_weight: Tensor) -> None:
        self.fake_weight = fake_weight

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return real.mean() - self.fake_weight * fake.mean()

    def generator(self, fake: Tensor, real: Logits) -> Tensor:
        return fake.mean()


class BEGAN(GAN):
    """Berthelot et al. 2017, arXiv:1703.10717: reconstruction errors, held at a ratio by a moving weight k.

    Section 3.4, for a discriminator whose logits are errors (`networks.DCGANAutoencoder`). After each turn of
    the discriminator k is moved by the fakes of that turn, where the paper takes the generator's.

    Args:
        gamma: The ratio of fakes' error to reals' that is held; the lower, the less diverse are samples.
        rate: How fast k moves, the paper's lambda_k.
    """

    k: Tensor

    def __init__(self, *, gamma: float = 0.5, rate: float = 1e-3, **base: Any) -> None:
        super().__init__(**base)
        bounds.between(0, 1, self, gamma=gamma)
        bounds.at_least(0, self, rate=rate)
        self.gamma, self.rate = gamma, rate
        self.register_buffer("k", torch.zeros(()))

    @property
    def loss(self) -> Equilibrium:  # type: ignore[override]
        return Equilibrium(self.k)

    def generator_terms(self, turn: Turn) -> Terms:
        turn.note("k", self.k)
        return super().generator_terms(turn)

    def after_discriminator_step(self, logged: Terms) -> None:
        balance = self.gamma * logged["real_logit"] - logged["fake_logit"]
        # Errors that half precision overflows in say nothing of the balance.
        self.k.add_(self.rate * balance.nan_to_num(0.0, 0.0, 0.0)).clamp_(0, 1)


class EBGAN(GAN):
    """Zhao et al. 2016, arXiv:1609.03126: energies, low for reals, and up to a margin high for fakes.

    Eqs. 1 and 2, for a discriminator whose logits are energies and whose head is a code
    (`networks.DCGANAutoencoder`). By the pulling-away term a batch's samples are to differ in their codes.

    Couples samples: the pulling-away term is of the pairs in one process's micro-batch.

    Args:
        margin: Fakes above this energy count no more.
        pulling_away: Weight of the pulling-away term, 0.1 in the paper; 0: without.
    """

    def __init__(self, *, margin: float = 1.0, pulling_away: float = 0.1, **base: Any) -> None:
        super().__init__(**base)
        bounds.above(0, self, margin=margin)
        bounds.at_least(0, self, pulling_away=pulling_away)
        self.loss, self.pulling_away = losses.EnergyMargin(margin), pulling_away

    def generator_terms(self, turn: Turn) -> Terms:
        terms = super().generator_terms(turn)
        if terms and self.pulling_away:
            if turn.fake_heads is None:
                raise Refused(
                    "EBGAN pulls codes apart, and its discriminator has no head that is a code.\n"
                    "Take networks.DCGANAutoencoder, or pulling_away: 0."
                )
            terms["pulling_away"] = self.pulling_away * mean_over_critics(pulling_away, turn.fake_heads)
        return terms


def pulling_away(codes: Tensor) -> Tensor:
    """Zhao et al. 2016, arXiv:1609.03126, eq. 4: the mean squared cosine of the codes of two samples."""
    cosines = normalize(codes, dim=1) @ normalize(codes, dim=1).T
    count = len(codes)
    return (cosines.square().sum() - cosines.diagonal().square().sum()) / max(count * (count - 1), 1)
