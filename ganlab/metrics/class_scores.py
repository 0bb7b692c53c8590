"""Scores of samples whose classes are known: how they differ from the reals of their own class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.metrics.observed import Classes, Observed, Pair, Reals, rows_of
from ganlab.metrics.statistics import BLOCK, class_frechets, class_traces
from ganlab.system.untrusted import readable

TELLING = 0.2  # Cohen's kappa, from which on logits are those of the classes: 0 by chance, 1 without errors


def class_fid(pair: Pair) -> Sequence[float]:
    real, fake = matched(pair.real.classes, pair.fake.classes)
    features, of_fakes = pair.features
    distances = class_frechets(features, real.labels, of_fakes, fake.labels, len(real.names))
    # Python's max may pass over what is no number.
    return [sum(distances) / len(distances), float(torch.tensor(distances, dtype=torch.float64).amax())]


def class_agreement(pair: Pair) -> Sequence[float]:
    """The share of samples whose largest logit is that of their class."""
    real, fake = matched(pair.real.classes, pair.fake.classes)
    return [agreement(_logits(pair.fake), fake._replace(numbers=real.numbers))]


def class_variance(pair: Pair) -> Sequence[float]:
    """What samples have of the reals' variance within a class: the classes' mean, and the least; 1 at most.

    More than reals have is no merit: samples that ignore their class vary most.
    """
    real, fake = matched(pair.real.classes, pair.fake.classes)
    features, of_fakes = pair.features
    of_real = class_traces(features, real.labels, len(real.names))
    ratios = (class_traces(of_fakes, fake.labels, len(real.names)) / of_real).clamp(max=1)
    return [float(ratios.mean()), float(ratios.amin())]


def agreement(logits: Tensor, classes: Classes) -> float:
    return float((logits.argmax(1) == classes.logits).double().mean())


def classes_of(data: StreamData, items: Any, indices: Tensor, score: str) -> Classes:
    """The classes of a split's items of these numbers, for a score."""
    names = data.condition.class_names if data.condition else ()
    columns = [column for part in indices.split(BLOCK) for column in items[part][1:2]] if names else []
    labels = torch.cat(columns).cpu() if columns else torch.empty(0, 1)
    if labels.ndim > 1 or not {*labels.tolist()} <= {*range(len(names))}:
        raise Refused(f"The score {score} needs labelled data, and {type(data).__name__} has no classes.")
    return Classes.of(names, labels.long())


def refuse_other_logits(extractor: str, logits: Tensor, classes: Classes) -> None:
    """Refuse logits of reals that are not those of their classes: too few, or right as often as by chance."""
    if logits.shape[1] < (needed := max(classes.numbers) + 1):
        raise Refused(
            f"The score class_agreement needs a classifier of the data's classes, with {needed} logits, and\n"
            f"{extractor} gives {logits.shape[1]}. Take one of these data, or leave it out (scores)."
        )
    shares = (numbers.bincount(minlength=logits.shape[1]) for numbers in (logits.argmax(1), classes.logits))
    chance = float(torch.stack([each / len(logits) for each in shares]).prod(0).sum())
    right = agreement(logits, classes)
    if right - chance < TELLING * (1 - chance):
        raise Refused(
            f"The score class_agreement needs a classifier of the data's classes, and {extractor} is right\n"
            f"for {right:.0%} of the reals, by chance for {chance:.0%}. Take one of these data, or leave it"
            " out (scores)."
        )


def matched(real: Classes | None, fake: Classes | None) -> tuple[Classes, Classes]:
    """Both sides' classes, whose names have to be the same."""
    if real is None or fake is None:
        raise no_classes("the fakes" if real else "the reals")
    if real.names != fake.names:
        raise Refused(
            f"The fakes are of the classes {_few(fake.names)} and the reals of {_few(real.names)}:\n"
            "scores within classes need the same names on both sides."
        )
    return real, fake


def no_classes(who: str) -> Refused:
    return Refused(
        f"Scores within classes need the class of each sample, and {who} tell none: take a game that is\n"
        "told one label each (model.conditional), or give pictures in a folder for each class; and such\n"
        "pictures or labelled data as --reference of ganlab evaluate."
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(readable, names[:4])) + (f", … ({len(names):,})" if len(names) > 4 else "")


def _logits(side: Observed | Reals) -> Tensor:
    logits = rows_of(side).logits
    assert logits is not None
    return logits
