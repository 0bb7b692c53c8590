"""Which scores there are: what each needs, which numbers it gives, and which direction is better."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, get_args

from torch import Tensor

from ganlab.errors import Refused
from ganlab.metrics import kid, scores
from ganlab.metrics.cmmd import cmmd
from ganlab.metrics.contract import digest
from ganlab.metrics.copied import TrainingImages
from ganlab.metrics.observed import Classes, Observed, Pair, Reals, rows_of
from ganlab.metrics.pairs import L1, PSNR, SSIM
from ganlab.metrics.score import Better, FeatureScore, Needs, Numbers, Scale, Score, Value
from ganlab.metrics.statistics import class_frechets, frechet
from ganlab.system.untrusted import below, readable, whole_number

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
    ) -> None:
        self._name, self._compute, self._floor = name, compute, floor or compute
        self.values, self.needs, self.judged, self.least = values, needs, judged, least

    @property
    def name(self) -> str:
        return self._name

    def compute(self, pair: Pair) -> Sequence[float]:
        return self._compute(pair)

    def floor(self, pair: Pair) -> Sequence[float]:
        return self._floor(pair)

    def parameters(self) -> dict[str, Any]:
        return {}


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


def _class_fid(pair: Pair) -> Sequence[float]:
    real, fake = matched(pair.real.classes, pair.fake.classes)
    features, of_fakes = pair.features
    distances = class_frechets(features, real.labels, of_fakes, fake.labels, len(real.names))
    return [sum(distances) / len(distances), max(distances)]


def matched(real: Classes | None, fake: Classes | None) -> tuple[Classes, Classes]:
    """Both sides' classes, whose names have to be the same."""
    if real is None or fake is None:
        raise no_classes("the fakes" if real else "the reals")
    if real.names != fake.names:
        raise Refused(
            f"The fakes are of the classes {_few(fake.names)} and the reals of {_few(real.names)}:\n"
            "class_fid needs the same names on both sides."
        )
    return real, fake


def no_classes(who: str) -> Refused:
    return Refused(
        f"The score class_fid needs the class of each sample, and {who} tell none: give pictures in\n"
        "a folder for each class, and others so, or labelled data, as --reference of ganlab evaluate."
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(readable, names[:4])) + (f", … ({len(names):,})" if len(names) > 4 else "")


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


ROWS: tuple[Score, ...] = (
    Row("fid", (Value("fid{n}", "min", "log", of_all_reals=True),), "moments", _fid),
    Row("sfid", (Value("sfid{n}", "min", "log"),), "spatial", _sfid),
    Row("cmmd", (Value("cmmd{n}", "min", "log"),), "features", _cmmd),
    Row(
        "class_fid",
        (Value("class_fid{n}", "min", "log"), Value("class_fid{n}_worst", "min", "log")),
        "classes",
        _class_fid,
    ),
    Row("is", (Value("is{n}", "max"), Value("is{n}_std")), "logits", _inception_score),
    Row(
        "kid",
        (Value("kid{n}", "min"), Value("kid{n}_error"), Value("kid{n}_all", "min")),
        "features",
        _kid,
    ),
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
    PSNR(),
    SSIM(),
    L1(),
)
TABLE = {row.name: row for row in ROWS}
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
        score: The key of its row of the table, or the name of a score of a user's own.
        suffix: The extractor's, or that of its arguments.
    """

    score: str
    value: Value
    suffix: str


def measured(name: str, contract: Mapping[str, Any] | None = None) -> Measured | None:
    """Of fid10k_digits the score fid, its value of that name and the suffix _digits; None of other names.

    Args:
        contract: What the number was measured under, which tells of scores that the table does not know.
    """
    rows = {score: (*row.values, *FORMER.get(score, ())) for score, row in TABLE.items()}
    own = {score: numbers.values for score, numbers in _told_numbers(contract).items()}
    return _measured(name, rows) or _measured(name, own)


def _measured(name: str, rows: Mapping[str, Sequence[Value]]) -> Measured | None:
    matches = []
    for score, values in rows.items():
        for value in values:
            pattern = re.escape(value.name).replace(r"\{n\}", r"\d+k?") + "(_.*)?"
            if parsed := re.fullmatch(pattern, name):
                matches.append(Measured(score, value, parsed[1] or ""))
    # kid10k_full_digits is no kid10k of an extractor _full_digits.
    return max(matches, key=lambda match: len(match.value.name), default=None)


def numbers_of_score(score: str, contract: Mapping[str, Any] | None = None) -> Numbers:
    """What a `Measured` score gives, by the table, or as the contract tells it."""
    return TABLE[score].numbers if score in TABLE else _told_numbers(contract)[score]


def _told_numbers(contract: Mapping[str, Any] | None) -> dict[str, Numbers]:
    """Of each score of a user's own its numbers, as they were written; what is garbled is left out."""
    known = {score: _numbers(own) for score, own in _parameters(contract).items()}
    return {score: numbers for score, numbers in known.items() if numbers}


def _numbers(own: Any) -> Numbers | None:
    listed, judged = below(own, "values"), whole_number(below(own, "judged"))
    values = [_value(each) for each in listed] if isinstance(listed, list) else []
    known = tuple(value for value in values if value)
    if judged is None or len(known) != len(values) or judged >= len(known):
        return None
    return Numbers(known, judged)


def _value(plain: Any) -> Value | None:
    if not (isinstance(plain, list) and len(plain) == 3 and isinstance(plain[0], str)):
        return None
    name, better, scale = plain
    fits = better in (*get_args(Better), None) and scale in get_args(Scale) and name.count("{n}") == 1
    return Value(name, better, scale) if fits else None


def _parameters(contract: Mapping[str, Any] | None) -> dict[str, Any]:
    parameters = contract.get("parameters") if contract else None
    return parameters if isinstance(parameters, dict) else {}


def hash_of(contract: Mapping[str, Any], name: str) -> Any:
    """The hash of one score under a contract as it was written, with the parameters of that score alone."""
    parameters, known = _parameters(contract), measured(name, contract)
    # Those of psnr100_y_crop4 are its own, and those of kid10k_digits are kid's.
    names = (known.score + known.suffix, known.score) if known else ()
    own = next((parameters[each] for each in names if parameters.get(each)), None)
    return digest([contract.get("hash"), own]) if own else contract.get("hash")
