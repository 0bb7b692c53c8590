"""Self-attention between the places of a map, and where networks of maps have it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.networks.layers import Layers, unchanged

REDUCTION = 8  # k of the paper: the channels of a map to those that places are compared by


def attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """For each query the mean of the values, weighted by the softmax of its inner products with the keys.

    Each is of the shape (..., places, numbers).
    """
    # Fused kernels have no double backward, which penalties need. Exponentials are taken in float32 at least.
    agreement = query @ key.transpose(-2, -1)
    weights = agreement.softmax(-1, dtype=torch.promote_types(agreement.dtype, torch.float32))
    return weights.to(value.dtype) @ value


class SelfAttention(nn.Module):
    """Each place of a map is given a mean over all places, weighted by how they agree with it.

    Zhang et al. 2018 (SAGAN), arXiv:1805.08318, eq. 1-3. What is added is scaled by a number learned from 0
    on, so that the layer starts as the identity. It costs memory by the square of the number of places.

    Args:
        weight: What the network does to the weights of its convolutions.
    """

    def __init__(self, channels: int, *, weight: Callable[[nn.Conv2d], nn.Module] = unchanged) -> None:
        super().__init__()
        inner = max(channels // REDUCTION, 1)
        self.query, self.key, self.value = (
            weight(nn.Conv2d(channels, inner, 1, bias=False)) for _ in range(3)
        )
        self.out = weight(nn.Conv2d(inner, channels, 1, bias=False))
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, maps: Tensor) -> Tensor:
        query, key, value = (
            layer(maps).flatten(2).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        means = attended(query, key, value).transpose(1, 2).unflatten(2, maps.shape[2:])
        return maps + self.strength.to(maps.dtype) * self.out(means)


def with_attention(
    stages: Sequence[nn.Module],
    *,
    at: Sequence[int],
    sides: Sequence[int],
    channels: Sequence[int],
    weight: Callable[[nn.Conv2d], nn.Module],
) -> list[nn.Module]:
    """The stages of a network; those whose maps are to have self-attention are followed by it.

    Args:
        at: The shorter sides of these maps, in pixels.
        sides: Those of all stages' maps.
        channels: Of all stages' maps.
        weight: What the network does to the weights of its convolutions.
    """
    if unknown := {*at} - {*sides}:
        raise Refused(
            f"attention is {[*at]}, but no map of this network has a shorter side of {min(unknown)} pixels.\n"
            f"Its maps have {', '.join(map(str, sides)) or 'none'}."
        )
    return [
        Layers(stage, SelfAttention(width, weight=weight)) if side in at else stage
        for stage, side, width in zip(stages, sides, channels, strict=True)
    ]
