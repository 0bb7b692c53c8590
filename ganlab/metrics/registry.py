"""Which scores there are: what each needs, which numbers it gives, and where better lies."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from torch import Tensor

from ganlab.data.stream import ModeIndices
from ganlab.errors import Refused
from ganlab.metrics import scores
from ganlab.metrics.statistics import FeatureRows, Gaussian, frechet, half

Modes = Callable[[Tensor, Tensor | None], ModeIndices]
Better = Literal["min", "max"]
Scale = Literal["log", "raw"]


class Observed(NamedTuple):
    """What one pass leaves: of all samples the moments, and of those kept their features."""

    moments: Gaussian
    rows: FeatureRows | None


@dataclass
class Reals:
    """What fakes are measured against; `half` is that of the covariance."""

    moments: Gaussian
    rows: FeatureRows | None
    half: Tensor
    modes: Modes | None = None

    @classmethod
    def of(cls, seen: Observed) -> Reals:
        # Laid out as the cache gives it back: otherwise the last bits of scores would tell the two apart.
        return cls(seen.moments, seen.rows, half(seen.moments.covariance).contiguous())


@dataclass(frozen=True)
class Pair:
    """Both sides, with what two scores share."""

    real: Reals
    fake: Observed

    @cached_property
    def features(self) -> tuple[Tensor, Tensor]:
        return _kept(self.real).features, _kept(self.fake).features

    @cached_property
    def overlap(self) -> scores.Overlap:
        return scores.overlap(*self.features)


class Value(NamedTuple):
    """One of the numbers of a score.

    Attributes:
        name: With {n} for the number of samples.
        better: Where better lies; none: it says how sure another one is.
        scale: On which runs are compared. What is a distance grows by factors.
    """

    name: str
    better: Better | None = None
    scale: Scale = "raw"


class Score(NamedTuple):
    """A row of the table: which numbers it gives, and what it needs.

    Attributes:
        values: The first is the one that is watched.
        needs: The moments alone, the features of each sample, or logits as well.
    """

    values: tuple[Value, ...]
    needs: Literal["moments", "features", "logits"]
    compute: Callable[[Pair], Sequence[float]]


def _kept(seen: Observed | Reals) -> FeatureRows:
    assert seen.rows is not None
    return seen.rows


def _logits(seen: Observed | Reals) -> Tensor:
    logits = _kept(seen).logits
    assert logits is not None
    return logits


def _fid(pair: Pair) -> Sequence[float]:
    return [frechet(pair.real.moments, pair.fake.moments, pair.real.half)]


def _inception_score(pair: Pair) -> Sequence[float]:
    return scores.inception_score(_logits(pair.fake))


def _kid(pair: Pair) -> Sequence[float]:
    size = min(1000, *map(len, pair.features))
    return [*scores.kid_subsets(*pair.features, size=size), scores.kid_full(*pair.features)]


def _precision_recall(pair: Pair) -> Sequence[float]:
    return pair.overlap.precision, pair.overlap.recall


def _density_coverage(pair: Pair) -> Sequence[float]:
    return pair.overlap.density, pair.overlap.coverage


def _fid_infinity(pair: Pair) -> Sequence[float]:
    _, fakes = pair.features
    least = min(5000, len(fakes) // 2)
    return [scores.fid_infinity(pair.real.moments, fakes, pair.real.half, least=least)]


def _classes(pair: Pair) -> Sequence[float]:
    classes = _logits(pair.real).shape[1]
    counts = (scores.class_histogram(_logits(seen).argmax(1), classes) for seen in (pair.fake, pair.real))
    return [scores.total_variation(*counts)]


def _modes(pair: Pair) -> Sequence[float]:
    if pair.real.modes is None:
        raise Refused("The score modes is known of data whose modes are: Gaussians and StackedMNIST.")
    kept = _kept(pair.fake)
    return scores.count_modes(pair.real.modes(kept.features, kept.logits))


TABLE = {
    "fid": Score((Value("fid{n}", "min", "log"),), "moments", _fid),
    "is": Score((Value("is{n}", "max"), Value("is{n}_std")), "logits", _inception_score),
    "kid": Score(
        (Value("kid{n}", "min"), Value("kid{n}_std"), Value("kid{n}_full", "min")), "features", _kid
    ),
    "precision_recall": Score(
        (Value("precision{n}_k3", "max"), Value("recall{n}_k3", "max")), "features", _precision_recall
    ),
    "density_coverage": Score(
        (Value("density{n}_k5", "max"), Value("coverage{n}_k5", "max")), "features", _density_coverage
    ),
    "fid_infinity": Score((Value("fid_infinity{n}", "min", "log"),), "features", _fid_infinity),
    "classes": Score((Value("class_distance{n}", "min"),), "logits", _classes),
    "modes": Score(
        (
            Value("modes{n}", "max"),
            Value("full_modes{n}", "max"),
            Value("high_quality{n}", "max"),
            Value("mode_kl{n}", "min", "log"),
        ),
        "features",
        _modes,
    ),
}


class Measured(NamedTuple):
    """What a score's name says.

    Attributes:
        score: Its row of the table.
        suffix: The extractor's.
    """

    score: str
    value: Value
    suffix: str


def measured(name: str) -> Measured | None:
    """fid10k_digits: fid, smaller is better, on logarithms, _digits; none: it names no score."""
    found = []
    for score, row in TABLE.items():
        for value in row.values:
            pattern = re.escape(value.name).replace(r"\{n\}", r"\d+k?") + "(_.*)?"
            if match := re.fullmatch(pattern, name):
                found.append(Measured(score, value, match[1] or ""))
    # kid10k_full_digits is no kid10k of an extractor _full_digits.
    return max(found, key=lambda each: len(each.value.name), default=None)
