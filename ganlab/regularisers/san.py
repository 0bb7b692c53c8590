from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ganlab.errors import Refused
from ganlab.game.parts import Game, Regulariser, without_hooks_of
from ganlab.game.passes import CURRENT, Pass
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.judgements import Judged, judged
from ganlab.networks.conditioning import Conditioning
from ganlab.networks.critics import SharedTrunk
from ganlab.networks.equalised import weight_in_use
from ganlab.networks.last_layer import last_layer


class SAN(Regulariser):
    """Takida et al. 2023 (SAN), arXiv:2301.12811, section 6: the direction of the discriminator's last
    weights is where reals and fakes lie farthest apart. The loss moves their length and the features.

    Any loss will do, also of several critics. The last layer of each is an nn.Linear or nn.Conv2d that gives
    one number, is an attribute `logit` of its network, and is applied to its features. It loses its bias.
    Labels that are projected on the features give each class a direction of its own. With spectral norm the
    length is 1 and stays so.

    A logit has the value that it has without SAN: only gradients differ. So a discriminator means the same
    where it is used without.
    """

    def attach(self, game: Game) -> None:
        found = [*last_layers(game.discriminator)]
        if not found:
            raise Refused(
                f"SAN finds no last layer in {type(game.discriminator).__name__}. It is an nn.Linear or an\n"
                "nn.Conv2d that gives one number, and an attribute `logit` of its network, as in all\n"
                "discriminators of ganlab.networks."
            )
        for network, layer in found:
            Sliced(network, layer)

    def terms(self, turn: Turn) -> Terms:
        if turn.generating:
            return {}
        distance = along_directions(turn.fake_pass) - along_directions(turn.real_pass)
        return {"direction": distance / len(tree_leaves(turn.real_logits))}


def last_layers(discriminator: nn.Module) -> Iterator[tuple[nn.Module, Any]]:
    """Each layer that gives one logit, beside what makes its critic's logits: a network, or it alone."""
    for network in discriminator.modules():
        if isinstance(network, SharedTrunk):
            yield from ((layer, layer) for layer in network.logits)
        elif (layer := last_layer(network)) is not None and len(layer.weight) == 1:
            yield network, layer


def along_directions(judged_in: Pass) -> Tensor:
    """The mean over samples of what features measure along the direction, summed over critics."""
    return torch.stack([v.mean() for layer, v in judged_in.left.items() if isinstance(layer, Sliced)]).sum()


class Sliced:
    """The last layer of a network: its logits' gradients leave the direction of its weights alone."""

    def __init__(self, network: nn.Module, logit: nn.Linear | nn.Conv2d) -> None:
        self.logit, self.agrees = logit, False
        self.features: Tensor | None = None
        if logit.bias is not None:
            # It stays a parameter, so that weights fit runs without SAN.
            nn.init.zeros_(logit.bias).requires_grad_(False)
        for layer in (logit, network):
            without_hooks_of(Sliced, layer)
        logit.register_forward_pre_hook(self.keep)
        network.register_forward_hook(self.with_own_gradients, with_kwargs=True)

    def keep(self, logit: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        (self.features,) = inputs

    def with_own_gradients(self, network: nn.Module, inputs: Any, named: Any, returned: Any) -> Any:
        """What the network returned, with logits of other gradients."""
        weights, logits = self.weights(network, *inputs, **named), judged(returned).logits
        features = self.checked(network, weights, logits)
        self.features = None  # It would keep the pass in memory.
        length = weights.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, *[1] * (weights.ndim - 1))
        direction = weights / length
        if current := CURRENT.get():
            current.left[self] = self.product(features.detach(), length.detach() * direction)
        own = self.biased(self.product(features, length * direction.detach()).view_as(logits))
        return replace(returned, logits=own) if isinstance(returned, Judged) else own

    def weights(self, network: nn.Module, inputs: Any, condition: Any = None) -> Tensor:
        """Those of all samples, or of each sample."""
        conditioning, weight = getattr(network, "conditioning", None), weight_in_use(self.logit)
        return conditioning.weights(weight, condition) if isinstance(conditioning, Conditioning) else weight

    def product(self, features: Tensor, weights: Tensor) -> Tensor:
        if isinstance(self.logit, nn.Linear):
            return (features * weights).sum(-1)
        return nn.functional.conv2d(features, weights, None, self.logit.stride, self.logit.padding)

    def checked(self, network: nn.Module, weights: Tensor, logits: Any) -> Tensor:
        """The features, of a network whose logits are those of its last layer, which its first pass shows."""
        features = self.features
        self.agrees = self.agrees or torch.compiler.is_compiling()
        if features is not None and (self.agrees or self.makes(features.detach(), weights.detach(), logits)):
            self.agrees = True
            return features
        raise Refused(
            f"SAN: {type(network).__name__} gives other logits than its layer `logit` makes of features.\n"
            "It may do nothing else to them, but for the projection of labels on the same features\n"
            "(a Projection of ganlab.networks.conditioning, called `conditioning`)."
        )

    def makes(self, features: Tensor, weights: Tensor, logits: Any) -> bool:
        """Whether the layer makes these logits, but for what half precision rounds."""
        own, most = self.product(features, weights), self.product(features.abs(), weights.abs()).max()
        if not isinstance(logits, Tensor) or logits.numel() != own.numel():
            return False
        distance = self.biased(own.view_as(logits)) - logits
        return bool((distance.abs() <= 0.02 * most).all())

    def biased(self, logits: Tensor) -> Tensor:
        # A run that begins with another's weights has its bias, which stays what it is.
        return logits if self.logit.bias is None else logits + self.logit.bias
