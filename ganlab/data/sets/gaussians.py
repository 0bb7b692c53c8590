"""Points of the plane from a known distribution, so that a GAN's mistakes can be seen and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from math import isqrt, pi
from typing import Any, Literal

import torch
from torch import Tensor

from ganlab import bounds
from ganlab.data.order import Batch, Blocks
from ganlab.data.stream import ModeIndices, StreamData
from ganlab.errors import Refused
from ganlab.media import Medium, Points
from ganlab.seeds import seed_for

BLOCK = 4096  # points that are drawn at once


def ring(modes: int) -> Tensor:
    angles = torch.arange(modes) * (2 * pi / modes)
    return torch.stack([angles.cos(), angles.sin()], 1)


def square(modes: int) -> Tensor:
    side = isqrt(modes)
    if side * side != modes:
        raise Refused(f"The grid's modes form a square: {side**2} or {(side + 1) ** 2}, but not {modes}.")
    line = 2.0 * torch.arange(side) - (side - 1)
    return torch.cartesian_prod(line, line)


def single(modes: int) -> Tensor:
    if modes != 1:
        raise Refused(f"The normal layout has 1 mode, not {modes}; the layouts ring and grid have many.")
    return torch.tensor([[1.0, 2.0]])


def draw_block(centres: Tensor, mixing: Tensor, block: int) -> Batch:
    source = torch.Generator().manual_seed(seed_for("gaussians", 0, block))
    labels = torch.randint(len(centres), (BLOCK,), generator=source)
    points = centres[labels] + torch.randn(BLOCK, 2, generator=source) @ mixing
    return (points, labels) if len(centres) > 1 else (points,)


def nearest_modes(
    points: Tensor, centres: Tensor, sigma: float, mixing: Tensor | None = None, enough: int = 20
) -> ModeIndices:
    """The nearest mode of each point, and whether it is within 3 sigma; NaN and infinity have no mode.

    A mode is centre + sigma * noise @ mixing.
    """
    to_noise = torch.eye(centres.shape[1]).double() if mixing is None else mixing.double().inverse()
    finite = points.isfinite().all(1)
    distance, mode = torch.cdist(points[finite].double() @ to_noise, centres.double() @ to_noise).min(1)
    index, near = torch.full((len(points),), -1), torch.zeros(len(points), dtype=torch.bool)
    index[finite], near[finite] = mode, distance <= 3 * sigma
    return ModeIndices(index, len(centres), near, enough)


@dataclass(frozen=True)
class Layout:
    """A point is centre + sigma * noise @ mixing."""

    centres: Callable[[int], Tensor]
    modes: int
    sigma: float
    mixing: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 0.0), (0.0, 1.0))


LAYOUTS = {
    "ring": Layout(ring, modes=8, sigma=0.01),
    "grid": Layout(square, modes=25, sigma=0.05),
    # Dive into Deep Learning (Zhang et al.), section 20.1: covariance [[1.01, 1.95], [1.95, 4.25]].
    "normal": Layout(single, modes=1, sigma=1.0, mixing=((1.0, 2.0), (-0.1, 0.5))),
}


class Gaussians(StreamData):
    """An endless stream of points from Gaussians of equal weight; the label is the Gaussian's number.

    Args:
        layout: A ring of radius 1, a square grid with spacing 2, or one Gaussian with correlated coordinates.
        modes: How many Gaussians; else the layout's own (8, 25, 1).
        sigma: Standard deviation of each, or a factor on that of the single one; else the layout's own
            (0.01, 0.05, 1).
    """

    def __init__(
        self,
        *,
        layout: Literal["ring", "grid", "normal"] = "ring",
        modes: int | None = None,
        sigma: float | None = None,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        bounds.at_least(1, self, modes=modes)
        bounds.at_least(0, self, sigma=sigma)
        defaults = LAYOUTS[layout]
        self.centres = defaults.centres(defaults.modes if modes is None else modes)
        self.sigma = defaults.sigma if sigma is None else sigma
        self.mixing = torch.tensor(defaults.mixing)
        self.shape = (2,)
        self.classes = len(self.centres) if len(self.centres) > 1 else None

    def load(self) -> tuple[Blocks, None]:
        return Blocks(BLOCK, partial(draw_block, self.centres, self.sigma * self.mixing)), None

    def modes(self, features: Tensor, logits: Tensor | None) -> ModeIndices:
        return nearest_modes(features, self.centres, self.sigma, self.mixing)

    @cached_property
    def media(self) -> tuple[Medium, ...]:
        points = Points(self.shape, reals=lambda: self.splits.train[torch.arange(BLOCK // 2)][0])
        return points, *super().media[1:]
