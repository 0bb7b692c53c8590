from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganlab import bounds
from ganlab.game.parts import Game, Regulariser
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.networks.conditioning import Attributes
from ganlab.networks.equalised import Equalised, weight_in_use


class Orthogonal(Regulariser):
    """Brock et al. 2019 (BigGAN), arXiv:1809.11096, eq. 3: the filters of each layer stay orthogonal.

    It takes the weights of linear layers and convolutions as they are before spectral norm, equalised ones
    as they are used, and leaves out embeddings. It costs a product of each weight with itself a turn, however
    large the batch.

    Args:
        weight: The paper's beta.
        of: Whose weights; the paper's are the generator's.
    """

    def __init__(
        self, weight: float = 1e-4, of: Literal["generator", "discriminator", "both"] = "generator"
    ) -> None:
        super().__init__()
        bounds.at_least(0, self, weight=weight)
        self.weight, self.of = weight, of
        self._players: tuple[nn.Module, nn.Module] | None = None  # in a tuple they are no parts of this

    def attach(self, game: Game) -> None:
        self._players = game.discriminator, game.generator

    def terms(self, turn: Turn) -> Terms:
        side = "generator" if turn.generating else "discriminator"
        if self.of not in (side, "both") or self._players is None:
            return {}
        each = [overlap(weight) for weight in filters(self._players[turn.generating])]
        return {f"{side}_orthogonal": self.weight * torch.stack(each).sum()} if each else {}


def overlap(weight: Tensor) -> Tensor:
    """The squared inner products of different rows: eq. 3 without beta, of a filter a row."""
    # Half precision would lose what is small beside the filters' own lengths.
    with torch.autocast(weight.device.type, enabled=False):
        products = weight @ weight.T
    return (products - products.diag().diag()).square().sum()


WEIGHTED = nn.Linear, nn.Conv2d, nn.ConvTranspose2d, Equalised


def filters(network: nn.Module) -> Iterator[Tensor]:
    """The weight of each linear layer and convolution, a filter a row."""
    for layer in network.modules():
        if isinstance(layer, WEIGHTED) and not isinstance(layer, Attributes):
            weight = _unnormalised(layer)
            yield (weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight).flatten(1)


def _unnormalised(layer: Any) -> Tensor:
    normalised = parametrize.is_parametrized(layer, "weight")
    return layer.parametrizations.weight.original if normalised else weight_in_use(layer)
