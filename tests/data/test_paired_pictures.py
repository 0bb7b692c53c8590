"""Pairs of pictures: which files are a pair, which of the two is made, and that they stay together."""

import io
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sets import attached, encoded, folder, packed, picture

from ganlab.cli import main
from ganlab.data import Pairs
from ganlab.errors import Refused
from ganlab.media import Pictures
from ganlab.media.tiles import GAP


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


LEFT, RIGHT = 0, 1000  # what is added to a pair's number


def side_by_side(number: int, side: int = 8, kind: str = "PNG") -> bytes:
    both = Image.new("RGB", (2 * side, side))
    both.paste(picture(LEFT + number, side, side), (0, 0))
    both.paste(picture(RIGHT + number, side, side), (side, 0))
    return encoded(both, kind)


def alone(number: int, side: int = 8, kind: str = "PNG") -> bytes:
    return encoded(picture(number, side, side), kind)


def pixels(number: int, side: int = 8) -> torch.Tensor:
    return torch.from_numpy(np.array(picture(number, side, side))).movedim(-1, 0)


def everything(data: Pairs, split: str = "train") -> tuple[torch.Tensor, ...]:
    data.prepare_data()
    rows = getattr(data.splits, split)
    return rows[torch.arange(len(rows))]


def refused(data: Pairs) -> str:
    with pytest.raises(Refused) as error:
        everything(data)
    message = str(error.value)
    assert len(message.splitlines()) <= 3
    return message


def shown(data: Pairs, split: str, numbers: list[int], source: int = LEFT, made: int = RIGHT) -> None:
    """The split holds the pairs of these numbers, in order, each beside its own source."""
    of_made, of_source = everything(data, split)
    assert torch.equal(of_made, torch.stack([pixels(made + number) for number in numbers]))
    assert torch.equal(of_source, torch.stack([pixels(source + number) for number in numbers]))


# Which files are pairs


IN_ONE_FILE = {
    "flat": ("{n}.png", "{n}.png"),
    "train and val": ("train/{n}.png", "val/{n}.png"),
    "train and test, deeper": ("maps/train/{n}.png", "maps/test/{n}.png"),
}
IN_TWO_FOLDERS = {
    "A and B": ("{s}/{n}.png", "{s}/{n}.png"),
    "splits above": ("set/train/{s}/{n}.png", "set/val/{s}/{n}.png"),
    "splits below": ("{s}/train/{n}.png", "{s}/test/{n}.png"),
    "splits in the names": ("train{s}/{n}.png", "test{s}/{n}.png"),
    "folders below": ("{s}/x/{n}.png", "{s}/y/{n}.png"),
}


@pytest.mark.parametrize("form", [folder, packed])
@pytest.mark.parametrize("layout", [*IN_ONE_FILE, *IN_TWO_FOLDERS])
def test_every_layout_holds_the_same_pairs(layout, form, tmp_path):
    numbers = {"train": [1, 2, 3], "held_out": [4, 5]}
    files = {}
    for split, name in zip(numbers, (IN_ONE_FILE | IN_TWO_FOLDERS)[layout], strict=True):
        for n in numbers[split]:
            if layout in IN_ONE_FILE:
                files[name.format(n=n)] = side_by_side(n)
            else:
                files[name.format(n=n, s="A")] = alone(LEFT + n)
                files[name.format(n=n, s="B")] = alone(RIGHT + n)
    data = Pairs(root=str(form(tmp_path / "pairs.zip", files)), size=8, held_out=0)
    if "train" in layout or "splits" in layout:
        shown(data, "train", numbers["train"])
        shown(data, "held_out", numbers["held_out"])
    else:
        shown(data, "train", [1, 2, 3, 4, 5])
        assert data.splits.held_out is None


@pytest.mark.parametrize("two_folders", [False, True])
def test_the_source_is_the_left_one_unless_the_right_one_is_asked_for(two_folders, tmp_path):
    files = {f"{n}.png": side_by_side(n) for n in range(4)}
    if two_folders:
        files = {f"photo/{n}.png": alone(LEFT + n) for n in range(4)}
        files |= {f"sketch/{n}.png": alone(RIGHT + n) for n in range(4)}
    root = str(folder(tmp_path / "set", files))
    shown(Pairs(root=root, size=8, held_out=0), "train", [0, 1, 2, 3])
    shown(Pairs(root=root, size=8, held_out=0, source="right"), "train", [0, 1, 2, 3], RIGHT, LEFT)


