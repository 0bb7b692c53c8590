from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.game import checks
from ganlab.game.gan import GAN
from ganlab.game.players import evaluating
from ganlab.game.rebuilding import Rebuilds, Rebuilt
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.judgements import head, judged, mean_over_critics
from ganlab.networks import Rebuilding

Way = Literal["izi", "izi_f", "ziz"]


class Encoder(GAN, Rebuilds):
    """Schlegl et al. 2019 (f-AnoGAN), Medical Image Analysis 54: an encoder for a finished GAN.

    The generator is `networks.Rebuilding`, whose decoder is finished (`Pretrained`); the discriminator is
    finished, too, and its head `features` (`networks.Heads`) gives its features. It learns by pictures that
    are made again (izi, eq. 3), by their features as well (izi_f, eq. 5), or by codes of what is made of
    latents (ziz, eq. 2). A picture's distance to what is made of it is that of eq. 6.

    Args:
        way: By what it learns.
        feature_weight: Weight of features beside pixels, kappa; each is a mean over its numbers.
        ema_ramp: Counted in pictures that a critic learns from, which here are none.
    """

    tells = ("generator",)

    def __init__(
        self,
        *,
        way: Way = "izi_f",
        feature_weight: float = 1.0,
        ema_ramp: float | None = None,
        **base: Any,
    ) -> None:
        super().__init__(ema_ramp=ema_ramp, **base)
        bounds.at_least(0, self, feature_weight=feature_weight)
        if way not in get_args(Way):
            raise Refused(f"way is {way!r}; it is one of {', '.join(get_args(Way))}")
        checks.features_themselves(self)
        self.way, self.feature_weight = way, feature_weight

    def condition(self, batch: Any) -> Any:
        return self.real(batch)

    def discriminator_terms(self, turn: Turn) -> Terms:
        return {}

    def generator_terms(self, turn: Turn) -> Terms:
        network = cast(Rebuilding, self.generator)
        if self.way == "ziz":
            return {"latents": mse_loss(network.code(network.decoder(turn.latent)), turn.latent)}
        terms = {"pixels": mse_loss(turn.fake, turn.real)}
        if self.way == "izi_f":
            features = (head(heads, "features") for heads in (turn.fake_heads, turn.real_heads))
            terms["features"] = self.feature_weight * mean_over_critics(mse_loss, *features)
        return terms

    @torch.no_grad()
    def rebuild(self, pictures: Tensor) -> Rebuilt:
        network = cast(Rebuilding, self.ema.network)
        with evaluating(network, self.discriminator):
            codes = network.code(pictures)
            made = network.decoder(codes)
            features = (head(judged(self.discriminator(each)).heads, "features") for each in (pictures, made))
            apart = [(one - other).square().flatten(1).mean(1) for one, other in zip(*features, strict=True)]
        pixels = (pictures - made).square().flatten(1).mean(1)
        return Rebuilt(codes, made, pixels + self.feature_weight * torch.stack(apart).mean(0))
