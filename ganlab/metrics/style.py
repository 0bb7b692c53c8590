"""Both axes of a style transfer, without a network: how near to the domain, and how near to the source.

Style is of sets, of samples beside reals. Content is of pairs: a sample beside what it was made from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganlab.errors import Refused
from ganlab.media import Pictures
from ganlab.metrics.pairs import PORTION, Channels, OfPictures, portions, unrestored
from ganlab.metrics.score import RealBatch, SampleScore, Value
from ganlab.metrics.statistics import frechet, gaussian_of, sums_of


class Style(SampleScore):
    """The distance between two sets' pixels: their colours, and their steps to two neighbours.

    A pixel is a vector: its channels, and what each gains to the right and below. Mean and covariance over
    all pixels of a set make a Gaussian; the score is the root of the Fréchet distance of both over the number
    of channels. It is in levels of 255: pictures that are all 10 levels brighter have 10. It sees colours,
    contrast and how coarse a texture is, and nothing of what pictures show.
    """

    values = (Value("style{n}", "min", "log"),)

    def count(self, samples: Tensor) -> Tensor:
        """How many pixels, the sum of their vectors, and that of these vectors' outer products."""
        if not Pictures.holds(samples) or min(samples.shape[2:]) < 2:
            raise Refused(
                f"The score {self.name} takes {Pictures.form}, of 2 x 2 pixels or more,\n"
                f"not {samples.dtype} of shape {tuple(samples.shape)}: leave it out (scores)."
            )
        return torch.stack([sums_of(_pixels(some.double())) for some in samples.split(PORTION)]).sum(0)

    def compare(self, real: Tensor, fake: Tensor) -> Sequence[float]:
        of_real, of_fake = gaussian_of(real), gaussian_of(fake)
        channels = len(of_real.mean) / 3
        return [(max(frechet(of_real, of_fake), 0.0) / channels) ** 0.5]

    def parameters(self) -> dict[str, Any]:
        return {} if self.ships else super().parameters()


def _pixels(pictures: Tensor) -> Tensor:
    """The vector of each pixel."""
    return torch.cat(_steps(pictures), 1).movedim(1, -1).flatten(0, -2)


def alike_edges(made: Tensor, source: Tensor, *, channels: Channels = "all", crop: int = 0) -> Tensor:
    """The correlation over places of how strong edges are: the root of the sum of both steps' squares.

    It is the same for brighter, fainter and inverted colours; 0 by chance, and where a side has no edges.
    """
    correlations = []
    for pair in portions(made, source, channels, crop, least=2):
        one, other = (_edges(side) for side in pair)
        scale = one.square().sum(1) * other.square().sum(1)
        correlations.append(((one * other).sum(1) / scale.sqrt()).where(scale > 0, 0.0))
    return torch.cat(correlations)


def _edges(pictures: Tensor) -> Tensor:
    """Of each picture how much stronger edges are at each place than in the mean."""
    _, across, down = _steps(pictures)
    strengths = (across.square() + down.square()).sum(1).sqrt().flatten(1)
    return strengths - strengths.mean(1, keepdim=True)


def _steps(pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All pixels but the last ones, and what they gain to the right and below."""
    here = pictures[..., :-1, :-1]
    return here, pictures[..., :-1, 1:] - here, pictures[..., 1:, :-1] - here


class Content(OfPictures):
    """How alike the edges of made pictures and of their sources are, the mean over pairs: 1 at most.

    Args:
        channels: All, or y: the luma of BT.601, from 16 to 235.
        crop: So many pixels at each border are left out.
    """

    values = (Value("content{n}", "max"),)
    of_reals = False
    function = staticmethod(alike_edges)

    def __init__(self, channels: Channels = "all", crop: int = 0) -> None:
        super().__init__(channels, crop)

    def sides(self, made: Tensor, real: RealBatch) -> tuple[Tensor, Tensor]:
        return made, unrestored(real)
