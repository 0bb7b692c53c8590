"""Samples as one picture."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

GAP = 2
READABLE = 64  # pixels; smaller images are enlarged up to here


def quantise(images: Tensor) -> Tensor:
    """From numbers in [-1, 1] to bytes; gives back each byte that was normalised."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def grid(images: Tensor) -> Image.Image:
    """Lay out images, grey or with three colours, row by row in a sheet that is nearly square."""
    bytes_ = quantise(images.detach().cpu()).movedim(1, -1)
    enlarged = max(1, READABLE // max(bytes_.shape[1:3]))
    bytes_ = bytes_.repeat_interleave(enlarged, 1).repeat_interleave(enlarged, 2)
    count, height, width, channels = bytes_.shape
    columns = ceil(sqrt(count))
    rows = ceil(count / columns)
    sheet = bytes_.new_full((rows * columns, height + GAP, width + GAP, channels), 255)
    sheet[:count, :height, :width] = bytes_
    sheet = sheet.unflatten(0, (rows, columns)).transpose(1, 2).flatten(2, 3).flatten(0, 1)
    return Image.fromarray(sheet[:-GAP, :-GAP].squeeze(-1).numpy())


def scatter(points: Tensor, reals: Tensor) -> Image.Image:
    """Points of the plane over real ones, which alone set the frame: so a run's pictures can be compared."""
    fake, real = (tensor.detach().cpu().double().numpy() for tensor in (points, reals))
    x, y = (real.min(0) + real.max(0)) / 2
    reach = 1.35 * abs(real - (x, y)).max()
    outside = (~(abs(fake - (x, y)) <= reach).all(1)).sum()  # counts those that are no numbers, too

    figure = Figure(figsize=(6, 6), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot(aspect="equal")
    axes.scatter(real[:, 0], real[:, 1], s=14, color="#b9c2cc", linewidths=0, label="real")
    axes.scatter(fake[:, 0], fake[:, 1], s=9, color="#d1495b", alpha=0.6, linewidths=0, label="sample")
    axes.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach))
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.spines[:].set_color("#cccccc")
    axes.tick_params(color="#cccccc", labelcolor="#666666")
    axes.legend(loc="upper right", frameon=False, markerscale=2)
    axes.set_title(f"{outside} of {len(fake)} samples lie outside", size="medium", color="#666666")
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
