"""How networks take a condition: labels, in one way for all families, and pictures beside the images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.media import Labels, Medium, Pictures
from ganlab.networks.layers import Conditional, Normalization, choose, unchanged

GeneratorConditioning = Literal["concatenation", "normalization"]
DiscriminatorConditioning = Literal["projection", "concatenation"]


class Attributes(nn.Linear):
    """The sum of the vectors of the attributes that an item has."""

    def __init__(self, attributes: int, size: int) -> None:
        super().__init__(attributes, size, bias=False)

    def forward(self, attributes: Tensor) -> Tensor:
        weight = self.weight  # In training spectral norm moves each time that this is read.
        return nn.functional.linear(attributes.to(weight.dtype), weight)


def embedding(labels: Labels, size: int, *, std: float = 1.0) -> nn.Module:
    """A learned vector for each class; of several attributes an item has the sum.

    Args:
        std: Of the vectors' entries at the start; of sums, where an item has half of the attributes.
    """
    layer = Attributes(labels.classes, size) if labels.several else nn.Embedding(labels.classes, size)
    nn.init.normal_(layer.weight, std=std * math.sqrt(2 / labels.classes) if labels.several else std)
    return layer


def required(condition: Tensor | None) -> Tensor:
    """The condition of a network that needs one."""
    if condition is None:
        raise Refused(
            "A network that was built to take a condition is given none.\n"
            "Set conditional: true in the model; in Python, call network(inputs, condition)."
        )
    return condition


class Conditioning(nn.Module):
    """Where the condition enters a network: here at neither end.

    Attributes:
        added: The channels that inputs gain.
    """

    added = 0

    def inputs(self, inputs: Tensor, condition: Tensor | None) -> Tensor:
        """What the first layer is given."""
        required(condition)
        return inputs

    def logits(self, logits: Tensor, features: Tensor, condition: Tensor | None) -> Tensor:
        """What a discriminator returns, where the last layer makes these logits of these features."""
        return logits

    def weights(self, weight: Tensor, condition: Tensor | None) -> Tensor:
        """The weights by which features make each sample's logit, where the last layer has this weight."""
        return weight

    def norm(self, norm: Normalization) -> Normalization:
        """The network's normalisation."""
        return norm


class Unconditional(Conditioning):
    """Of a network that takes no condition."""

    def inputs(self, inputs: Tensor, condition: Tensor | None) -> Tensor:
        if condition is not None:
            raise Refused(
                "A network is given a condition, but was built to take none.\n"
                "Build it with condition=…, such as condition=ganlab.media.Labels(10)."
            )
        return inputs


