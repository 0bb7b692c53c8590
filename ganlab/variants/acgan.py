from functools import partial
from typing import Any

from torch.nn.functional import cross_entropy

from ganlab import bounds, losses
from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.game import checks
from ganlab.game.gan import GAN
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.judgements import head, mean_over_critics
from ganlab.losses import Loss


class ACGAN(GAN):
    """Odena et al. 2017, arXiv:1610.09585: the generator is told a class, and the discriminator says which.

    The discriminator has a head named `class` (`networks.Heads`), and is told nothing.

    Args:
        loss: The non-saturating one by default, as in the paper (L_S, eq. 2).
        class_weight: Weight of the classes' cross-entropy (L_C, eq. 3), for both sides.
        fakes: The discriminator learns the classes of fakes, too, as in the paper; else of reals alone.
        conditional: Always true: without classes this is NonSaturatingGAN.
    """

    loss: Loss = losses.non_saturating
    tells = ("generator",)

    def __init__(
        self,
        *,
        loss: Loss | None = None,
        class_weight: float = 1.0,
        fakes: bool = True,
        conditional: bool = True,
        **base: Any,
    ) -> None:
        super().__init__(conditional=conditional, **base)
        self.loss = loss or self.loss
        bounds.at_least(0, self, class_weight=class_weight)
        checks.heads_of_samples(self)
        if not conditional:
            raise Refused(
                "ACGAN tells its generator classes: with conditional false there would be none.\n"
                "Leave conditional out, or take NonSaturatingGAN."
            )
        self.class_weight, self.fakes = class_weight, fakes

    def meet(self, data: StreamData) -> None:
        if data.condition is None or not data.condition.class_names:
            raise Refused(
                f"ACGAN needs a set with a class for each item, and {type(data).__name__} has none."
            )
        super().meet(data)

    def class_error(self, turn: Turn, heads: Any) -> Any:
        equation = partial(cross_entropy, target=turn.condition)
        return self.class_weight * mean_over_critics(equation, head(heads, "class"))

    def discriminator_terms(self, turn: Turn) -> Terms:
        terms = super().discriminator_terms(turn) | {"class": self.class_error(turn, turn.real_heads)}
        return terms | ({"class_of_fakes": self.class_error(turn, turn.fake_heads)} if self.fakes else {})

    def generator_terms(self, turn: Turn) -> Terms:
        if not turn.adversarial:
            return {}
        return super().generator_terms(turn) | {"generator_class": self.class_error(turn, turn.fake_heads)}
