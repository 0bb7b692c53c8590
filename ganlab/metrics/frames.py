"""Scores of the frames of clips, whatever their order: how real they are, and whether all show one thing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ganlab.errors import Refused
from ganlab.media import Video
from ganlab.metrics.extractors.extractor import Extractor, Pixels, Seen
from ganlab.metrics.score import SampleScore, Value
from ganlab.metrics.statistics import frechet, gaussian_of, sums_of

PORTION = 64  # clips whose frames are seen at once


class OfFrames(SampleScore):
    """A score of what an extractor of pictures sees of each frame, on the CPU.

    Args:
        extractor: Of the frames.
    """

    medium = Video

    def __init__(self, extractor: Extractor) -> None:
        self.extractor, self.suffix = extractor, extractor.suffix

    def seen(self, samples: Tensor) -> Iterator[tuple[int, Seen]]:
        """How many clips, and what is seen of their frames, portion by portion."""
        if not Video.holds(samples):
            raise Refused(
                f"The score {self.name} takes {Video.form}, not {samples.dtype} of\n"
                f"shape {tuple(samples.shape)}: leave it out (scores)."
            )
        for clips in samples.split(PORTION):
            yield len(clips), self.extractor(in_colour(clips).flatten(0, 1))

    def parameters(self) -> dict[str, Any]:
        return super().parameters() | {"extractor": self.extractor.identity()}


class FrameFID(OfFrames):
    """The Fréchet distance between the frames of samples and of reals, whatever clips they are of.

    Heusel et al. 2017, arXiv:1706.08500. The order of frames does not matter to it.

    Args:
        extractor: Of the frames.
    """

    values = (Value("frame_fid{n}", "min", "log"),)

    def __init__(self, extractor: Extractor | None = None) -> None:
        super().__init__(extractor or Pixels())

    def count(self, samples: Tensor) -> Tensor:
        return torch.stack([sums_of(seen.features.cpu()) for _, seen in self.seen(samples)]).sum(0)

    def compare(self, real: Tensor, fake: Tensor) -> Sequence[float]:
        return [frechet(gaussian_of(real), gaussian_of(fake))]


class Consistency(OfFrames):
    """The share of a clip's frames in which a classifier sees the class that it sees in most of them.

    Args:
        extractor: A classifier of the frames.
    """

    values = (Value("consistency{n}", "max"),)

    def count(self, samples: Tensor) -> Tensor:
        shares = []
        for clips, seen in self.seen(samples):
            if seen.logits is None:
                raise Refused(
                    "The score consistency needs a classifier of frames, and\n"
                    f"{type(self.extractor).__name__} gives no logits: take another, such as Classifier."
                )
            classes = seen.logits.argmax(1).unflatten(0, (clips, -1))
            shares.append((classes == classes.mode(1, keepdim=True).values).double().mean(1))
        known = torch.cat(shares)
        return torch.stack([known.new_tensor(len(known)), known.sum()])

    def compare(self, real: Tensor, fake: Tensor) -> Sequence[float]:
        return [float(fake[1] / fake[0])]


def in_colour(clips: Tensor) -> Tensor:
    """Grey clips as colours: a file of a grey clip has one channel, whatever those beside it have."""
    return clips.expand(-1, -1, 3, -1, -1) if clips.shape[2] == 1 else clips