def test_names_are_compared_without_their_endings(tmp_path):
    files = {f"A/{n}.jpg": alone(n, kind="JPEG") for n in range(3)}
    files |= {f"B/{n}.PNG": alone(RIGHT + n) for n in range(3)}
    made, source = everything(Pairs(root=str(folder(tmp_path, files)), size=8, held_out=0))
    assert torch.equal(made, torch.stack([pixels(RIGHT + n) for n in range(3)]))
    assert (source.float() - torch.stack([pixels(n) for n in range(3)])).abs().mean() < 8


def test_the_same_pairs_are_held_out_in_both_directions(tmp_path):
    files = {f"A/{n}.jpg": alone(n, kind="JPEG") for n in range(40)}
    files |= {f"B/{n}.png": alone(RIGHT + n) for n in range(40)}
    root = str(folder(tmp_path / "set", files))
    held_out = [
        everything(Pairs(root=root, size=8, held_out=0.3, source=side), "held_out")
        for side in ("left", "right")
    ]
    assert 1 < len(held_out[0][0]) < 30
    for one, other in zip(held_out[0], reversed(held_out[1]), strict=True):
        assert torch.equal(one, other)


# What is seen of them


def test_what_it_says_of_itself_is_true(tmp_path):
    root = str(folder(tmp_path / "set", {f"{n}.png": side_by_side(n, 20) for n in range(6)}))
    for size, channels in ((256, 3), (8, 1), (16, 4)):
        data = Pairs(root=root, size=size, channels=channels, held_out=0)
        columns = everything(data)
        assert data.shape == (channels, size, size)
        assert [medium.shape for medium in data.media] == [data.shape, data.shape]
        assert [column.shape for column in columns] == [(6, *data.shape)] * 2
        assert isinstance(data.condition, Pictures)
        assert data.classes is None
        for medium, column, played in zip(data.media, columns, data.played(columns), strict=True):
            assert played.shape == column.shape
            assert -1 <= played.min() < played.max() <= 1
            assert torch.equal(medium.stored(played), column)
    assert Pairs(root=root).shape == (3, 256, 256)


def test_nothing_of_one_half_is_seen_in_the_other(tmp_path):
    both = Image.new("L", (60, 30), 0)
    both.paste(255, (30, 0, 60, 30))
    data = Pairs(root=str(folder(tmp_path, {"1.png": encoded(both, "PNG")})), size=7, channels=1, held_out=0)
    made, source = everything(data)
    assert made.unique().tolist() == [255]
    assert source.unique().tolist() == [0]


def test_of_each_half_the_middle_is_seen(tmp_path):
    half = Image.new("L", (90, 30), 0)
    half.paste(255, (30, 0, 60, 30))
    both = Image.new("L", (180, 30))
    both.paste(half, (0, 0))
    both.paste(half, (90, 0))
    data = Pairs(root=str(folder(tmp_path, {"1.png": encoded(both, "PNG")})), size=10, channels=1, held_out=0)
    assert all(column.unique().tolist() == [255] for column in everything(data))


def test_a_pair_that_a_camera_turned_is_set_upright_before_it_is_cut(tmp_path):
    both = Image.new("L", (40, 20), 10)
    both.paste(240, (20, 0, 40, 20))
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned clockwise by a quarter
    content = io.BytesIO()
    both.rotate(90, expand=True).save(content, "JPEG", exif=turned, quality=95)
    data = Pairs(root=str(folder(tmp_path, {"1.jpg": content.getvalue()})), size=8, channels=1, held_out=0)
    made, source = everything(data)
    assert made.min() > 200 > 50 > source.max()


