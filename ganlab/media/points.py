"""Points of a space: numbers that networks play with as they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ganlab.media.medium import Medium


class Points(Medium):
    """Points of a space, or anything else of which networks see the numbers themselves.

    Args:
        reals: Returns real points, which those of the plane are drawn over; files do not hold them.
    """

    form = "numbers of shape (n, coordinates)"

    def __init__(self, shape: tuple[int, ...], reals: Callable[[], Tensor] | None = None) -> None:
        super().__init__(shape)
        self.reals = reals

    def played(self, stored: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        return stored.to(dtype) if stored.is_floating_point() else stored

    def stored(self, items: Tensor) -> Tensor:
        return items.float()

    @classmethod
    def holds(cls, items: Tensor) -> bool:
        return items.is_floating_point() and items.ndim > 1

    @property
    def drawable(self) -> bool:
        return self.shape == (2,) and self.reals is not None

    def sheet(self, items: Tensor, columns: int | None = None) -> Image.Image:
        if self.reals is None or self.shape != (2,):
            return super().sheet(items)
        return scatter(items, self.reals())


def scatter(points: Tensor, reals: Tensor) -> Image.Image:
    """A scatter plot of points over real ones.

    The real points alone set the limits of the axes, so that all pictures of a run have the same ones.
    """
    fake, real = (tensor.detach().cpu().double().numpy() for tensor in (points, reals))
    x, y = (real.min(0) + real.max(0)) / 2
    half_width = 1.35 * abs(real - (x, y)).max()
    outside = (~(abs(fake - (x, y)) <= half_width).all(1)).sum()  # NaN counts as outside

    figure = Figure(figsize=(6, 6), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot(aspect="equal")
    axes.scatter(real[:, 0], real[:, 1], s=14, color="#b9c2cc", linewidths=0, label="real")
    axes.scatter(fake[:, 0], fake[:, 1], s=9, color="#d1495b", alpha=0.6, linewidths=0, label="sample")
    axes.set(xlim=(x - half_width, x + half_width), ylim=(y - half_width, y + half_width))
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.spines[:].set_color("#cccccc")
    axes.tick_params(color="#cccccc", labelcolor="#666666")
    axes.legend(loc="upper right", frameon=False, markerscale=2)
    axes.set_title(f"{outside} of {len(fake)} samples lie outside", size="medium", color="#666666")
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
