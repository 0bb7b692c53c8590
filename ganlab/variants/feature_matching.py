from typing import Any

from ganlab import losses
from ganlab.game import checks
from ganlab.game.gan import GAN
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.judgements import head, mean_over_critics


class FeatureMatchingGAN(GAN):
    """Salimans et al. 2016, arXiv:1606.03498, section 3.1: the generator matches the reals' mean features.

    The features are the discriminator's, by its head `features` (`networks.Heads`). Couples samples: the
    means are those of one process's micro-batch.
    """

    loss = losses.non_saturating

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        checks.features_themselves(self)

    def generator_terms(self, turn: Turn) -> Terms:
        if not turn.adversarial:
            return {}
        features = (head(heads, "features") for heads in (turn.real_heads, turn.fake_heads))
        return {"features": mean_over_critics(losses.feature_distance, *features)}