def test_both_of_a_pair_are_mirrored_or_none(tmp_path):
    root = str(folder(tmp_path / "set", {f"{n}.png": side_by_side(n) for n in range(6)}))
    data = attached(Pairs(root=root, size=8, held_out=0, flip=True, batch_size=60))
    batch = next(iter(data.train_dataloader()))
    columns = data.on_after_batch_transfer(batch, 0)
    mirrored = [
        [torch.equal(image, plain.flip(-1)) for image, plain in zip(column, whole, strict=True)]
        for column, whole in zip(columns, data.played(batch), strict=True)
    ]
    assert mirrored[0] == mirrored[1]
    assert 15 < sum(mirrored[0]) < 45


# Cut out of larger ones


def larger(tmp_path: Path, **how: Any) -> Pairs:
    """Pairs of 12 pixels a side, of which 8 are shown."""
    files = {f"{'val' if n > 3 else 'train'}/{n}.png": side_by_side(n, 12) for n in range(6)}
    return Pairs(root=str(folder(tmp_path / "set", files)), size=8, load_size=12, batch_size=200, **how)


def corner(whole: torch.Tensor, part: torch.Tensor) -> tuple[int, int]:
    """Where a part lies in a picture."""
    places = [(y, x) for y in range(5) for x in range(5)]
    (found,) = [(y, x) for y, x in places if torch.equal(whole[:, y : y + 8, x : x + 8], part)]
    return found


def trained_on(data: Pairs) -> tuple[torch.Tensor, ...]:
    return data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)


def test_both_of_a_pair_are_cut_out_at_one_place_anywhere(tmp_path):
    data = attached(larger(tmp_path))
    wholes = data.played(next(iter(data.train_dataloader())))
    columns = trained_on(data)
    assert columns[0].shape == columns[1].shape == (200, 3, 8, 8)
    places = [
        [corner(whole, part) for whole, part in zip(*both, strict=True)]
        for both in zip(wholes, columns, strict=True)
    ]
    assert places[0] == places[1]
    assert len(set(places[0])) == 25


def test_what_is_not_trained_on_is_the_middle(tmp_path):
    data = larger(tmp_path)
    assert data.shape == (3, 8, 8)
    for split, numbers in (("train", range(4)), ("held_out", range(4, 6))):
        made, source = everything(data, split)
        middle = slice(2, 10)
        assert torch.equal(made, torch.stack([pixels(RIGHT + n, 12)[:, middle, middle] for n in numbers]))
        assert torch.equal(source, torch.stack([pixels(n, 12)[:, middle, middle] for n in numbers]))
    ((held_out, _),) = [data.on_after_batch_transfer(batch, 0) for batch in attached(data).val_dataloader()]
    assert held_out.shape == (2, 3, 8, 8)


def test_more_is_cut_out_than_there_is_is_refused(tmp_path):
    with pytest.raises(Refused, match="load_size is 7; it must be from 8 to"):
        Pairs(root=str(tmp_path), size=8, load_size=7)


@pytest.mark.parametrize("placement", ["memory", "disk"])
def test_pairs_stay_pairs_in_the_stream(placement, tmp_path):
    numbers = range(7)
    root = str(folder(tmp_path / "set", {f"{n}.png": side_by_side(n) for n in numbers}))
    partner = {pixels(RIGHT + n).numpy().tobytes(): pixels(n).numpy().tobytes() for n in numbers}
    for workers in (0, 1):
        data = attached(
            Pairs(root=root, size=8, held_out=0, batch_size=5, workers=workers, placement=placement)
        )
        batches, seen = iter(data.train_dataloader()), []
        for _ in range(3):
            for made, source in zip(*next(batches), strict=True):
                seen.append(made.contiguous().numpy().tobytes())
                assert partner[seen[-1]] == source.contiguous().numpy().tobytes()
        assert set(seen[:7]) == set(seen[7:14]) == set(partner), "each comes once in each pass"


# What is cached


def test_the_fingerprint_is_that_of_names_and_contents(tmp_path):
    files = {f"A/{n}.png": alone(n) for n in range(4)} | {f"B/{n}.png": alone(RIGHT + n) for n in range(4)}
    expected = Pairs(root=str(folder(tmp_path / "a", files)), size=8, held_out=0).fingerprint
    elsewhere = shutil.copytree(tmp_path / "a", tmp_path / "b")
    deeper = {f"some/where/{name}": content for name, content in files.items()}
    for root in (elsewhere, packed(tmp_path / "c.zip", files), folder(tmp_path / "d", deeper)):
        assert Pairs(root=str(root), size=8, held_out=0).fingerprint == expected


