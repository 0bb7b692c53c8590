"""Scores of lines of text, as characters: n-grams lie within a line, and its padding is none of them.

Both sides of a comparison are as many lines: of the side that has more, some are taken by chance, always the
same. What is gathered of a side is how often it has each line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import exp, log, log2, nan
from typing import Any

import torch
from torch import Tensor

from ganlab import bounds
from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.media import Text
from ganlab.media.text import lines_of
from ganlab.metrics.observed import Pair
from ganlab.metrics.score import PairScore, RealBatch, SampleScore, Value
from ganlab.seeds import seed_for

ORDERS = (1, 2, 3, 4)  # of n-grams
NOTHING_IN_COMMON = 0.1  # n-grams, where there are none: method 1 of Chen & Cherry 2014, as in NLTK
Grams = Counter[str]


class OfLines(SampleScore):
    """A score of how often each line occurs."""

    medium = Text

    def count(self, samples: Tensor) -> Counter[str]:
        if not Text.holds(samples):
            raise Refused(
                f"The score {self.name} takes {Text.form}, not {samples.dtype} of\nshape "
                f"{tuple(samples.shape)}: leave it out (scores)."
            )
        return Counter(lines_of(samples))

    def parameters(self) -> dict[str, Any]:
        return {} if type(self).__module__ == __name__ else super().parameters()


def as_many(real: Counter[str], fake: Counter[str]) -> tuple[list[str], list[str]]:
    """Lines of both sides, as many of one as of the other."""
    count = min(real.total(), fake.total())
    return some_of(real, count), some_of(fake, count)


def some_of(lines: Counter[str], count: int) -> list[str]:
    """So many by chance, always the same; in the order of the alphabet."""
    every = sorted(lines.elements())
    if len(every) <= count:
        return every
    source = torch.Generator().manual_seed(seed_for("lines", len(every)))
    chosen = torch.randperm(len(every), generator=source)[:count].sort().values
    return [every[number] for number in chosen.tolist()]


def grams(lines: Iterable[str], order: int) -> Grams:
    """How often each n-gram of this order occurs in lines."""
    return Counter(line[at : at + order] for line in lines for at in range(len(line) - order + 1))


def jensen_shannon(one: Counter[str], other: Counter[str]) -> float:
    """Lin 1991, eq. 4.1: (KL(p ‖ m) + KL(q ‖ m)) / 2 with m = (p + q) / 2, in bits: from 0 to 1."""
    totals = one.total(), other.total()
    if not all(totals):
        return nan
    sum_ = 0.0
    for each in one.keys() | other.keys():
        p, q = one[each] / totals[0], other[each] / totals[1]
        sum_ += sum(share * log2(2 * share / (p + q)) for share in (p, q) if share)
    return sum_ / 2


class NgramJS(OfLines):
    """The Jensen-Shannon divergence of the n-grams of samples and reals, for n from 1 to 4.

    Gulrajani et al. 2017, arXiv:1704.00028, section 5.
    """

    values = tuple(Value(f"ngram_js{{n}}_{order}", "min", "log") for order in ORDERS)
    judged = len(ORDERS) - 1

    def compare(self, real: Counter[str], fake: Counter[str]) -> Sequence[float]:
        sides = as_many(real, fake)
        return [jensen_shannon(*(grams(side, order) for side in sides)) for order in ORDERS]


class Distinct(OfLines):
    """Distinct n-grams among all of the samples' own, for n from 1 to 4: Li et al. 2016, arXiv:1510.03055.

    The share falls with the number of lines: compare equally many.
    """

    values = tuple(Value(f"distinct{{n}}_{order}", "max") for order in ORDERS)
    judged = len(ORDERS) - 1

    def compare(self, real: Counter[str], fake: Counter[str]) -> Sequence[float]:
        counts = (grams(as_many(real, fake)[1], order) for order in ORDERS)
        return [len(each) / each.total() if each else nan for each in counts]


class SelfBLEU(OfLines):
    """The mean BLEU of each sample against all others: Zhu et al. 2018 (Texygen), arXiv:1802.01886.

    Of characters, with equal weights for n from 1 to `order`, smoothed as NLTK's method 1. Samples that
    repeat one another have a high one.
    """

    values = (Value("self_bleu{n}", "min"),)

    def __init__(self, order: int = 4) -> None:
        bounds.between(1, 8, self, order=order)
        self.order, self.suffix = order, f"_{order}" * (order != 4)

    def parameters(self) -> dict[str, Any]:
        return super().parameters() | {"order": self.order}

    def compare(self, real: Counter[str], fake: Counter[str]) -> Sequence[float]:
        return [self_bleu(as_many(real, fake)[1], self.order)]


def self_bleu(lines: Sequence[str], order: int) -> float:
    """Papineni et al. 2002, section 2.3, of each line against all others; it takes time as they are many."""
    counted = Counter(lines)
    tables = [_most(counted, n) for n in range(1, order + 1)]
    lengths = Counter(map(len, lines))
    total = sum(count * _bleu(line, count, tables, lengths) for line, count in counted.items())
    return total / len(lines)


Most = dict[str, tuple[int, int, str]]  # the most and second most of a line's, and which line has the most


def _most(lines: Counter[str], order: int) -> Most:
    """How often each n-gram is in the line that has most of it, and in the one that has most but for that."""
    most: Most = {}
    for line in lines:
        for gram, count in grams([line], order).items():
            first, second, owner = most.get(gram, (0, 0, ""))
            most[gram] = (count, first, line) if count > first else (first, max(second, count), owner)
    return most


def _bleu(line: str, copies: int, tables: Sequence[Most], lengths: Counter[int]) -> float:
    if not line:
        return 0.0
    logs = 0.0
    for order, most in enumerate(tables, 1):
        own = grams([line], order)
        common = 0
        for gram, count in own.items():
            first, second, owner = most[gram]
            common += min(count, second if owner == line and copies == 1 else first)
        if order == 1 and not common:
            return 0.0
        logs += log((common or NOTHING_IN_COMMON) / max(1, own.total()))
    others = [length for length, count in lengths.items() if count - (length == len(line)) > 0]
    nearest = min(others, key=lambda length: (abs(length - len(line)), length))
    brevity = 1.0 if len(line) > nearest else exp(1 - nearest / len(line))
    return brevity * exp(logs / len(tables))


class Valid(OfLines):
    """The share of samples that follow the rules of the data's language, where these are known."""

    values = (Value("valid{n}", "max"),)

    def refuse_unfit(self, data: StreamData) -> None:
        data.valid("")

    def compute(self, pair: Pair) -> Sequence[float]:
        valid = pair.real.valid
        if valid is None:
            raise Refused("The score valid needs a data class that knows its language, such as Lines.")
        lines: Counter[str] = pair.fake.gathered[self.name]
        return [sum(count for line, count in lines.items() if valid(line)) / lines.total()]

    def compare(self, real: Counter[str], fake: Counter[str]) -> Sequence[float]:
        raise NotImplementedError  # `compute` asks the data


class BlankAccuracy(PairScore):
    """The share of blanks that are filled in by the very character that was taken out, of `Blanked` data."""

    values = (Value("blank_accuracy{n}", "max"),)
    medium = Text
    undefined = "not every line has a blank"

    def compare(self, made: Tensor, real: RealBatch) -> Tensor:
        if len(real) < 2 or not (Text.holds(made) and Text.holds(real[1])):
            raise Refused(
                "The score blank_accuracy compares lines with those that their blanks were made of: it is\n"
                "for Blanked data. Leave it out (scores)."
            )
        text, blanked = real[:2]
        blanks = blanked != text
        return ((made == text) & blanks).sum(1).double() / blanks.sum(1)

    def parameters(self) -> dict[str, Any]:
        return {}
