"""Which scores there are: what each needs, which numbers it gives, and which direction is better."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Literal, NamedTuple

from torch import Tensor

from ganlab.data.stream import ModeIndices
from ganlab.errors import Refused
from ganlab.metrics import kid, scores
from ganlab.metrics.statistics import FeatureRows, Gaussian, factor, frechet

Modes = Callable[[Tensor, Tensor | None], ModeIndices]
Better = Literal["min", "max"]
Scale = Literal["log", "raw"]


class Observed(NamedTuple):
    """What one pass computes: the moments of all samples, and the rows of those whose features are kept.

    Attributes:
        part: The same of some of the samples, as many as the real floor was taken of.
    """

    moments: Gaussian
    rows: FeatureRows | None
    part: Observed | None = None


@dataclass
class Reals:
    """What fakes are measured against.

    Attributes:
        factor: F with F Fᵀ = the covariance, by which each Fréchet distance takes half its time.
        modes: Of data that have modes, which of them each sample belongs to.
    """

    moments: Gaussian
    rows: FeatureRows | None
    factor: Tensor
    modes: Modes | None = None

    @classmethod
    def of(cls, observed: Observed) -> Reals:
        # In the memory layout that the cache returns, or scores from the cache would differ in the last bits.
        return cls(observed.moments, observed.rows, factor(observed.moments.covariance).contiguous())


@dataclass(frozen=True)
class Pair:
    """Reals and fakes, and what several scores need of both, computed once."""

    real: Reals
    fake: Observed

    @cached_property
    def features(self) -> tuple[Tensor, Tensor]:
        return _rows(self.real).features, _rows(self.fake).features

    @cached_property
    def overlap(self) -> scores.Overlap:
        return scores.overlap(*self.features)


class Value(NamedTuple):
    """One of the numbers of a score.

    Attributes:
        name: With {n} in the place of the number of samples.
        better: Which direction is better; none for a number that only says how certain another one is.
        scale: The scale on which runs are compared: log for distances, which differ by factors.
        of_all_reals: It is taken against all reals, and others against as many as there are samples.
    """

    name: str
    better: Better | None = None
    scale: Scale = "raw"
    of_all_reals: bool = False


class Score(NamedTuple):
    """A row of the table: which numbers it gives, and what it needs.

    Attributes:
        values: The numbers that it gives.
        needs: The moments alone, or the features of each sample, or their logits as well.
        judged: Which of the numbers runs and checkpoints are judged by.
        least: How many samples it needs.
    """

    values: tuple[Value, ...]
    needs: Literal["moments", "features", "logits"]
    compute: Callable[[Pair], Sequence[float]]
    judged: int = 0
    least: int = 2


def _rows(side: Observed | Reals) -> FeatureRows:
    assert side.rows is not None
    return side.rows


def _logits(side: Observed | Reals) -> Tensor:
    logits = _rows(side).logits
    assert logits is not None
    return logits


def _fid(pair: Pair) -> Sequence[float]:
    return [frechet(pair.real.moments, pair.fake.moments, pair.real.factor)]


def _inception_score(pair: Pair) -> Sequence[float]:
    return scores.inception_score(_logits(pair.fake))


def _kid(pair: Pair) -> Sequence[float]:
    size = min(1000, *map(len, pair.features))
    subsets, whole = kid.kid_subsets(*pair.features, size=size), kid.kid_all(*pair.features)
    # By the law of total variance: which samples there are, and which of them are in the subsets.
    error = (whole.error**2 + subsets.std**2 / kid.SUBSETS) ** 0.5
    return subsets.mean, error, whole.value


def _precision_recall(pair: Pair) -> Sequence[float]:
    return pair.overlap.precision, pair.overlap.recall


def _density_coverage(pair: Pair) -> Sequence[float]:
    return pair.overlap.density, pair.overlap.coverage


def _fid_infinity(pair: Pair) -> Sequence[float]:
    return [scores.fid_infinity(pair.real.moments, pair.features[1], pair.real.factor)]


def _classes(pair: Pair) -> Sequence[float]:
    classes = _logits(pair.real).shape[1]
    counts = (scores.class_histogram(_logits(side).argmax(1), classes) for side in (pair.fake, pair.real))
    return [scores.total_variation(*counts)]


def _modes(pair: Pair) -> Sequence[float]:
    if pair.real.modes is None:
        raise Refused("The score modes needs data whose modes are known: Gaussians or StackedMNIST.")
    fakes = _rows(pair.fake)
    return scores.count_modes(pair.real.modes(fakes.features, fakes.logits))


TABLE = {
    "fid": Score((Value("fid{n}", "min", "log", of_all_reals=True),), "moments", _fid),
    "is": Score((Value("is{n}", "max"), Value("is{n}_std")), "logits", _inception_score),
    "kid": Score(
        (Value("kid{n}", "min"), Value("kid{n}_error"), Value("kid{n}_all", "min")), "features", _kid
    ),
    # Noise can have the highest precision, and early samples the highest density: nothing is judged by them.
    "precision_recall": Score(
        (Value("precision{n}_k3", "max"), Value("recall{n}_k3", "max")),
        "features",
        _precision_recall,
        judged=1,
    ),
    "density_coverage": Score(
        (Value("density{n}_k5", "max"), Value("coverage{n}_k5", "max")),
        "features",
        _density_coverage,
        judged=1,
    ),
    "fid_infinity": Score(
        (Value("fid_infinity{n}", "min", "log"),),
        "features",
        _fid_infinity,
        least=2 * scores.FID_INFINITY_LEAST,
    ),
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
FULL = "_full"  # StyleGAN's word for distances to all reals, where these are more than the samples
# What older records name: the spread of KID over subsets, which is no error, and its estimate of all samples.
FORMER = {"kid": (Value("kid{n}_std"), Value("kid{n}_full", "min"))}


def words_after_number() -> set[str]:
    """With which the part of a number's name behind the number of samples begins: `k3` of precision10k_k3."""
    values = [*chain.from_iterable(row.values for row in TABLE.values()), *chain(*FORMER.values())]
    after = (value.name.partition("{n}_")[2].partition("_")[0] for value in values)
    return {FULL.strip("_"), *filter(None, after)}


class Measured(NamedTuple):
    """What the name of a number says.

    Attributes:
        score: The key of its row of the table.
        suffix: The extractor's.
    """

    score: str
    value: Value
    suffix: str


def measured(name: str) -> Measured | None:
    """Of fid10k_digits the score fid, its value of that name and the suffix _digits; None of other names."""
    matches = []
    for score, row in TABLE.items():
        for value in (*row.values, *FORMER.get(score, ())):
            pattern = re.escape(value.name).replace(r"\{n\}", r"\d+k?") + "(_.*)?"
            if parsed := re.fullmatch(pattern, name):
                matches.append(Measured(score, value, parsed[1] or ""))
    # kid10k_full_digits is no kid10k of an extractor _full_digits.
    return max(matches, key=lambda match: len(match.value.name), default=None)