def test_the_fingerprint_changes_with_either_picture(tmp_path):
    one = {f"{n}.png": side_by_side(n) for n in range(4)}
    two = {f"A/{n}.png": alone(n) for n in range(4)} | {f"B/{n}.png": alone(RIGHT + n) for n in range(4)}
    exchanged = {"A/2.png": two["A/3.png"], "A/3.png": two["A/2.png"]}
    sets = [one, two, {**two, "A/2.png": alone(77)}, {**two, "B/2.png": alone(77)}, {**two, **exchanged}]
    roots = [str(packed(tmp_path / f"{number}.zip", files)) for number, files in enumerate(sets)]
    data = [Pairs(root=root, size=8, held_out=0) for root in roots]
    data += [Pairs(root=root, size=8, held_out=0, source="right") for root in roots[:2]]
    data += [Pairs(root=roots[0], size=9, held_out=0), Pairs(root=roots[0], channels=1, size=8, held_out=0)]
    assert len({each.fingerprint for each in data}) == len(data)


@pytest.mark.parametrize("changed", ["A/1.png", "B/1.png"])
def test_a_change_of_either_file_is_noticed(changed, tmp_path):
    files = {
        f"{side}/{n}.png": alone(start + n) for side, start in (("A", 0), ("B", RIGHT)) for n in range(3)
    }
    root = str(folder(tmp_path / "set", files))
    before = everything(Pairs(root=root, size=8, held_out=0))
    folder(tmp_path / "set", {changed: alone(55)})
    after = everything(Pairs(root=root, size=8, held_out=0))
    same = [
        [torch.equal(*both) for both in zip(*columns, strict=True)]
        for columns in zip(before, after, strict=True)
    ]
    assert same == [[True, changed[0] == "A", True], [True, changed[0] == "B", True]]


# What is wrong


NO_PAIRS = {
    "an odd width": encoded(Image.new("RGB", (17, 8)), "PNG"),
    "a single square": alone(1),
    "a portrait": encoded(Image.new("RGB", (8, 20)), "PNG"),
    "one pixel": encoded(Image.new("RGB", (1, 1)), "PNG"),
    "no picture": b"<html>404</html>",
}


@pytest.mark.parametrize("kind", NO_PAIRS)
def test_a_file_that_is_no_pair_is_named_and_skipped_and_many_are_refused(kind, tmp_path, capsys):
    files = {f"{n:03}.png": side_by_side(n) for n in range(120)}
    root = str(folder(tmp_path / "set", {**files, "007.png": NO_PAIRS[kind]}))
    made, source = everything(Pairs(root=root, size=8, held_out=0))
    numbers = [n for n in range(120) if n != 7]
    assert torch.equal(made, torch.stack([pixels(RIGHT + n) for n in numbers])), "rows closed up"
    assert torch.equal(source, torch.stack([pixels(n) for n in numbers]))
    assert "1 of 120 pictures are broken and skipped: 007.png" in capsys.readouterr().out
    message = refused(Pairs(root=root, size=8, held_out=0, most_broken=0.0))
    assert "007.png" in message
    assert "most_broken" in message


def test_a_folder_of_single_pictures_is_not_taken_for_pairs(tmp_path):
    root = str(
        folder(tmp_path / "faces", {f"{n}.png": encoded(picture(n, 178, 218), "PNG") for n in range(4)})
    )
    assert "178 x 218 pixels are no two pictures side by side" in refused(Pairs(root=root))


@pytest.mark.parametrize("side", ["A", "B"])
def test_a_pair_with_one_broken_file_is_skipped_whole(side, tmp_path, capsys):
    files = {f"{s}/{n:03}.png": alone(add + n) for s, add in (("A", 0), ("B", RIGHT)) for n in range(120)}
    root = str(packed(tmp_path / "set.zip", {**files, f"{side}/007.png": b"broken"}))
    shown(Pairs(root=root, size=8, held_out=0), "train", [n for n in range(120) if n != 7])
    reason = "its source: no picture" if side == "A" else "no picture"
    assert f"skipped: 007 ({reason})" in capsys.readouterr().out


