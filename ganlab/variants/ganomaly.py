from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

from ganlab import bounds, losses
from ganlab.game import checks
from ganlab.game.gan import GAN
from ganlab.game.players import evaluating
from ganlab.game.rebuilding import Rebuilds, Rebuilt
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.judgements import head, mean_over_critics
from ganlab.networks import Rebuilding


class GANomaly(GAN, Rebuilds):
    """Akcay et al. 2018, arXiv:1805.06725: pictures made again, and codes of them that agree.

    The generator is `networks.Rebuilding` with a second encoder (`again`). It makes pictures whose features,
    by the discriminator's head `features` (`networks.Heads`), are the real ones' (eq. 1), which are near to
    them (eq. 2), and whose code by the second encoder is that by the first (eq. 3). How far these codes are
    apart says how abnormal a picture is (eq. 5).

    Args:
        feature_weight: Weight of features, in eq. 4.
        pixel_weight: Weight of the mean absolute difference of pixels.
        code_weight: Weight of the mean squared difference of codes.
    """

    loss = losses.non_saturating
    tells = ("generator",)

    def __init__(
        self,
        *,
        feature_weight: float = 1.0,
        pixel_weight: float = 50.0,
        code_weight: float = 1.0,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.weights = {"features": feature_weight, "pixels": pixel_weight, "codes": code_weight}
        bounds.at_least(0, self, **self.weights)
        checks.features_themselves(self)

    def condition(self, batch: Any) -> Any:
        return self.real(batch)

    def generator_terms(self, turn: Turn) -> Terms:
        network = cast(Rebuilding, self.generator)
        codes = network.code(turn.real), network.code_again(turn.fake)
        terms = {"pixels": l1_loss(turn.fake, turn.real), "codes": mse_loss(*codes)}
        if turn.adversarial:
            features = (head(heads, "features") for heads in (turn.fake_heads, turn.real_heads))
            terms["features"] = mean_over_critics(mse_loss, *features)
        return {name: self.weights[name] * term for name, term in terms.items()}

    @torch.no_grad()
    def rebuild(self, pictures: Tensor) -> Rebuilt:
        network = cast(Rebuilding, self.ema.network)
        with evaluating(network):
            codes = network.code(pictures)
            made = network.decoder(codes)
            return Rebuilt(codes, made, (codes - network.code_again(made)).abs().mean(1))
