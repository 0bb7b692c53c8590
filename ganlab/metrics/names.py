"""What the name of a number says: its score, and which direction is better."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, get_args

from ganlab.metrics.contract import digest
from ganlab.metrics.registry import TABLE
from ganlab.metrics.score import Better, Numbers, Scale, Value
from ganlab.system.untrusted import below, whole_number

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
    own = own_parameters(contract, name)
    return digest([contract.get("hash"), *own.values()]) if own else contract.get("hash")


def own_parameters(contract: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the score of that number alone depends on, by the score; empty where that is nothing."""
    parameters, known = _parameters(contract), measured(name, contract)
    # Those of psnr100_y_crop4 are its own, and those of kid10k_digits are kid's.
    scores = (known.score + known.suffix, known.score) if known else ()
    return next(({score: parameters[score]} for score in scores if parameters.get(score)), {})
