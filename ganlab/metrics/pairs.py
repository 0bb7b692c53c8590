"""Scores of made picture i beside real picture i: bytes of one shape on both sides, a value for each pair.

A value depends on two arguments besides: `channels` are all, or y, the luma of BT.601 from 16 to 235, which
papers of super-resolution compare; `crop` is how many pixels at each border are left out. A score is the mean
over pairs. It may be of the source as it is instead of what was made of it, and within its hole alone; or of
what the way back makes again, beside the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from ganlab import bounds
from ganlab.data.degradations import fitted
from ganlab.errors import Refused
from ganlab.media import Pictures
from ganlab.media.holes import KNOWN
from ganlab.metrics.score import PairScore, RealBatch, Value

Channels = Literal["all", "y"]
Of = Literal["made", "source", "cycle"]
Within = Literal["picture", "hole"]
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
        of: What is compared with the real: what was made, or its source if nobody had restored it; or cycle:
            what the way back makes of what was made, with the source.
    """

    function: staticmethod[..., Tensor]

    def __init__(self, channels: Channels = "all", crop: int = 0, of: Of = "made") -> None:
        bounds.between(0, MOST_CROPPED, self, crop=crop)
        self.channels, self.crop, self.of = channels, crop, of
        self.suffix = f"_{channels}" * (channels != "all") + f"_crop{crop}" * (crop > 0)
        self.suffix += f"_{of}" * (of != "made")
        if of == "cycle":
            self.needs, self.of_reals = "again", False

    def compare(self, made: Tensor, real: RealBatch) -> Tensor:
        sides = self.sides(made, real)
        return self.function(*sides, channels=self.channels, crop=self.crop, **self.within_of(real))

    def sides(self, made: Tensor, real: RealBatch) -> tuple[Tensor, Tensor]:
        """What is compared with what."""
        return SIDES[self.of](made, real)

    def within_of(self, real: RealBatch) -> dict[str, Tensor]:
        """Where pairs are compared, if that is not everywhere, by the name of the function's argument."""
        return {}

    def parameters(self) -> dict[str, Any]:
        own: dict[str, Any] = {"channels": self.channels, "crop": self.crop, "range": int(RANGE)}
        own |= {"of": self.of} if self.of != "made" else {}
        return own if self.ships else {**super().parameters(), **own}


class OfPixels(OfPictures):
    """A mean over pixels, which may be those of the source's hole alone.

    Args:
        channels: All, or y: the luma of BT.601, from 16 to 235.
        crop: So many pixels at each border are left out.
        of: What is compared with the real: what was made, or its source if nobody had restored it; or cycle:
            what the way back makes of what was made, with the source.
        within: The whole picture, or the source's hole, which pictures with holes have.
    """

    def __init__(
        self, channels: Channels = "all", crop: int = 0, of: Of = "made", within: Within = "picture"
    ) -> None:
        super().__init__(channels, crop, of)
        self.within = within
        self.suffix = "_hole" * (within == "hole") + self.suffix

    def within_of(self, real: RealBatch) -> dict[str, Tensor]:
        return {} if self.within == "picture" else {"where": _hole(real)}

    def parameters(self) -> dict[str, Any]:
        return super().parameters() | ({"within": self.within} if self.within != "picture" else {})


def psnr(
    made: Tensor,
    real: Tensor,
    *,
    channels: Channels = "all",
    crop: int = 0,
    where: Tensor | None = None,
) -> Tensor:
    """20 log10(255 / root of the mean squared difference), in dB; of equal pictures it is infinite.

    Args:
        where: Of each pair which places count, n x 1 x height x width; all, if there is none.
    """
    if where is not None:
        return 10 * torch.log10(RANGE**2 / _mean(torch.square, made, real, channels, crop, where))
    some = portions(made, real, channels, crop)
    return torch.cat(
        [peak_signal_noise_ratio(*pair, data_range=RANGE, dim=(1, 2, 3), reduction="none") for pair in some]
    )


def l1(
    made: Tensor,
    real: Tensor,
    *,
    channels: Channels = "all",
    crop: int = 0,
    where: Tensor | None = None,
) -> Tensor:
    """The mean absolute difference, in levels of 255.

    Args:
        where: Of each pair which places count, n x 1 x height x width; all, if there is none.
    """
    if where is not None:
        return _mean(torch.abs, made, real, channels, crop, where)
    return torch.cat([(x - y).abs().mean((1, 2, 3)) for x, y in portions(made, real, channels, crop)])


def _mean(
    of: Callable[[Tensor], Tensor],
    made: Tensor,
    real: Tensor,
    channels: Channels,
    crop: int,
    where: Tensor,
) -> Tensor:
    """Of each pair's differences the mean over the places that count; no number where none do."""
    height, width = where.shape[2:]
    inside = where[..., crop : height - crop, crop : width - crop].cpu().double()
    some = zip(portions(made, real, channels, crop), inside.split(PORTION), strict=True)
    return torch.cat(
        [
            (of(x - y).mean(1, keepdim=True) * counted).sum((1, 2, 3)) / counted.sum((1, 2, 3))
            for (x, y), counted in some
        ]
    )


def ssim(made: Tensor, real: Tensor, *, channels: Channels = "all", crop: int = 0) -> Tensor:
    """Wang et al. 2004, eq. 13, in windows that lie within the pictures; the mean over places and channels.

    In float64, because the variance of bright flat places is the difference of large numbers. A pair of
    256 x 256 pixels in colour takes 0.07 s.
    """
    some = portions(made, real, channels, crop, least=2 * RADIUS + 1)
    return torch.cat([_ssim(x, y).mean((1, 2, 3)) for x, y in some])


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


def portions(
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


def unrestored(real: RealBatch) -> Tensor:
    """The sources of a real batch as pictures of the reals' shape."""
    if len(real) < 2 or not Pictures.holds(real[1]) or real[1].shape[1] > real[0].shape[1] + 1:
        raise Refused(
            "A score of sources needs data whose second column is a picture that another is made from, such\n"
            "as Pairs, Unpaired, Downscaled, Masked or Degraded: leave it out (scores)."
        )
    return fitted(real[1], tuple(real[0].shape[1:]))


def _hole(real: RealBatch) -> Tensor:
    channels, *size = real[0].shape[1:]
    if len(real) < 2 or tuple(real[1].shape[1:]) != (channels + 1, *size):
        raise Refused(
            "A score within holes needs data whose second column is pictures with holes, such as Masked:\n"
            "leave it out (scores)."
        )
    return real[1][:, -1:] < KNOWN


# What is compared with what.
SIDES: dict[Of, Callable[[Tensor, RealBatch], tuple[Tensor, Tensor]]] = {
    "made": lambda made, real: (made, real[0]),
    "source": lambda made, real: (unrestored(real), real[0]),
    "cycle": lambda again, real: (again, real[1]),
}


class PSNR(OfPixels):
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


class L1(OfPixels):
    """The mean absolute difference, in levels of 255."""

    values = (Value("l1_{n}", "min"),)
    function = staticmethod(l1)
