"""The generator's exponential moving average."""

import copy
from typing import Any

import torch
from torch import nn


class Average(nn.Module):
    """A frozen copy of a network whose parameters follow the original's; it stays in evaluation mode."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> "Average":
        return super().train(False)

    def forward(self, *args: Any) -> Any:
        return self.network(*args)

    @torch.no_grad()
    def update(self, network: nn.Module, keep: float) -> None:
        """Average the parameters, keeping the share `keep` of the old; copy the buffers."""
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), 1 - keep)
        for buffer, current in zip(self.network.buffers(), network.buffers(), strict=True):
            buffer.copy_(current)


def share_kept(images: int, seen: int, half_life: float, ramp: float | None) -> float:
    """The weight of the old average in a step of `images` (Karras et al. 2020, arXiv:1912.04958).

    With a ramp the half-life is at most that share of the images seen so far, so that the
    initial weights soon count for nothing.
    """
    if ramp is not None:
        half_life = min(half_life, ramp * seen)
    return 0.5 ** (images / half_life) if half_life > 0 else 0.0
