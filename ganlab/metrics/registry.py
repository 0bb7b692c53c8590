"""Which scores there are: what each needs, which numbers it gives, and which direction is better."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from torch import Tensor

from ganlab.data.stream import ModeIndices
from ganlab.errors import Refused
from ganlab.metrics import scores
from ganlab.metrics.contract import digest
from ganlab.metrics.copied import TrainingImages
from ganlab.metrics.statistics import FeatureRows, Gaussian, factor, frechet

Modes = Callable[[Tensor, Tensor | None], ModeIndices]
Better = Literal["min", "max"]
Scale = Literal["log", "raw"]


class Observed(NamedTuple):
    """What one pass computes: the moments of all samples, and the rows of those whose features are kept."""

    moments: Gaussian
    rows: FeatureRows | None


@dataclass
class Reals:
    """What fakes are measured against.

    Attributes:
        factor: F with F Fᵀ = the covariance, by which each Fréchet distance takes half its time.
        modes: Of data that have modes, which of them each sample belongs to.
        training: What copies are found by, on the first process, where a score asks for it.
    """

    moments: Gaussian
    rows: FeatureRows | None
    factor: Tensor
    modes: Modes | None = None
    training: TrainingImages | None = None

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
    """

    name: str
    better: Better | None = None
    scale: Scale = "raw"


class Score(NamedTuple):
    """A row of the table: which numbers it gives, and what it needs.

    Attributes:
        values: The numbers that it gives; the first is what runs and checkpoints are judged by.
        needs: The moments alone, or the features of each sample, or their logits as well, or the features of
            samples and of the training images.
        floor: What reals have, if it is not what the other split has.
    """

    values: tuple[Value, ...]
    needs: Literal["moments", "features", "logits", "training"]
    compute: Callable[[Pair], Sequence[float]]
    floor: Callable[[Pair], Sequence[float]] | None = None


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
    return [*scores.kid_subsets(*pair.features, size=size), scores.kid_full(*pair.features)]


def _precision_recall(pair: Pair) -> Sequence[float]:
    return pair.overlap.precision, pair.overlap.recall


def _density_coverage(pair: Pair) -> Sequence[float]:
    return pair.overlap.density, pair.overlap.coverage


def _fid_infinity(pair: Pair) -> Sequence[float]:
    _, fakes = pair.features
    least = min(5000, len(fakes) // 2)
    return [scores.fid_infinity(pair.real.moments, fakes, pair.real.factor, least=least)]


def _classes(pair: Pair) -> Sequence[float]:
    classes = _logits(pair.real).shape[1]
    counts = (scores.class_histogram(_logits(side).argmax(1), classes) for side in (pair.fake, pair.real))
    return [scores.total_variation(*counts)]


def _modes(pair: Pair) -> Sequence[float]:
    if pair.real.modes is None:
        raise Refused("The score modes needs data whose modes are known: Gaussians or StackedMNIST.")
    fakes = _rows(pair.fake)
    return scores.count_modes(pair.real.modes(fakes.features, fakes.logits))


def _training(pair: Pair) -> TrainingImages:
    if pair.real.training is None:
        raise Refused("The score copied needs a data class, whose training images samples are compared with.")
    return pair.real.training


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
    "copied": Score(
        (Value("copied{n}", "min"),),
        "training",
        lambda pair: [_training(pair).copied(_rows(pair.fake).features)],
        lambda pair: [_training(pair).floor()],
    ),
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
        for value in row.values:
            pattern = re.escape(value.name).replace(r"\{n\}", r"\d+k?") + "(_.*)?"
            if parsed := re.fullmatch(pattern, name):
                matches.append(Measured(score, value, parsed[1] or ""))
    # kid10k_full_digits is no kid10k of an extractor _full_digits.
    return max(matches, key=lambda match: len(match.value.name), default=None)


def hash_of(contract: Mapping[str, Any], name: str) -> Any:
    """The hash of one score under a contract as it was written, with the parameters of that score alone."""
    parameters, known = contract.get("parameters"), measured(name)
    own = parameters.get(known.score) if isinstance(parameters, dict) and known else None
    return digest([contract.get("hash"), own]) if own else contract.get("hash")
