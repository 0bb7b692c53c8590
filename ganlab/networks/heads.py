"""A discriminator with more heads than its logit: of classes, of codes, or its features themselves."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.judgements import Judged
from ganlab.media import Medium
from ganlab.networks.last_layer import last_layer
from ganlab.networks.layers import SLOPE, unchanged
from ganlab.networks.several import Factory, Wrapping, by_name, single_networks, told

Size = int | Literal["classes", "features"]


class Heads(Wrapping):
    """A discriminator that returns `Judged(logits, heads)`: by name what each head makes of its features.

    The features are what its last layer is given: a linear map or a convolution named `logit`, as all
    discriminators of ganlab have one. A network of yours needs that, and calls it once. Heads see the mean
    over places of a map of features (`PatchGANDiscriminator`).

    Args:
        network: What makes the discriminator, in YAML a class path with arguments.
        heads: How many numbers each head gives, by its name; `classes`: as many as the data have classes;
            `features`: it gives the features themselves.
        hidden: Sizes of layers between features and a head, each with a leaky ReLU; by default heads are
            linear.
        spectral: Spectral norm in the heads.
        shape: Of a sample.
        classes: How many the data have.
        condition: What a batch's second column holds, in a conditional game.
    """

    def __init__(
        self,
        *,
        network: Factory,
        heads: dict[str, Size],
        hidden: tuple[int, ...] = (),
        spectral: bool = False,
        shape: tuple[int, ...] | None = None,
        classes: int | None = None,
        condition: Medium | None = None,
    ) -> None:
        super().__init__()
        if not heads:
            raise Refused("Heads: heads is empty; name at least one, such as heads: {class: classes}.")
        bounds.at_least(1, self, **{f"hidden[{index}]": size for index, size in enumerate(hidden)})
        bounds.at_least(1, self, **{f"heads.{name}": size for name, size in heads.items()})
        self.shape = shape and tuple(shape)
        self.network = told(network, {"shape": shape, "classes": classes, "condition": condition})
        last, features = _last_layer(self.network)
        last.register_forward_pre_hook(self._keep)
        self._features: Tensor | None = None
        outputs = {name: _outputs(name, size, classes) for name, size in heads.items()}
        made = {
            name: _head([features, *hidden, size], spectral) if size else nn.Identity()
            for name, size in outputs.items()
        }
        self.heads = by_name(self, made)

    def forward(self, *inputs: Any) -> Judged:
        logits, features = self.network(*inputs), self._features
        self._features = None  # It would keep the pass in memory.
        if features is None:
            name = type(self.network).__name__
            raise Refused(f"{name} made logits without its layer `logit`, so that heads have no features.")
        return Judged(logits, {name: head(features) for name, head in self.heads.items()})

    def _keep(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        (self._features,) = inputs


class MeanOverPlaces(nn.Module):
    """Of each map of features one number; features that are numbers stay what they are."""

    def forward(self, features: Tensor) -> Tensor:
        return features.flatten(2).mean(2) if features.ndim > 2 else features


def _last_layer(network: nn.Module) -> tuple[nn.Module, int]:
    """The layer named `logit`, and how many features it is given at a place."""
    single, *others = single_networks(network)
    last = None if others else last_layer(single)
    if isinstance(last, nn.Linear):
        return last, last.in_features
    if isinstance(last, nn.Conv2d):
        return last, last.in_channels
    raise Refused(
        f"Heads finds no features in {type(network).__name__}: they are what its last layer is given,\n"
        "an nn.Linear or nn.Conv2d named `logit`. Of several networks each gets heads of its own:\n"
        "networks: [{class_path: Heads, …}]."
    )


def _outputs(name: str, size: Size, classes: int | None) -> int:
    """How many numbers a head gives; 0: the features."""
    if size == "features":
        return 0
    if size != "classes":
        return size
    if classes is None:
        raise Refused(f"Heads: {name} has as many numbers as there are classes, and these data have none.")
    return classes


def _head(sizes: list[int], spectral: bool) -> nn.Module:
    weighted = spectral_norm if spectral else unchanged
    linear, *others = (weighted(nn.Linear(*pair)) for pair in pairwise(sizes))
    deeper = (layer for each in others for layer in (nn.LeakyReLU(SLOPE), each))
    return nn.Sequential(MeanOverPlaces(), linear, *deeper)
