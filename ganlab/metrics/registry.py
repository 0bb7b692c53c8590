"""Which scores there are: what each needs, which numbers it gives, and which direction is better."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Literal, NamedTuple

from torch import Tensor

from ganlab.errors import Refused
from ganlab.metrics import kid, scores
from ganlab.metrics.cmmd import cmmd
from ganlab.metrics.contract import digest
from ganlab.metrics.copied import TrainingImages
from ganlab.metrics.observed import Classes, Observed, Pair, Reals, rows_of
from ganlab.metrics.statistics import class_frechets, frechet
from ganlab.system.untrusted import readable

Better = Literal["min", "max"]
Scale = Literal["log", "raw"]


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
        needs: The moments alone, or also those of spatial features; or the features of each sample, and with
            them its logits, its class, or the features of the training images.
        floor: What reals have, if it is not what the other split has.
        judged: Which of the numbers runs and checkpoints are judged by.
        least: How many samples it needs.
    """

    values: tuple[Value, ...]
    needs: Literal["moments", "spatial", "features", "logits", "classes", "training"]
    compute: Callable[[Pair], Sequence[float]]
    floor: Callable[[Pair], Sequence[float]] | None = None
    judged: int = 0
    least: int = 2


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


TABLE = {
    "fid": Score((Value("fid{n}", "min", "log", of_all_reals=True),), "moments", _fid),
    "sfid": Score((Value("sfid{n}", "min", "log"),), "spatial", _sfid),
    "cmmd": Score((Value("cmmd{n}", "min", "log"),), "features", _cmmd),
    "class_fid": Score(
        (Value("class_fid{n}", "min", "log"), Value("class_fid{n}_worst", "min", "log")),
        "classes",
        _class_fid,
    ),
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
    "copied": Score(
        (Value("copied{n}", "min"),),
        "training",
        lambda pair: [_training(pair).copied(rows_of(pair.fake).features)],
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


def hash_of(contract: Mapping[str, Any], name: str) -> Any:
    """The hash of one score under a contract as it was written, with the parameters of that score alone."""
    parameters, known = contract.get("parameters"), measured(name)
    own = parameters.get(known.score) if isinstance(parameters, dict) and known else None
    return digest([contract.get("hash"), own]) if own else contract.get("hash")
