"""What is known of the two sides of a comparison: reals, and the fakes that are scored against them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ganlab.data.stream import ModeIndices
from ganlab.errors import Refused
from ganlab.metrics import scores
from ganlab.metrics.contract import digest
from ganlab.metrics.copied import TrainingImages
from ganlab.metrics.statistics import FeatureRows, Gaussian, factor

Modes = Callable[[Tensor, Tensor | None], ModeIndices]
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Classes(NamedTuple):
    """To which class each sample belongs that keeps its features.

    Attributes:
        names: Of all classes, sorted.
        labels: Of each sample the position of its class in the names.
        numbers: Of each class, in the order of the names, the number that it has in the data.
    """

    names: tuple[str, ...]
    labels: Tensor
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, names: Sequence[str], labels: Tensor) -> Classes:
        """With names in the order of the classes' numbers."""
        if len(labels) and int(labels.max()) >= len(names):
            raise Refused(f"The label {int(labels.max())} is none of {len(names)} classes, from 0 on.")
        order = sorted(range(len(names)), key=names.__getitem__)
        positions = torch.tensor(order).argsort()
        return cls(tuple(names[number] for number in order), positions[labels], tuple(order))

    @property
    def logits(self) -> Tensor:
        """Of each sample which logit of a classifier is that of its class."""
        return torch.tensor(self.numbers)[self.labels]

    @property
    def digest(self) -> str:
        return digest([self.names, self.labels.tolist()])

    def some(self, chosen: Tensor) -> Classes:
        """Those of some of the samples."""
        return self._replace(labels=self.labels[chosen])


class Observed(NamedTuple):
    """What one pass computes: the moments of all samples, and the rows of those whose features are kept.

    Attributes:
        part: The same of some of the samples, as many as the real floor was taken of.
        spatial: The moments of features that keep places apart.
        classes: Set by who knows them.
        gathered: By score what it needs besides features.
    """

    moments: Gaussian
    rows: FeatureRows | None
    part: Observed | None = None
    spatial: Gaussian | None = None
    classes: Classes | None = None
    gathered: Mapping[str, Any] = NOTHING

    def of_classes(self, classes: Classes | None, part: Tensor | None) -> Observed:
        """The same with the classes of all samples, and of those in the part."""
        if not classes:
            return self
        of_part = (
            None if self.part is None or part is None else self.part.of_classes(classes.some(part), None)
        )
        return self._replace(classes=classes, part=of_part)

    def with_gathered(self, gathered: Mapping[str, tuple[Any, Any]]) -> Observed:
        """The same with what scores need besides features, of all samples and of those in the part."""
        of_all, of_part = ({score: both[side] for score, both in gathered.items()} for side in (0, 1))
        part = None if self.part is None else self.part._replace(gathered=of_part)
        return self._replace(gathered=of_all, part=part)


@dataclass
class Reals:
    """What fakes are measured against.

    Attributes:
        factor: F with F Fᵀ = the covariance, by which each Fréchet distance takes half its time.
        spatial: The moments of features that keep places apart, and their factor.
        modes: Of data that have modes, which of them each sample belongs to.
        valid: Of data whose language is known, whether a line is of it.
        classes: Of labelled data.
        training: What copies are found by, on the first process, where a score asks for it.
        gathered: By score what it needs besides features, of all reals.
        sources: What samples are made from, in place of them, where a score asks for it.
    """

    moments: Gaussian
    rows: FeatureRows | None
    factor: Tensor
    spatial: tuple[Gaussian, Tensor] | None = None
    modes: Modes | None = None
    valid: Callable[[str], bool] | None = None
    classes: Classes | None = None
    training: TrainingImages | None = None
    gathered: Mapping[str, Any] = field(default_factory=dict)
    sources: Observed | None = None

    @classmethod
    def of(cls, observed: Observed) -> Reals:
        spatial = (observed.spatial, _factor(observed.spatial)) if observed.spatial else None
        return cls(observed.moments, observed.rows, _factor(observed.moments), spatial)


def _factor(moments: Gaussian) -> Tensor:
    # In the memory layout that the cache returns, or scores from the cache would differ in the last bits.
    return factor(moments.covariance).contiguous()


@dataclass(frozen=True)
class Pair:
    """Reals and fakes, and what several scores need of both, computed once."""

    real: Reals
    fake: Observed

    @cached_property
    def features(self) -> tuple[Tensor, Tensor]:
        return rows_of(self.real).features, rows_of(self.fake).features

    @cached_property
    def overlap(self) -> scores.Overlap:
        return scores.overlap(*self.features)


def rows_of(side: Observed | Reals) -> FeatureRows:
    assert side.rows is not None
    return side.rows
