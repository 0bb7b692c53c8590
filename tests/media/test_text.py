"""Text: characters are code points where they are stored, and a channel each where they are played."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ganlab.data import Lines
from ganlab.errors import Refused
from ganlab.media import Text
from ganlab.media.text import lines_of, split_lines, tokens_of

TEXT = Text("ba中", 4)


def test_a_character_is_a_one_in_its_channel_and_padding_in_the_first() -> None:
    played = TEXT.played(tokens_of(["a中"], 4))
    assert played.tolist() == [[[0, 0, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]]
    assert TEXT.played(tokens_of(["a"], 4), torch.float64).dtype == torch.float64


def test_stored_tokens_are_code_points() -> None:
    assert tokens_of(["中b", "a"]).tolist() == [[0x4E2D, 98], [97, 0]]
    assert lines_of(torch.tensor([[0x1F600, 97, 0, 98]], dtype=torch.int32)) == ["😀a"]


def test_what_is_made_is_stored_as_its_likeliest_characters_up_to_the_first_padding() -> None:
    shares = torch.tensor([[0.1, 0.2, 0.6, 0.1], [0.0, 0.4, 0.3, 0.3], [0.9, 0.1, 0.0, 0.0], [0, 1.0, 0, 0]])
    assert lines_of(TEXT.stored(shares.T[None])) == ["ab"]


def test_values_that_are_no_numbers_are_no_text() -> None:
    with pytest.raises(Refused, match="no numbers"):
        TEXT.stored(torch.full((1, *TEXT.shape), torch.nan))


def test_lines_are_written_to_one_file_and_each_to_its_own(tmp_path: Path) -> None:
    lines = ["b中ab", "", "a b"]
    TEXT.write_all(tmp_path / "all.txt", [tokens_of(lines[:2], 4), tokens_of(lines[2:], 4)])
    assert (tmp_path / "all.txt").read_text("utf-8") == "b中ab\n\na b\n"
    assert lines_of(Text.read_all((tmp_path / "all.txt").read_bytes())) == lines
    TEXT.write(tmp_path / "one.txt", tokens_of(lines[:1], 4)[0])
    assert Text.read((tmp_path / "one.txt").read_bytes()).tolist() == tokens_of(lines[:1])[0].tolist()


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\r\nb", ["a", "b"]),
        ("\ufeff中\n".encode(), ["中"]),
        ("a\u2028b\x0bc\n".encode(), ["a\u2028b\x0bc"]),
    ],
)
def test_only_ends_of_lines_end_lines(content: bytes, lines: list[str]) -> None:
    assert split_lines(content) == lines


@pytest.mark.parametrize("alphabet", ["", "aba", "a\n", "a\0"])
def test_an_alphabet_is_of_different_characters_that_stand_in_lines(alphabet: str) -> None:
    with pytest.raises(Refused, match="different characters"):
        Text(alphabet, 3)


def test_all_sheets_of_as_many_lines_have_one_size() -> None:
    empty, full = (TEXT.sheet(tokens_of([line] * 12, 4)) for line in ("", "ba中b"))
    assert empty.size == full.size
    assert np.array(empty).min() == 255
    assert np.array(full).min() < 64
    assert TEXT.sheet(tokens_of(["a"] * 12, 4), columns=12).height < empty.height
    told = TEXT.captioned(tokens_of(["a"] * 12, 4), [str(number) for number in range(12)])
    assert told.height > empty.height


def test_lines_of_an_alphabet_are_drawn_each_in_its_place() -> None:
    sheet = np.array(TEXT.sheet(tokens_of(["a", "b"], 4), columns=1))
    one, other = (np.array(TEXT.sheet(tokens_of([line], 4))) for line in "ab")
    assert np.array_equal(sheet[: len(one)], one)
    assert np.array_equal(sheet[-len(other) :], other)
    assert not np.array_equal(one, other)


def test_data_of_text_tell_its_alphabet() -> None:
    data = Lines(grammar="sums")
    assert data.alphabet == "+-0123456789="
    assert data.shape == (14, 9)
    assert isinstance(data.media[0], Text)
