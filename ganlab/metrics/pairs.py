"""Scores of made picture i beside real picture i: bytes of one shape on both sides, a value for each pair.

A value depends on two arguments besides: `channels` are all, or y, the luma of BT.601 from 16 to 235, which
papers of super-resolution compare; `crop` is how many pixels at each border are left out. A score is the mean
over pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media import Pictures
from ganlab.metrics.score import PairScore, RealBatch, Value

Channels = Literal["all", "y"]
RANGE = 255.0  # of bytes
LUMA = (65.481, 128.553, 24.966)  # of red, green and blue from 0 to 1; black has 16
MOST_CROPPED = 1 << 20  # pixels
PORTION = 16  # pairs that are compared at once
SIGMA, RADIUS = 1.5, 5  # of SSIM's window, in pixels


class OfPictures(PairScore):
    """A function of made and real pictures: bytes of one shape, real i the first column of the real batch.

    Args:
        channels: All, or y: the luma of BT.601, from 16 to 235.
        crop: So many pixels at each border are left out.
    """

    function: staticmethod[..., Tensor]

    def __init__(self, channels: Channels = "all", crop: int = 0) -> None:
        bounds.between(0, MOST_CROPPED, self, crop=crop)
        self.channels, self.crop = channels, crop
        self.suffix = f"_{channels}" * (channels != "all") + f"_crop{crop}" * (crop > 0)

    def compare(self, made: Tensor, real: RealBatch) -> Tensor:
        return self.function(made, real[0], channels=self.channels, crop=self.crop)

    def parameters(self) -> dict[str, Any]:
        own = {"channels": self.channels, "crop": self.crop, "range": int(RANGE)}
        return own if type(self).__module__ == __name__ else {**super().parameters(), **own}


def psnr(made: Tensor, real: Tensor, *, channels: Channels = "all", crop: int = 0) -> Tensor:
    """20 log10(255 / root of the mean squared difference), in dB; of equal pictures it is infinite."""
    portions = _portions(made, real, channels, crop)
    return torch.cat(
        [
            peak_signal_noise_ratio(*pair, data_range=RANGE, dim=(1, 2, 3), reduction="none")
            for pair in portions
        ]
    )


def l1(made: Tensor, real: Tensor, *, channels: Channels = "all", crop: int = 0) -> Tensor:
    """The mean absolute difference, in levels of 255."""
    return torch.cat([(x - y).abs().mean((1, 2, 3)) for x, y in _portions(made, real, channels, crop)])


def ssim(made: Tensor, real: Tensor, *, channels: Channels = "all", crop: int = 0) -> Tensor:
    """Wang et al. 2004, eq. 13, in windows that lie within the pictures; the mean over places and channels.

    In float64, because the variance of bright flat places is the difference of large numbers. A pair of
    256 x 256 pixels in colour takes 0.07 s.
    """
    portions = _portions(made, real, channels, crop, least=2 * RADIUS + 1)
    return torch.cat([_ssim(x, y).mean((1, 2, 3)) for x, y in portions])


def _ssim(x: Tensor, y: Tensor) -> Tensor:
    c1, c2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
    mean_x, mean_y = _windowed(x), _windowed(y)
    variances = _windowed(x * x) - mean_x**2 + _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance * (2 * covariance + c2) / (variances + c2)


def _windowed(numbers: Tensor) -> Tensor:
    """The mean in each window, weighted by a Gaussian."""
    inside = slice(RADIUS, -RADIUS)
    means = gaussian_filter(numbers.numpy(), (0, 0, SIGMA, SIGMA), truncate=RADIUS / SIGMA)
    return torch.from_numpy(means)[..., inside, inside]


def _portions(
    made: Tensor, real: Tensor, channels: Channels, crop: int, least: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Some pairs after the other, as numbers from 0 to 255, without borders, on the CPU."""
    _refuse_unfit(made, real, channels, crop, least)
    height, width = made.shape[2:]
    for pair in zip(made.split(PORTION), real.split(PORTION), strict=True):
        x, y = (side[..., crop : height - crop, crop : width - crop].cpu().double() for side in pair)
        yield (_luma(x), _luma(y)) if channels == "y" else (x, y)


def _luma(pictures: Tensor) -> Tensor:
    weights = pictures.new_tensor(LUMA) / RANGE
    return 16 + torch.einsum("nchw,c->nhw", pictures, weights).unsqueeze(1)


def _refuse_unfit(made: Tensor, real: Tensor, channels: Channels, crop: int, least: int) -> None:
    if not (Pictures.holds(made) and Pictures.holds(real) and made.shape == real.shape):
        raise Refused(
            f"Pairs are {Pictures.form} on both sides,\n"
            f"not {made.dtype} of {tuple(made.shape)} beside {real.dtype} of {tuple(real.shape)}."
        )
    if channels == "y" and made.shape[1] != len(LUMA):
        raise Refused(
            f"channels y needs red, green and blue: these pictures have {made.shape[1]}. Take channels all."
        )
    height, width = made.shape[2:]
    if crop < 0 or min(height, width) - 2 * crop < least:
        raise Refused(
            f"crop {crop} leaves too little of {width} x {height} pixels: {least} x {least} are needed."
        )


class PSNR(OfPictures):
    """Peak signal-to-noise ratio in dB, the mean over pairs.

    With two equal pictures among them it is infinite, as their own is: no number is given then.
    """

    values = (Value("psnr{n}", "max"),)
    undefined = "some pair's pictures are equal, and their PSNR is infinite"
    function = staticmethod(psnr)


class SSIM(OfPictures):
    """Structural similarity, the mean over places, channels and pairs of 11 pixels a side or more."""

    values = (Value("ssim{n}", "max"),)
    function = staticmethod(ssim)


class L1(OfPictures):
    """The mean absolute difference, in levels of 255."""

    values = (Value("l1_{n}", "min"),)
    function = staticmethod(l1)
