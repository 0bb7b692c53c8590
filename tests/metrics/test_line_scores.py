"""Scores of lines, by numbers computed by hand."""

import runpy
from collections import Counter
from math import exp, log2
from pathlib import Path

import pytest
import torch

from ganlab.data import Gaussians, Lines
from ganlab.errors import Refused
from ganlab.media.text import tokens_of
from ganlab.metrics.extractors.extractor import NoFeatures
from ganlab.metrics.lines import (
    BlankAccuracy,
    Distinct,
    NgramJS,
    SelfBLEU,
    Valid,
    as_many,
    jensen_shannon,
    self_bleu,
)
from ganlab.metrics.observed import Pair, Reals
from ganlab.metrics.scorer import Scorer

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "text_baselines.py"))
# p = (1, 0), q = (1/2, 1/2): m = (3/4, 1/4).
HALF_SHARED = (log2(4 / 3) + 0.5 * log2(2 / 3) + 0.5 * log2(2)) / 2


def test_the_divergence_of_shares_is_in_bits() -> None:
    assert jensen_shannon(Counter("aab"), Counter("aabaab")) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(Counter("ab"), Counter("cd")) == pytest.approx(1)
    assert jensen_shannon(Counter("aa"), Counter("ab")) == pytest.approx(HALF_SHARED)


def test_ngrams_lie_within_lines_and_hold_no_padding() -> None:
    real, fake = Counter(["ab", "ab"]), Counter(["ba", "ba"])
    assert NgramJS().compare(real, fake)[:2] == pytest.approx([0, 1])
    short = NgramJS().compare(Counter({"aa": 2}), Counter({"aa": 1, "ab": 1}))
    assert short[1] == pytest.approx(HALF_SHARED)
    assert short[2] != short[2], "no line has three characters"
    assert NgramJS().count(tokens_of(["ab", "a"], 9)) == Counter(["ab", "a"])


def test_both_sides_are_as_many_lines_always_the_same() -> None:
    many, few = Counter(map(str, range(1000))), Counter({"0": 2, "1": 1})
    real, fake = as_many(many, few)
    assert (len(real), fake) == (3, ["0", "0", "1"])
    assert as_many(many, few)[0] == real
    assert {*real} <= {*many}


def test_distinct_ngrams_are_a_share_of_all() -> None:
    shares = Distinct().compare(Counter({"x": 2}), Counter({"aba": 2}))
    assert shares == pytest.approx([2 / 6, 2 / 4, 1 / 2, float("nan")], nan_ok=True)


def test_self_bleu_of_lines_against_the_others() -> None:
    assert self_bleu(["abcd", "abcd"], 4) == pytest.approx(1)
    assert self_bleu(["abcd", "efgh"], 4) == 0
    # abcde is whole in the others; abcdf has 4 of 5 and 3 of 4, and abcdeg 5 of 6 and 4 of 5.
    by_hand = [1, (4 / 5 * 3 / 4) ** 0.5, (5 / 6 * 4 / 5) ** 0.5]
    assert self_bleu(["abcde", "abcdf", "abcdeg"], 2) == pytest.approx(sum(by_hand) / 3)


def test_self_bleu_clips_counts_is_brief_and_smooths() -> None:
    # aa has one a in the other, and no aa: 1/2 and .1/1; a has all, and its brevity is exp(1 - 2/1).
    assert self_bleu(["aa", "a"], 1) == pytest.approx((1 / 2 + exp(-1)) / 2)
    assert self_bleu(["aa", "a"], 2) == pytest.approx(((0.5 * 0.1) ** 0.5 + exp(-1) * 0.1**0.5) / 2)


def test_accuracy_is_of_blanks_alone() -> None:
    text, blanked = tokens_of(["abcd", "efgh"]), tokens_of(["a__d", "_fgh"])
    made = tokens_of(["xbxx", "efgx"])
    assert BlankAccuracy().compare(made, (text, blanked)).tolist() == [0.5, 1]
    with pytest.raises(Refused, match="Blanked"):
        BlankAccuracy().compare(made, (text, torch.zeros(2)))


def test_valid_lines_are_counted_by_the_rules_of_the_data() -> None:
    data = Lines(grammar="sums")
    scorer = Scorer(NoFeatures(), (Valid(),), 4)
    lines = tokens_of(["1+1=2", "1+1=3", "", "9-8=1"])
    fake = scorer.observe([(torch.arange(4), lines)], 4)
    real = Reals.of(fake)
    real.valid = data.valid
    assert Valid().compute(Pair(real, fake)) == [0.5]
    with pytest.raises(Refused, match="knows its language"):
        Valid().compute(Pair(Reals.of(fake), fake))
    with pytest.raises(Refused, match="Nobody knows"):
        Valid().refuse_unfit(Gaussians())


def test_pictures_are_no_lines() -> None:
    with pytest.raises(Refused, match="code points"):
        NgramJS().count(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))


def test_another_order_is_another_score() -> None:
    assert [SelfBLEU(order).names("10k", "") for order in (4, 5)] == [["self_bleu10k"], ["self_bleu10k_5"]]
    assert SelfBLEU(5).parameters() != SelfBLEU().parameters()


def test_an_ngram_model_counts_what_follows() -> None:
    model = SCRIPT["NgramModel"](["ab", "ab", "ac"], 2, 0.0, "abc")
    assert [model.share("xa", symbol) for symbol in "abc"] == pytest.approx([0, 2 / 3, 1 / 3])
    assert model.share("ab", "\0") == 1
    assert model.share("", "a") == 1
    assert SCRIPT["NgramModel"](["ab", "ab", "ac"], 2, 1.0, "abc").share("a", "a") == pytest.approx(1 / 7)
    lines = {model.sample(5, torch.Generator().manual_seed(seed)) for seed in range(30)}
    assert lines == {"ab", "ac"}


def test_an_ngram_model_looks_at_both_sides_of_a_blank() -> None:
    model = SCRIPT["NgramModel"](["xax", "yby", "xbz"], 2, 0.01, "abxyz")
    assert model.filled("_ax", "_") == "xax"
    assert model.filled("y__", "_") == "ybz", "z is always the last, y half of the times"
