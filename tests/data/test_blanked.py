"""Lines beside themselves with blanks: how many there are and where, and that held-out ones stay the same."""

from typing import Any

import pytest
import torch

from ganlab.data import Blanked, Digits, Lines, Masked
from ganlab.data.degradations import DrawsOfItems
from ganlab.data.sets.blanked import Blanking
from ganlab.errors import Refused
from ganlab.game.draws import Draws
from ganlab.media import Text
from ganlab.media.text import lines_of, tokens_of

FIRST = torch.arange(20)


def blanked(**more: Any) -> Blanked:
    return Blanked(**{"of": Lines(grammar="sums"), "share": 0.4, **more})


def held_out(data: Blanked) -> tuple[list[str], list[str]]:
    assert data.splits.held_out
    text, left = data.splits.held_out[FIRST]
    return lines_of(text), lines_of(left)


SHARES = [(0.5, "abcabcab", 4), (0.3, "abcabcabca", 3), (0.01, "ab", 1), (1, "abc", 3)]


@pytest.mark.parametrize(("share", "line", "blanks"), SHARES)
def test_a_share_of_the_characters_and_nothing_else_is_taken_out(
    share: float, line: str, blanks: int
) -> None:
    text = Text("abc", 12)
    draws = DrawsOfItems(0, "held_out", torch.arange(200))
    left = Blanking(text, share, "?").stored(text.played(tokens_of([line] * 200, 12)), draws)
    lines = lines_of(left)
    assert {each.count("?") for each in lines} == {blanks}
    assert all(each in (character, "?") for one in lines for each, character in zip(one, line, strict=True))
    places = [sum(one[place] == "?" for one in lines) for place in range(len(line))]
    assert min(places) > 0.5 * 200 * blanks / len(line), "anywhere"


def test_held_out_blanks_follow_from_the_draw_and_not_from_the_seed() -> None:
    expected = held_out(blanked(seed=0))
    assert held_out(blanked(seed=1)) == expected
    text, other = held_out(blanked(draw=1))
    assert text == expected[0]
    assert other != expected[1]
    prints = [blanked(**more).fingerprint_of("held_out") for more in ({}, {"draw": 1}, {"share": 0.2})]
    assert len({*prints}) == 3


def test_training_has_other_blanks_in_each_turn() -> None:
    data = blanked()
    assert data.completion is not None
    texts = data.played(data.splits.train[FIRST][:1])
    first, again, other = (
        data.completion(texts, Draws(seed, len(FIRST), device=torch.device("cpu"), dtype=torch.float32))[1]
        for seed in (0, 0, 1)
    )
    assert first.shape == (20, *data.media[1].shape)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_its_lines_are_valid_where_those_of_its_set_are() -> None:
    assert blanked().valid("1+1=2")
    assert blanked().alphabet == Lines(grammar="sums").alphabet


def test_what_has_no_blanks_is_refused() -> None:
    with pytest.raises(Refused, match="set of lines of text"):
        Blanked(of=Digits())
    with pytest.raises(Refused, match="set of pictures"):
        Masked(of=Lines())
    for blank in ("+", "", "__"):
        with pytest.raises(Refused, match="one character that is not in"):
            blanked(blank=blank)
    with pytest.raises(Refused, match="share"):
        blanked(share=0.0)
