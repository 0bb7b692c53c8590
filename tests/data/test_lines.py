"""Lines of anybody's files, whatever their script, and of the languages that need none."""

import zipfile
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from ganlab.data import Lines
from ganlab.data.grammars import Dates, Grammar, Sums
from ganlab.errors import Refused
from ganlab.media.text import lines_of

POEM = "人生得意须尽欢，\n\n莫使金樽空对月。\n"


def files(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def texts(items: Any) -> list[str]:
    return lines_of(items[torch.arange(len(items))][0])


def refusal(**arguments: Any) -> str:
    with pytest.raises(Refused) as refused:
        Lines(**arguments).setup("fit")
    assert 1 <= len(str(refused.value).splitlines()) <= 3
    return str(refused.value)


def test_characters_of_any_script_are_counted_and_not_bytes(tmp_path: Path) -> None:
    data = Lines(root=str(files(tmp_path, poem=POEM) / "poem.txt"), held_out=0.0)
    assert data.shape == (1 + 16, 8)
    assert data.alphabet == "".join(sorted({*POEM} - {"\n"}))
    assert texts(data.splits.train) == POEM.split()
    assert data.splits.held_out is None


def test_equal_lines_are_on_one_side_wherever_they_stand(tmp_path: Path) -> None:
    lines = [str(number) for number in range(200)]
    there = files(tmp_path, one="\n".join(lines * 2), other="\n".join(reversed(lines)))
    one, other = (Lines(root=str(there / f"{name}.txt"), held_out=0.25) for name in ("one", "other"))
    train, held_out = ({*texts(part)} for part in one.splits)
    assert train | held_out == {*lines}
    assert not train & held_out
    assert 30 <= len(held_out) <= 70
    assert {*texts(other.splits.held_out)} == held_out


def test_a_file_or_a_folder_is_a_class_where_that_is_asked_for(tmp_path: Path) -> None:
    flat = Lines(root=str(files(tmp_path / "flat", good="a\nb", bad="c")), labelled=True, held_out=0)
    assert flat.class_names == ("bad", "good")
    assert flat.label_counts == [1, 2]
    deep = files(tmp_path / "deep", x__1="a", x__2="b\nc", y__1="d")
    assert Lines(root=str(deep), labelled=True, held_out=0).label_counts == [3, 1]
    assert Lines(root=str(deep), held_out=0).classes is None
    assert "a file or a folder for each class" in refusal(root=str(deep / "y"), labelled=True, held_out=0)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_files_and_folders_named_for_splits_are_splits(tmp_path: Path, packed: bool) -> None:
    root = files(tmp_path / "set", train__good="a\nb", train__bad="c", test__good="b", test__bad="a")
    if packed:
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for path in root.rglob("*.txt"):
                archive.write(path, path.relative_to(tmp_path))
        root = tmp_path / "set.zip"
    data = Lines(root=str(root), labelled=True)
    assert sorted(texts(data.splits.train)) == ["a", "b", "c"]
    assert sorted(texts(data.splits.held_out)) == ["a", "b"]
    assert data.class_names == ("bad", "good")
    two = files(tmp_path / "two", train="ab\nc", val="ca")
    assert texts(Lines(root=str(two)).splits.held_out) == ["ca"]


def test_longer_lines_are_refused_cut_or_left_out(tmp_path: Path) -> None:
    root = str(files(tmp_path, text="ab\nabcd\nabc") / "text.txt")
    said = refusal(root=root, length=3)
    assert "text.txt, line 2: it has 4 characters; length is 3" in said
    cut = Lines(root=root, length=3, too_long="cut", held_out=0)
    assert texts(cut.splits.train) == ["ab", "abc", "abc"]
    left = Lines(root=root, length=3, too_long="leave_out", held_out=0)
    assert texts(left.splits.train) == ["ab", "abc"]
    assert left.alphabet == "abc"
    assert Lines(root=root, held_out=0).shape == (5, 4)


def test_an_unknown_character_is_named_with_its_line_and_column(tmp_path: Path) -> None:
    files(tmp_path, train="ab\n\nba", test="ab\naxb")
    said = refusal(root=str(tmp_path / "test.txt"), alphabet="ab")
    assert "test.txt, line 2: the character 'x' at column 2 is not in the alphabet, which is given" in said
    said = refusal(root=str(tmp_path))
    assert "test.txt, line 2: the character 'x' at column 2" in said
    assert "that of the training files" in said


def test_what_is_no_text_is_refused_in_a_sentence(tmp_path: Path) -> None:
    files(tmp_path, empty="", blank="\n \n", zero="a\nb\0")
    (tmp_path / "latin.txt").write_bytes("ok\nnaïve".encode("latin-1"))
    for name in ("empty", "blank"):
        assert f"{name}.txt is empty: there is no line in it" in refusal(root=str(tmp_path / f"{name}.txt"))
    assert "line 2: it is no text in UTF-8" in refusal(root=str(tmp_path / "latin.txt"))
    assert "line 2: it holds the character 0" in refusal(root=str(tmp_path / "zero.txt"))
    (tmp_path / "none").mkdir()
    assert "there is no .txt file in it" in refusal(root=str(tmp_path / "none"))
    assert "there is no" in refusal(root=str(tmp_path / "nowhere.txt"))
    assert "none to train on" in refusal(grammar="sums", held_out=1.0)
    assert "grammar is 'verses'" in refusal(grammar="verses")


@pytest.mark.parametrize("grammar", [Dates(), Sums()], ids=["dates", "sums"])
def test_all_lines_of_a_language_are_valid_and_different(grammar: Grammar) -> None:
    lines = dict(islice(grammar.lines(), 0, None, 7))
    assert all(map(grammar.valid, lines))
    assert {*lines.values()} == {*range(len(grammar.classes))}


@pytest.mark.parametrize(
    ("grammar", "valid", "invalid"),
    [
        (
            Dates(),
            ["29 February 1904", "31 March 1999", "1 May 1900"],
            [
                "29 February 1900",
                "31 April 1950",
                "01 May 1900",
                "1 Mai 1900",
                "1 May 2000",
                "1 May 1900 ",
                "",
            ],
        ),
        (
            Sums(),
            ["12+7=19", "99+99=198", "31-7=24", "0-0=0"],
            ["12+7=18", "012+7=19", "7-31=-24", "12+7=", "100+0=100", "1+1=2 ", "1*1=1", ""],
        ),
    ],
    ids=["dates", "sums"],
)
def test_a_language_knows_its_lines(grammar: Grammar, valid: list[str], invalid: list[str]) -> None:
    assert [*map(grammar.valid, valid)] == [True] * len(valid)
    assert [*map(grammar.valid, invalid)] == [False] * len(invalid)


def test_only_data_of_a_known_language_say_what_is_valid(tmp_path: Path) -> None:
    assert Lines(grammar="sums").valid("1+1=2")
    with pytest.raises(Refused, match="Nobody knows which lines"):
        Lines(root=str(files(tmp_path, text="a") / "text.txt")).valid("a")


def test_another_file_has_another_fingerprint_and_the_same_elsewhere_the_same(tmp_path: Path) -> None:
    for name, text in (("a", "ab\nba"), ("b", "ab\nba"), ("c", "ab\nbb")):
        files(tmp_path / name, text=text)
    prints = [Lines(root=str(tmp_path / name / "text.txt"), held_out=0).fingerprint for name in "abc"]
    assert prints[0] == prints[1] != prints[2]
