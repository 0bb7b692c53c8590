"""Blurring of maps before they are halved and after they are doubled, against aliasing."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

TAPS = (1.0, 3.0, 3.0, 1.0)  # Karras et al. 2020, arXiv:1912.04958, as in their code


class Blur(nn.Module):
    """The mean around each place, weighted 1, 3, 3, 1 in both directions (Zhang 2019, arXiv:1904.11486).

    Maps become `2 * padding` - 3 places wider and higher.

    Args:
        stride: Of the places that are kept.
        gain: Times which the mean is taken; 4 after a doubling, which leaves three of four places at 0.
    """

    def __init__(self, padding: int = 1, *, stride: int = 1, gain: float = 1.0) -> None:
        super().__init__()
        self.padding, self.stride = padding, stride
        taps = torch.tensor(TAPS)
        taps = torch.outer(taps, taps)
        self.register_buffer("taps", gain * taps / taps.sum(), persistent=False)

    def kernel(self, maps: Tensor) -> Tensor:
        """Of each channel."""
        taps = cast(Tensor, self.taps).to(maps.dtype)
        return taps.expand(maps.shape[1], 1, *taps.shape)

    def forward(self, maps: Tensor) -> Tensor:
        kernel = self.kernel(maps)
        return conv2d(maps, kernel, stride=self.stride, padding=self.padding, groups=maps.shape[1])


class Doubled(Blur):
    """Maps of twice the size, with zeros between their places, blurred."""

    def __init__(self) -> None:
        super().__init__(1, stride=2, gain=4.0)

    def forward(self, maps: Tensor) -> Tensor:
        kernel = self.kernel(maps)
        return conv_transpose2d(maps, kernel, stride=self.stride, padding=self.padding, groups=maps.shape[1])
