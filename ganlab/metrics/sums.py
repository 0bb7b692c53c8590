"""What a pass over samples adds up of their features, and which rows of these it keeps."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ganlab.metrics.extractors.extractor import Seen
from ganlab.metrics.observed import Observed
from ganlab.metrics.statistics import FeatureRows, Features, Gaussian, Moments

# Of a row of features, of logits and of spatial features.
Widths = tuple[int, int | None, int | None]


class Summed(NamedTuple):
    """The moments that are added up of some samples; of spatial features if a score needs them."""

    moments: Moments
    spatial: Moments | None

    @classmethod
    def begin(cls, width: int, places: int | None, device: torch.device | None) -> Summed:
        of_places = Moments(torch.zeros(places, device=device)) if places else None
        return cls(Moments(torch.zeros(width, device=device)), of_places)

    def update(self, seen: Seen) -> None:
        self.moments.update(seen.features)
        if self.spatial and seen.spatial is not None:
            self.spatial.update(seen.spatial)

    def compute(self, rows: FeatureRows | None, part: Observed | None) -> Observed:
        spatial = _on_cpu(self.spatial.compute()) if self.spatial else None
        return Observed(_on_cpu(self.moments.compute()), rows, part, spatial)


class Sums(NamedTuple):
    """What is added up in a pass: moments of all samples and of some of them, and rows of features."""

    widths: Widths
    of_all: Summed
    of_part: Summed
    rows: Features | None

    def update(self, seen: Seen, positions: Tensor, in_part: Tensor) -> None:
        self.of_all.update(seen)
        if in_part.any():
            self.of_part.update(seen.some(in_part.to(seen.features.device)))
        if self.rows is None:
            return
        kept = positions >= 0
        logits = None if seen.logits is None else seen.logits.cpu()[kept]
        self.rows.update(positions[kept], seen.features.cpu()[kept], logits)

    def compute(self, part: Tensor | None) -> Observed:
        """Of all processes, which all have to call this."""
        rows = self.rows.compute() if self.rows else None
        of_part = None if part is None else self.of_part.compute(some_rows(rows, part), None)
        return self.of_all.compute(rows, of_part)


def some_rows(rows: FeatureRows | None, chosen: Tensor) -> FeatureRows | None:
    if rows is None:
        return None
    return FeatureRows(rows.features[chosen], None if rows.logits is None else rows.logits[chosen])


def widths_of(seen: Seen) -> Widths:
    logits, spatial = (None if part is None else part.shape[1] for part in seen[1:])
    return seen.features.shape[1], logits, spatial


def _on_cpu(moments: Gaussian) -> Gaussian:
    return Gaussian(moments.mean.cpu(), moments.covariance.cpu(), moments.count)
