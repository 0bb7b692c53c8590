from typing import Any

from ganlab import bounds, losses
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn


class Pix2Pix(GAN):
    """Isola et al. 2017, arXiv:1611.07004: pictures from source pictures, also held near the real ones.

    Both networks are told the source, the batch's second column; a map of logits is averaged over its places.

    Args:
        l1_weight: Weight of the mean absolute difference between made and real, the paper's lambda (eq. 4).
        latent_size: Numbers in a latent; without any, a source makes one picture.
        conditional: Always true: this game has no loss for pictures that are made from nothing.
    """

    loss = losses.non_saturating

    def __init__(
        self, *, l1_weight: float = 100.0, latent_size: int = 0, conditional: bool = True, **base: Any
    ) -> None:
        super().__init__(latent_size=latent_size, conditional=conditional, **base)
        bounds.at_least(0, self, l1_weight=l1_weight)
        if not conditional:
            raise Refused(
                "Pix2Pix makes pictures from pictures: with conditional false it would be told none.\n"
                "Leave conditional out, or take NonSaturatingGAN for pictures that are made from nothing."
            )
        self.l1_weight = l1_weight

    def generator_terms(self, turn: Turn) -> Terms:
        distance = (turn.fake - turn.real).abs().mean()
        return {**super().generator_terms(turn), "l1": self.l1_weight * distance}
