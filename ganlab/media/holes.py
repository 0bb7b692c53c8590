"""Pictures of which a part is not known: their last channel says where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from ganlab.errors import Refused
from ganlab.media.pictures import DRAWN, Pictures, as_bytes, grid, quantise

KNOWN = 128  # of 255: from this opacity on a pixel is known
CYCLES = 8  # Each leaves a third to a half of what is wrong.
SMOOTHING = (0.809, 1.308)  # Chebyshev's weights for the errors that a coarser grid does not see
COARSEST = 2  # pixels a side

Fill = Literal["mean", "diffusion"]


class PicturesWithHoles(Pictures):
    """Pictures whose last channel is 1 where they are known and 0 in a hole.

    In a hole the colours follow from those that are known. Stored, that channel is the opacity, from 0 to
    255: a picture with a transparent hole is such a picture, whatever colours lie beneath its hole.

    Args:
        fill: What a hole's colours are: the mean of those that are known, or (diffusion) such that each place
            is the mean of the places around it, as heat would spread from the hole's border.
    """

    def __init__(self, shape: tuple[int, ...], fill: Fill = "mean") -> None:
        super().__init__(shape)
        if fill not in FILLS:
            raise Refused(f"fill is {fill!r}, which does not exist. Known: {', '.join(FILLS)}.")
        self.fill: Fill = fill

    def played(self, stored: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        if stored.is_floating_point():
            return stored.to(dtype)
        known = (stored[:, -1:] >= KNOWN).to(dtype)
        return with_hole(super().played(stored[:, :-1], dtype), known, self.fill)

    def stored(self, items: Tensor) -> Tensor:
        if not items.is_floating_point():
            return items
        return quantise(torch.cat([items[:, :-1], 2 * items[:, -1:] - 1], 1))

    @property
    def drawable(self) -> bool:
        return len(self.shape) == 3 and self.shape[0] - 1 in DRAWN

    def sheet(self, items: Tensor, columns: int | None = None) -> Image.Image:
        """With white holes."""
        if not self.drawable:
            return super().sheet(items, columns)
        stored = self.stored(items)
        return grid(torch.where(stored[:, -1:] >= KNOWN, as_bytes(stored[:, :-1]), 255), columns)

    def plain(self) -> dict[str, Any]:
        arguments = {"shape": list(self.shape), "fill": self.fill}
        return {**super().plain(), "init_args": arguments}


def with_hole(pictures: Tensor, known: Tensor, fill: Fill = "mean") -> Tensor:
    """Pictures as networks play with them, with a hole where `known` is 0, and that as one more channel."""
    return torch.cat([FILLS[fill](pictures, known), known], 1)


def _mean(pictures: Tensor, known: Tensor) -> Tensor:
    places = known.sum((2, 3), keepdim=True).clamp(min=1)
    mean = (pictures * known).sum((2, 3), keepdim=True) / places
    return torch.where(known > 0, pictures, mean)


def _diffused(pictures: Tensor, known: Tensor) -> Tensor:
    """Laplace's equation within holes, by multigrid cycles (Briggs et al. 2000, chapter 3).

    16 pictures of 64 x 64 pixels in colour take about 0.3 s of one core.
    """
    filled, hole = _mean(pictures, known), 1 - known
    for _ in range(CYCLES):
        filled = _cycle(filled, torch.zeros_like(filled), hole)
    return filled


def _cycle(values: Tensor, wanted: Tensor, hole: Tensor) -> Tensor:
    """Nearer to values of which each in a hole is less than the mean around it by as much as is wanted."""
    values = _smoothed(values, wanted, hole, SMOOTHING)
    height, width = values.shape[2:]
    if min(height, width) > COARSEST:
        odd = (0, width % 2, 0, height % 2)
        lacking = avg_pool2d(pad(hole * _lacking(values, wanted), odd), 2)
        inside = (avg_pool2d(pad(hole, odd, mode="replicate"), 2) == 1).to(hole)
        # Twice the distance between places, and a Laplacian four times as large.
        coarse = _cycle(torch.zeros_like(lacking), 4 * lacking, inside)
        values = values + hole * interpolate(coarse, scale_factor=2, mode="bilinear")[..., :height, :width]
    return _smoothed(values, wanted, hole, SMOOTHING[::-1])


def _smoothed(values: Tensor, wanted: Tensor, hole: Tensor, weights: tuple[float, ...]) -> Tensor:
    for weight in weights:
        values = values + hole * weight * _lacking(values, wanted)
    return values


def _lacking(values: Tensor, wanted: Tensor) -> Tensor:
    return avg_pool2d(values, 3, 1, 1, count_include_pad=False) - values + wanted


FILLS: dict[Fill, Callable[[Tensor, Tensor], Tensor]] = {"mean": _mean, "diffusion": _diffused}
