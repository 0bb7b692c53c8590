"""Many samples drawn as one picture: a sheet of images, or a scatter plot of points."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ganlab.errors import Refused

GAP = 2
MIN_SIDE = 64  # pixels; smaller images are enlarged up to this


def quantise(images: Tensor) -> Tensor:
    """From numbers in [-1, 1] to bytes; the inverse of normalising bytes, to the last bit.

    What is no number has no shade, and is refused.
    """
    if not images.isfinite().all():
        raise Refused(
            "These pictures hold values that are no numbers, as of weights that are none.\n"
            "They cannot be shown or scored: take an earlier checkpoint."
        )
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def grid(images: Tensor) -> Image.Image:
    """A nearly square sheet of images, grey or coloured, row by row, with white gaps between them."""
    bytes_ = quantise(images.detach().cpu()).movedim(1, -1)
    enlarged = max(1, MIN_SIDE // max(bytes_.shape[1:3]))
    bytes_ = bytes_.repeat_interleave(enlarged, 1).repeat_interleave(enlarged, 2)
    count, height, width, channels = bytes_.shape
    columns = ceil(sqrt(count))
    rows = ceil(count / columns)
    sheet = bytes_.new_full((rows * columns, height + GAP, width + GAP, channels), 255)
    sheet[:count, :height, :width] = bytes_
    sheet = sheet.unflatten(0, (rows, columns)).transpose(1, 2).flatten(2, 3).flatten(0, 1)
    return Image.fromarray(sheet[:-GAP, :-GAP].squeeze(-1).numpy())


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
