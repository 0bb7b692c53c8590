"""How far what is made is from the real that it stands for: terms of a generator that restores pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.networks import Pretrained
from ganlab.networks.watched import watched


class Fidelity(nn.Module):
    """A term of the generator, the mean over pairs of what is made and the real that it stands for.

    Args:
        weight: Of the term beside others.

    Attributes:
        name: Of the term in logs and tables.
    """

    name: str

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        bounds.at_least(0, self, weight=weight)
        self.weight = weight

    def distance(self, made: Tensor, real: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        return self.weight * self.distance(made, real)


class L1(Fidelity):
    """The mean absolute difference: Isola et al. 2017, arXiv:1611.07004, eq. 3."""

    name = "l1"

    def distance(self, made: Tensor, real: Tensor) -> Tensor:
        return (made - real).abs().mean()


class L2(Fidelity):
    """The mean squared difference: Ledig et al. 2017, arXiv:1609.04802, eq. 4."""

    name = "l2"

    def distance(self, made: Tensor, real: Tensor) -> Tensor:
        return (made - real).square().mean()


class Features(Fidelity):
    """The difference of a finished network's features: Johnson et al. 2016, arXiv:1603.08155, eq. 2.

    The network stands still. Its weights are in checkpoints, so that a run that goes on opens no other file.

    Args:
        network: Such as `networks.Pretrained`, of which what it returns is compared.
        layers: Of its parts those whose outputs are compared instead, as `named_modules` calls them; each
            counts alike.
        squared: The mean squared difference (SRGAN), and not the absolute one (ESRGAN).
        weight: Of the term beside others.
    """

    name = "features"

    def __init__(
        self, network: nn.Module, layers: Sequence[str] = (), squared: bool = False, weight: float = 1.0
    ) -> None:
        super().__init__(weight)
        self.network, self.layers, self.squared = network.requires_grad_(False), tuple(layers), squared
        known = dict(self._whole.named_modules())
        if missing := [name for name in self.layers if name not in known]:
            raise Refused(
                f"Features: {type(self._whole).__name__} has no layer {missing[0]!r}. Some that it has:\n"
                f"{', '.join([*filter(None, known)][:12])}"
            )
        self.train()

    @property
    def _whole(self) -> nn.Module:
        return self.network.network if isinstance(self.network, Pretrained) else self.network

    def train(self, mode: bool = True) -> Features:
        return super().train(False)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """What the network returns, or what its chosen layers do, in their order."""
        with watched(self._whole, self.layers) as seen:
            returned = self.network(pictures)
        found = [seen[name] for name in self.layers] if self.layers else returned
        return [leaf.to(pictures.dtype) for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]

    def distance(self, made: Tensor, real: Tensor) -> Tensor:
        with torch.no_grad():
            expected = self.features(real)
        of = torch.square if self.squared else torch.abs
        pairs = zip(self.features(made), expected, strict=True)
        return torch.stack([of(one - other).mean() for one, other in pairs]).mean()
