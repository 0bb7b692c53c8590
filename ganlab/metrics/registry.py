"""Which scores there are: what each needs, which numbers it gives, and which direction is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from ganlab.errors import Refused
from ganlab.metrics import class_scores, kid, scores
from ganlab.metrics.cmmd import cmmd
from ganlab.metrics.copied import TrainingImages
from ganlab.metrics.lines import BlankAccuracy, Distinct, NgramJS, SelfBLEU, Valid
from ganlab.metrics.motion import Motion
from ganlab.metrics.observed import Observed, Pair, Reals, rows_of
from ganlab.metrics.pairs import L1, PSNR, SSIM
from ganlab.metrics.score import FeatureScore, Needs, Score, Value
from ganlab.metrics.statistics import frechet
from ganlab.metrics.style import Content, Style

Compute = Callable[[Pair], Sequence[float]]


class Row(FeatureScore):
    """A score of the table, whose numbers a function makes of two sides.

    Args:
        floor: What reals have, if it is not what the other split has.
    """

    def __init__(
        self,
        name: str,
        values: tuple[Value, ...],
        needs: Needs,
        compute: Compute,
        floor: Compute | None = None,
        *,
        judged: int = 0,
        least: int = 2,
        compares_classes: bool = False,
    ) -> None:
        self._name, self._compute, self._floor = name, compute, floor or compute
        self.values, self.needs, self.judged, self.least = values, needs, judged, least
        self.compares_classes = compares_classes

    @property
    def name(self) -> str:
        return self._name

    def compute(self, pair: Pair) -> Sequence[float]:
        return self._compute(pair)

    def floor(self, pair: Pair) -> Sequence[float]:
        return self._floor(pair)

    def parameters(self) -> dict[str, Any]:
        return {}


class OfSources(FeatureScore):
    """A score of the table, of what samples were made from in place of them: how far it was to begin with."""

    has_floor, of_sources = False, True

    def __init__(self, row: Score) -> None:
        self.row, self.needs, self.judged, self.least = row, row.needs, row.judged, row.least
        renamed = (value.name.replace("{n}", "{n}_source") for value in row.values)
        self.values = tuple(
            value._replace(name=name) for value, name in zip(row.values, renamed, strict=True)
        )

    @property
    def name(self) -> str:
        return f"{self.row.name}_source"

    def compute(self, pair: Pair) -> Sequence[float]:
        assert pair.real.sources
        return self.row.compute(Pair(pair.real, pair.real.sources))

    def parameters(self) -> dict[str, Any]:
        return {"of": "source"}


def _logits(side: Observed | Reals) -> Tensor:
    logits = rows_of(side).logits
    assert logits is not None
    return logits


def _fid(pair: Pair) -> Sequence[float]:
    return [frechet(pair.real.moments, pair.fake.moments, pair.real.factor)]


def _sfid(pair: Pair) -> Sequence[float]:
    assert pair.real.spatial is not None
    assert pair.fake.spatial is not None
    moments, of_real = pair.real.spatial
    return [frechet(moments, pair.fake.spatial, of_real)]


def _cmmd(pair: Pair) -> Sequence[float]:
    return [cmmd(*pair.features)]


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
    fakes = rows_of(pair.fake)
    return scores.count_modes(pair.real.modes(fakes.features, fakes.logits))


def _training(pair: Pair) -> TrainingImages:
    if pair.real.training is None:
        raise Refused("The score copied needs a data class, whose training images samples are compared with.")
    return pair.real.training


FID = Row("fid", (Value("fid{n}", "min", "log", of_all_reals=True),), "moments", _fid)
KID = Row(
    "kid",
    (Value("kid{n}", "min"), Value("kid{n}_error"), Value("kid{n}_all", "min")),
    "features",
    _kid,
)
ROWS: tuple[Score, ...] = (
    FID,
    Row("sfid", (Value("sfid{n}", "min", "log"),), "spatial", _sfid),
    Row("cmmd", (Value("cmmd{n}", "min", "log"),), "features", _cmmd),
    Row(
        "class_fid",
        (Value("class_fid{n}", "min", "log"), Value("class_fid{n}_worst", "min", "log")),
        "classes",
        class_scores.class_fid,
    ),
    Row(
        "class_agreement",
        (Value("class_agreement{n}", "max"),),
        "classes",
        class_scores.class_agreement,
        compares_classes=True,
    ),
    # A mean may hide a class of one picture: that class is what runs are judged by.
    Row(
        "class_variance",
        (Value("class_variance{n}", "max"), Value("class_variance{n}_least", "max")),
        "classes",
        class_scores.class_variance,
        judged=1,
    ),
    Row("is", (Value("is{n}", "max"), Value("is{n}_std")), "logits", _inception_score),
    KID,
    # Noise can have the highest precision, and early samples the highest density: nothing is judged by them.
    Row(
        "precision_recall",
        (Value("precision{n}_k3", "max"), Value("recall{n}_k3", "max")),
        "features",
        _precision_recall,
        judged=1,
    ),
    Row(
        "density_coverage",
        (Value("density{n}_k5", "max"), Value("coverage{n}_k5", "max")),
        "features",
        _density_coverage,
        judged=1,
    ),
    Row(
        "fid_infinity",
        (Value("fid_infinity{n}", "min", "log"),),
        "features",
        _fid_infinity,
        least=2 * scores.FID_INFINITY_LEAST,
    ),
    Row("classes", (Value("class_distance{n}", "min"),), "logits", _classes),
    Row(
        "copied",
        (Value("copied{n}", "min"),),
        "training",
        lambda pair: [_training(pair).copied(rows_of(pair.fake).features)],
        lambda pair: [_training(pair).floor()],
    ),
    Row(
        "modes",
        (
            Value("modes{n}", "max"),
            Value("full_modes{n}", "max"),
            Value("high_quality{n}", "max"),
            Value("mode_kl{n}", "min", "log"),
        ),
        "features",
        _modes,
    ),
    OfSources(FID),
    OfSources(KID),
    PSNR(),
    SSIM(),
    L1(),
    *(kind(of="source") for kind in (PSNR, SSIM, L1)),
    L1(of="cycle"),
    Style(),
    Content(),
    *(kind(within="hole") for kind in (PSNR, L1)),
    *(kind(within="hole", of="source") for kind in (PSNR, L1)),
    *(NgramJS(), SelfBLEU(), Distinct(), Valid(), BlankAccuracy()),
    Motion(),
)
TABLE = {row.name: row for row in ROWS}