def cyclegan(name_a: str, name_b: str) -> dict[str, bytes]:
    names = {"A": name_a, "B": name_b}
    return {
        f"{split}{side}/{names[side].format(n=n)}": b""
        for split in ("train", "test")
        for side in "AB"
        for n in range(4)
    }


UNPAIRED = {
    "horses and zebras": (cyclegan("n02381460_{n}.jpg", "n02391049_{n}.jpg"), "16 have no partner"),
    "one alone": ({"A/1.png": b"", "B/1.png": b"", "B/2.png": b""}, "B/2.png"),
    "a pair over two splits": ({"train/A/1.png": b"", "test/B/1.png": b""}, "2 have no partner"),
    "three folders": ({f"{side}/1.png": b"" for side in "ABC"}, "3 folders\n(A, B, C)"),
    "pictures beside folders": ({"A/1.png": b"", "1.png": b""}, "(none, A)"),
    "two of one name": ({"A/1.png": b"", "A/1.jpg": b"", "B/1.png": b""}, "A/1.png: which of them"),
}


@pytest.mark.parametrize("form", [folder, packed])
@pytest.mark.parametrize("kind", UNPAIRED)
def test_what_is_no_pair_is_never_guessed_at(kind, form, tmp_path):
    files, words = UNPAIRED[kind]
    assert words in refused(Pairs(root=str(form(tmp_path / "set.zip", files))))


PARTS = ["A", "B", "train", "val", "test", "trainA", "trainB", "testB", "deep", ""]
NAMES = st.builds(
    lambda parts, stem, ending: "/".join([*filter(None, parts), stem + ending]),
    st.lists(st.sampled_from(PARTS), max_size=3),
    st.sampled_from(["1", "2", "1.x"]),
    st.sampled_from([".png", ".jpg", ".JPG", ".txt"]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(NAMES, unique=True, max_size=9), st.sampled_from(["left", "right"]))
def test_whatever_the_names_are_only_equal_ones_are_pairs(names, source):
    pictures = {name for name in names if not name.endswith(".txt")}
    try:
        pairs = Pairs(source=source).find_files(SimpleNamespace(path=Path("set"), names=sorted(names)))
    except Refused as error:
        assert len(str(error).splitlines()) <= 3  # noqa: PT017
        return
    used = [name for pair in pairs for name in (pair.name, pair.source) if name]
    assert sorted(used) == sorted(pictures), "each picture is in one pair"
    for pair in pairs:
        if pair.source:
            assert Path(pair.name).stem == Path(pair.source).stem
            assert ("test" in pair.name or "val" in pair.name) == pair.held_out
    assert len({bool(pair.source) for pair in pairs}) <= 1


def test_missing_pairs_are_told_with_the_right_layout(tmp_path):
    (tmp_path / "empty").mkdir()
    for root in ("nowhere", "empty"):
        message = refused(Pairs(root=str(tmp_path / root)))
        assert "side by side" in message
        assert "--data.root" in message


# On the command line


def test_pairs_are_checked_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ganlab.cli.data_check.SECONDS", 0.05)
    files = {f"train/{n}.png": side_by_side(n) for n in range(6)} | {"val/9.png": side_by_side(9)}
    packed(tmp_path / "maps.zip", files)
    code = main.main(["data", "check", "Pairs", "--root", "maps.zip", "--size", "8", "--source", "right"])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert "7, 16 x 8 pixels" in out
    assert "6 images" in out
    assert "seen as     3 x 8 x 8" in out
    sheet = np.asarray(Image.open(tmp_path / "pairs.png"))
    source, made = (sheet[:64, x : x + 64].reshape(8, 8, 8, 8, 3)[:, 0, :, 0] for x in (0, 64 + GAP))
    pairs = [[np.array(picture(side + n, 8, 8)) for side in (RIGHT, LEFT)] for n in range(6)]
    assert any(np.array_equal(source, right) and np.array_equal(made, left) for right, left in pairs)


def test_a_side_that_there_is_not_is_refused(capsys):
    with pytest.raises(SystemExit):
        main.main(["data", "check", "Pairs", "--source", "top"])
    assert "left" in capsys.readouterr().err