class Concatenation(Conditioning):
    """The embedding of labels as more channels of the inputs.

    Args:
        shape: Of the embedding; by default a number for each class.
    """

    def __init__(self, labels: Labels, shape: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.shape = shape or (labels.classes,)
        self.added = self.shape[0]
        self.embedding = embedding(labels, math.prod(self.shape))

    def inputs(self, inputs: Tensor, condition: Tensor | None) -> Tensor:
        return torch.cat([inputs, self.embedding(required(condition)).unflatten(1, self.shape)], 1)


class Projection(Conditioning):
    """Adds the inner product of features and embedding: Miyato & Koyama 2018, arXiv:1802.05637, eq. 3.

    Args:
        weight: What the network's normalisation does to weights.
    """

    def __init__(self, labels: Labels, features: int, weight: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        self.embedding = weight(embedding(labels, features, std=1 / math.sqrt(features)))

    def logits(self, logits: Tensor, features: Tensor, condition: Tensor | None) -> Tensor:
        return logits + (self.embedding(condition) * features).sum(1)

    def weights(self, weight: Tensor, condition: Tensor | None) -> Tensor:
        return weight + self.embedding(condition)


class ModulatedNorm(Conditional):
    """Normalisation whose scale and shift are made from the condition.

    Args:
        embedding: From the condition to what is added to a scale of 1 and a shift of 0, for each channel.
    """

    def __init__(self, embedding: nn.Module, norm: Callable[..., nn.Module], channels: int) -> None:
        super().__init__()
        self.norm = norm(channels, affine=False)
        self.embedding = embedding

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        gain, shift = self.embedding(condition)[:, :, None, None].chunk(2, 1)
        return self.norm(inputs) * (1 + gain) + shift


class ConditionalNorm(ModulatedNorm):
    """Normalisation with a scale and a shift for each label, after Dumoulin et al. 2017, arXiv:1610.07629."""

    def __init__(self, labels: Labels, norm: Callable[..., nn.Module], channels: int) -> None:
        super().__init__(embedding(labels, 2 * channels, std=0.0), norm, channels)


class ConditionalNorms(Conditioning):
    """Every normalisation of channels becomes one with a scale and a shift for each label."""

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        self.labels = labels

    def norm(self, norm: Normalization) -> Normalization:
        if not norm.subtracts_mean:
            raise Refused(
                "conditioning is 'normalization', but with this normalization no layer normalises channels.\n"
                "Take normalization=batch or spectral_batch, or conditioning=concatenation."
            )
        return replace(norm, channels=partial(ConditionalNorm, self.labels, norm.channels))


def source_channels(network: nn.Module, source: Medium | None, shape: tuple[int, ...]) -> int:
    """The channels of pictures that a network takes as its condition; they must be of the images' size."""
    name = type(network).__name__
    if not isinstance(source, Pictures):
        raise Refused(
            f"{name} takes pictures as its condition, not {source and type(source).__name__}.\n"
            "It needs conditional: true in the model, and data whose second column is pictures."
        )
    if len(source.shape) != 3 or source.shape[1:] != tuple(shape[1:]):
        raise Refused(
            f"{name}: the condition is of the shape {source.shape}, the images are of {tuple(shape)}.\n"
            "Both need the same height and width: resize or pad them in the data."
        )
    return source.shape[0]


class Source(Conditioning):
    """A picture of the images' size as more of their channels."""

    def __init__(self, network: nn.Module, source: Pictures, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.added = source_channels(network, source, shape)

    def inputs(self, inputs: Tensor, condition: Tensor | None) -> Tensor:
        return torch.cat([inputs, required(condition)], 1)


def generator_conditioning(
    network: nn.Module, condition: Medium | None, latent_size: int, kind: str = "concatenation"
) -> Conditioning:
    """How a generator takes labels: their embedding has the size and the spread of the latent.

    Spectral norm is not for it: it would make the embedding many times smaller than the latent.
    """
    ways: dict[str, Callable[[Labels], Conditioning]] = {
        "concatenation": partial(Concatenation, shape=(latent_size,)),
        "normalization": ConditionalNorms,
    }
    return _labelled(network, condition, kind, ways)


def discriminator_conditioning(
    network: nn.Module,
    condition: Medium | None,
    kind: str,
    *,
    inputs: tuple[int, ...] | None = None,
    features: int,
    weight: Callable[[nn.Module], nn.Module] = unchanged,
) -> Conditioning:
    """How a discriminator takes labels.

    Args:
        inputs: The shape of an embedding beside the inputs; by default a number for each class.
        features: How many the logit is made of.
        weight: What the network's normalisation does to weights.
    """
    ways: dict[str, Callable[[Labels], Conditioning]] = {
        "projection": partial(Projection, features=features, weight=weight),
        "concatenation": partial(Concatenation, shape=inputs),
    }
    return _labelled(network, condition, kind, ways)


def patch_conditioning(network: nn.Module, condition: Medium | None, shape: tuple[int, ...]) -> Conditioning:
    """How a network that gives a map of logits takes labels or pictures: as more channels of the images."""
    if isinstance(condition, Pictures):
        return Source(network, condition, shape)
    ways: dict[str, Callable[[Labels], Conditioning]] = {
        "concatenation": partial(Concatenation, shape=(1, *shape[1:]))
    }
    return _labelled(network, condition, "concatenation", ways)


def _labelled(
    network: nn.Module,
    condition: Medium | None,
    kind: str,
    ways: Mapping[str, Callable[[Labels], Conditioning]],
) -> Conditioning:
    build = choose(ways, name="conditioning", value=kind)
    if condition is None:
        return Unconditional()
    if not isinstance(condition, Labels):
        raise Refused(
            f"{type(network).__name__} cannot take {type(condition).__name__} as its condition.\n"
            "It takes labels. Pictures are taken by UNetGenerator and PatchGANDiscriminator."
        )
    return build(condition)
