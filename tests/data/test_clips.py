"""Sets of clips: films of any length, in windows, split by file; and what is wrong is said."""

import importlib.util
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sets
import torch
from command_line import here
from PIL import Image
from torch import Tensor

from ganlab.data import Clips
from ganlab.errors import Refused
from ganlab.media import Labels, Video
from ganlab.media.films import gif, write_mp4


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))


def counting(frames: int, first: int = 1, width: int = 12) -> np.ndarray:
    """Frame i is grey of the level first + i everywhere."""
    levels = np.arange(first, first + frames, dtype=np.uint8)
    return np.broadcast_to(levels[:, None, None], (frames, 8, width)).copy()


def loaded(root: Path, files: Mapping[str, bytes], **options: Any) -> Clips:
    chosen = {"frames": 3, "size": 8, "channels": 1, "held_out": 0.0, **options}
    data = Clips(root=str(sets.folder(root, dict(files))), **chosen)
    data.prepare_data()
    data.setup("fit")
    return data


def clips(data: Clips, split: str = "train") -> Tensor:
    items: Any = getattr(data.splits, split)
    return items[torch.arange(len(items))][0]


def levels(data: Clips, split: str = "train") -> list[list[int]]:
    found = clips(data, split)
    assert (found == found[..., :1, :1]).all()
    return found[:, :, 0, 0, 0].tolist()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[1, 2, 3]]),
        ({"stride": 2}, [[1, 3, 5]]),
        ({"windows": 2}, [[1, 2, 3], [8, 9, 10]]),
        ({"windows": 3, "stride": 4}, [[1, 5, 9], [1, 5, 9], [2, 6, 10]]),
        ({"frames": 10}, [[*range(1, 11)]]),
    ],
)
def test_windows_lie_evenly_in_a_file(
    options: dict[str, Any], expected: list[list[int]], tmp_path: Path
) -> None:
    data = loaded(tmp_path, {"a.gif": sets.gif(counting(10))}, **options)
    assert levels(data) == expected
    assert clips(data).shape[1:] == data.shape


def test_frames_that_stand_still_are_frames(tmp_path: Path) -> None:
    still = counting(6)[[0, 0, 1, 2, 2, 2]]
    assert levels(loaded(tmp_path, {"a.gif": sets.gif(still)}, frames=6)) == [[1, 1, 2, 3, 3, 3]]


def test_the_middle_square_is_resized_as_that_of_pictures(tmp_path: Path) -> None:
    wide = np.zeros((3, 8, 12, 3), np.uint8)
    wide[:, :, 2:10] = [200, 100, 50]
    wide[:, 0, 0, 0] = [1, 2, 3]  # beyond the square
    data = loaded(tmp_path, {"a.gif": sets.gif(wide)}, channels=3, size=4)
    assert (data.shape, clips(data).shape) == ((3, 3, 4, 4), (1, 3, 3, 4, 4))
    assert (clips(data) == torch.tensor([200, 100, 50]).view(1, 1, 3, 1, 1)).all()


def test_an_mp4_holds_nearly_the_same(tmp_path: Path) -> None:
    frames = [Image.fromarray(frame) for frame in counting(6, 100, 8) * 1]
    (tmp_path / "set").mkdir()
    write_mp4(tmp_path / "set" / "a.mp4", frames, Fraction(10))
    found = clips(loaded(tmp_path / "set", {"b.gif": sets.gif(counting(6, 100, 8))}, frames=6)).int()
    assert (found[0] - found[1]).abs().max() <= 3


