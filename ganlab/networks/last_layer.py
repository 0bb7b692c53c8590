"""The last layer of a discriminator, which is called `logit` in all networks of ganlab."""

from __future__ import annotations

from torch import nn


def last_layer(network: nn.Module) -> nn.Linear | nn.Conv2d | None:
    """The layer that makes a network's logits of its features; None: it has none of that name."""
    layer = getattr(network, "logit", None)
    return layer if isinstance(layer, nn.Linear | nn.Conv2d) else None