def test_clips_of_a_file_are_on_one_side_and_folders_are_classes(tmp_path: Path) -> None:
    files = {f"{kind}/{n}.gif": sets.gif(counting(9, 20 * n)) for kind in ("cat", "dog") for n in range(1, 9)}
    data = loaded(tmp_path, files, windows=4, held_out=0.4)
    sides = [
        {level // 20 for first in levels(data, split) for level in first} for split in ("train", "held_out")
    ]
    by_name = [{file.name for file in data.files[split]} for split in ("train", "held_out")]
    assert all(len(found) > 0 for found in sides)
    assert not by_name[0] & by_name[1]
    train: Any = data.splits.train
    assert len(train) == 4 * len(by_name[0])
    labels = train[torch.arange(len(train))][1]
    assert labels.tolist() == [int(name.startswith("dog")) for name in sorted(by_name[0]) for _ in range(4)]
    video, of_labels = data.media
    assert isinstance(video, Video)
    assert isinstance(of_labels, Labels)
    assert of_labels.names == ("cat", "dog")


@pytest.mark.parametrize("placement", ["auto", "memory", "disk"])
def test_clips_are_the_same_wherever_they_are_kept(placement: Any, tmp_path: Path) -> None:
    files = {f"{kind}/{n}.gif": sets.gif(counting(9, 20 * n)) for kind in "ab" for n in range(1, 6)}
    expected = clips(loaded(tmp_path / "set", files, windows=2))
    assert torch.equal(clips(loaded(tmp_path / "set", files, windows=2, placement=placement)), expected)
    few = loaded(tmp_path / "set", files, windows=2, placement=placement, limit=6)
    part: Any = few.splits.train
    found, labels = part[torch.arange(6)]
    assert labels.bincount().tolist() == [3, 3]
    assert all((expected == clip).flatten(1).all(1).any() for clip in found)


def test_a_zip_holds_the_same_as_its_folder(tmp_path: Path) -> None:
    files = {f"films/{n}.gif": sets.gif(counting(9, n)) for n in (1, 2, 3)}
    packed = Clips(
        root=str(sets.packed(tmp_path / "set.zip", files)), frames=3, size=8, channels=1, held_out=0.0
    )
    packed.setup("fit")
    folder = loaded(tmp_path / "set", files)
    assert torch.equal(clips(packed), clips(folder))
    assert packed.fingerprint == folder.fingerprint
    assert loaded(tmp_path / "set", files, windows=2).fingerprint != folder.fingerprint


WHOLE = sets.gif(counting(9))
WRONG: dict[str, tuple[Mapping[str, bytes], dict[str, Any], str]] = {
    "no films": ({"a.png": b"x"}, {}, "no films in"),
    "shorter than a clip": ({"a.gif": WHOLE}, {"frames": 10}, "a clip takes 10 frames, and it has 9"),
    "too far apart": ({"a.gif": WHOLE}, {"stride": 5}, "a clip takes 11 frames, and it has 9"),
    "a pause of minutes": (
        {"a.gif": gif([Image.fromarray(frame) for frame in counting(4)], [10, 10, 10, 600_000])},
        {},
        "more than 20,000 times its shortest",
    ),
    "a still picture": ({"a.gif": sets.gif(counting(1))}, {}, "a clip takes 3 frames, and it has 1"),
    "a broken gif": ({"a.gif": WHOLE[:60]}, {}, r"a\.gif \(no whole film"),
    "a broken mp4": ({"a.mp4": b"\0\0\0\x20ftypisom" + bytes(200)}, {}, r"a\.mp4 \(no whole film"),
    "an mp4 that is a text": ({"a.mp4": b"nothing of that kind"}, {}, r"a\.mp4 \(no whole film"),
    "beside folders": ({"a/1.gif": WHOLE, "2.gif": WHOLE}, {}, "1 of 2 films lie beside"),
    "all held out": ({"test/1.gif": WHOLE}, {}, "all films in .* held out"),
    "a clip of one frame": ({"a.gif": WHOLE}, {"frames": 1}, "frames"),
}


@pytest.mark.parametrize("how", WRONG)
def test_what_is_wrong_is_said(how: str, tmp_path: Path) -> None:
    files, options, expected = WRONG[how]
    with pytest.raises(Refused, match=expected) as error:
        loaded(tmp_path / "set", files, **options)
    assert 1 <= len(str(error.value).splitlines()) <= 3


def test_frames_of_several_sizes_are_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [Image.new("RGB", (8, side)) for side in (8, 8, 6)]
    monkeypatch.setattr("ganlab.data.clip_files.gif_frames", lambda content: [(each, 100) for each in sizes])
    with pytest.raises(Refused, match="frames of 8 x 8 and of 8 x 6 pixels"):
        loaded(tmp_path, {"a.gif": WHOLE})


def test_broken_files_are_named_and_skipped_up_to_a_share(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {**{f"{n}.gif": sets.gif(counting(9, n)) for n in range(1, 8)}, "8.gif": sets.gif(counting(2))}
    assert len(clips(loaded(tmp_path, files, windows=2, most_broken=0.2))) == 14
    assert "1 of 8 films are broken and skipped: 8.gif (a clip takes 3" in capsys.readouterr().out


def test_without_pyav_an_mp4_says_how_it_is_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("ganlab.errors.find_spec", lambda name: None if name == "av" else found(name))
    with pytest.raises(Refused, match=r'needs av: pip install "ganlab\[video\]"'):
        loaded(tmp_path / "set", {"a.mp4": b"x"})
    assert levels(loaded(tmp_path / "other", {"a.gif": WHOLE})) == [[1, 2, 3]]


def test_data_check_tells_lengths_and_shows_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlab.cli.data_check.SECONDS", 0.01)
    sets.folder(tmp_path / "set", {f"{n}.gif": sets.gif(counting(4 + n, n + 1)) for n in range(4)})
    options = ("--root", "set", "--frames", "4", "--size", "8", "--channels", "1", "--held_out", "0")
    answer = here("data", "check", "Clips", *options, folder=tmp_path)
    assert answer.code == 0, answer
    assert "4, 4 to 7 frames" in answer.out
    assert "4 clips" in answer.out
    assert Image.open(tmp_path / "clips.png").height > 8
    assert (tmp_path / "clips-0.gif").is_file()
