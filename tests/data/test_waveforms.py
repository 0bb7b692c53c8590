"""Sets of sounds: any rate, depth and layout, classes by folders or names, and what is wrong is said."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sets
import torch
from command_line import here
from torch import Tensor

from ganlab.data import Waveforms
from ganlab.errors import Refused
from ganlab.media import Labels, Sound, Spectrogram

RATE, LENGTH = 8000, 400


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))


wav = partial(sets.wav, rate=RATE)


def tone(pitch: float = 440, *, rate: int = RATE, samples: int = LENGTH) -> np.ndarray:
    return (np.sin(2 * np.pi * pitch * np.arange(samples) / rate) * 2**14).astype(np.int16)


def counting(first: int, count: int) -> bytes:
    return wav(np.arange(first, first + count, dtype=np.int16))


NAMED = {
    f"recordings/{digit}_{who}_{take}.wav": wav(tone(300 + 100 * digit + take))
    for digit in (2, 10)
    for who in ("ann", "bob")
    for take in range(3)
}
PATTERN = "{label}_{speaker}_{take}"


def loaded(root: Path, files: Mapping[str, bytes], **options: Any) -> Waveforms:
    chosen = {"rate": RATE, "length": LENGTH, "held_out": 0.0, **options}
    data = Waveforms(root=str(sets.folder(root, dict(files))), **chosen)
    data.prepare_data()
    data.setup("fit")
    return data


def sounds(data: Waveforms, split: str = "train") -> Tensor:
    items: Any = getattr(data.splits, split)
    return items[torch.arange(len(items))][0]


@pytest.mark.parametrize(
    ("align", "expected"),
    [
        ("start", [[1, 2, 3, 4], [1, 2, 3, 0], [1, 2, 0, 0]]),
        ("centre", [[2, 3, 4, 5], [1, 2, 3, 0], [0, 1, 2, 0]]),
    ],
)
def test_sounds_are_cut_and_padded(align: Any, expected: list[list[int]], tmp_path: Path) -> None:
    files = {f"{count}.wav": counting(1, count) for count in (6, 3, 2)}
    ordered = sounds(loaded(tmp_path, files, length=4, align=align))
    assert (ordered.dtype, ordered.shape) == (torch.int16, (3, 1, 4))
    assert ordered[:, 0].tolist() == expected[::-1]


def test_other_rates_depths_and_channels_become_one(tmp_path: Path) -> None:
    stereo = np.stack([tone(440) / 2**14, np.zeros(LENGTH)], 1).astype(np.float32)
    files = {
        "a.wav": wav(tone(440)),
        "b.WAV": wav(tone(440, rate=2 * RATE, samples=2 * LENGTH), rate=2 * RATE),
        "c.wav": wav(tone(440).astype(np.int32) << 16),
        "d.wav": wav(stereo),
        ".hidden.wav": b"",
        "notes.txt": b"",
    }
    same = sounds(loaded(tmp_path, files))[:, 0].int()
    assert len(same) == 4
    assert torch.equal(same[0], same[2])
    assert torch.equal(same[0], same[3])
    assert (same[1] - same[0])[20:-20].abs().max() < 0.01 * 2**14


def test_silence_stays_and_others_become_as_loud_as_asked(tmp_path: Path) -> None:
    files = {"0.wav": wav(np.zeros(LENGTH, np.int16)), "1.wav": wav(tone() // 16), "2.wav": wav(tone())}
    peaks = sounds(loaded(tmp_path, files, peak=0.5)).int().abs().amax((1, 2)).tolist()
    assert peaks == [0, 2**14, 2**14]


def test_classes_and_what_is_held_out_are_told_by_names(tmp_path: Path) -> None:
    data = loaded(tmp_path, NAMED, pattern=PATTERN, held_out={"take": [0], "speaker": ["bob"]})
    assert (data.classes, data.class_names) == (2, ("2", "10"))
    train, held_out = data.splits
    assert held_out is not None
    assert (len(train), len(held_out)) == (4, 8)  # type: ignore[arg-type]
    assert train[torch.arange(4)][1].tolist() == [1, 1, 0, 0]  # recordings/10 comes first by name
    assert {Path(file.name).stem for file in data.files["train"]} == {
        "2_ann_1",
        "2_ann_2",
        "10_ann_1",
        "10_ann_2",
    }


@pytest.mark.parametrize(
    ("pattern", "classes"),
    [
        (r"(?P<label>\d+)_.*", ("2", "10")),
        (r"\d+_(?P<label>[a-z]+)_\d+", ("ann", "bob")),
        ("{digit}_{label}_{take}", ("ann", "bob")),
        ("{digit}_{speaker}_{take}", None),
    ],
)
def test_the_label_is_where_the_pattern_says(
    pattern: str, classes: tuple[str, ...] | None, tmp_path: Path
) -> None:
    assert loaded(tmp_path, NAMED, pattern=pattern).class_names == classes


def test_folders_are_classes_and_splits_without_a_pattern(tmp_path: Path) -> None:
    files = {
        f"{part}/{kind}/{n}.wav": wav(tone()) for part in ("train", "test") for kind in "ab" for n in (1, 2)
    }
    data = loaded(tmp_path, files)
    assert (data.class_names, len(sounds(data)), len(sounds(data, "held_out"))) == (("a", "b"), 4, 4)
    assert loaded(tmp_path / "flat", {"1.wav": wav(tone())}).classes is None


def test_a_zip_holds_the_same_as_its_folder(tmp_path: Path) -> None:
    packed = sets.packed(tmp_path / "set.zip", NAMED)
    options: Any = {"rate": RATE, "length": LENGTH, "pattern": PATTERN, "held_out": {"take": [1]}}
    one, other = Waveforms(root=str(packed), **options), loaded(tmp_path / "set", NAMED, **options)
    one.setup("fit")
    assert torch.equal(sounds(one), sounds(other))
    assert one.fingerprint == other.fingerprint
    louder = loaded(tmp_path / "set", NAMED, **options, peak=1.0)
    assert louder.fingerprint != one.fingerprint


@pytest.mark.parametrize("placement", ["auto", "memory", "disk"])
def test_sounds_are_the_same_wherever_they_are_kept(placement: Any, tmp_path: Path) -> None:
    expected = sounds(loaded(tmp_path, NAMED))
    assert torch.equal(sounds(loaded(tmp_path, NAMED, placement=placement)), expected)
    few = loaded(tmp_path, NAMED, placement=placement, pattern=PATTERN, limit=4)
    assert few.splits.train[torch.arange(4)][1].bincount().tolist() == [2, 2]


def test_media_tell_how_sounds_are_played(tmp_path: Path) -> None:
    sound, labels = loaded(tmp_path, NAMED, pattern=PATTERN).media
    assert isinstance(sound, Sound)
    assert isinstance(labels, Labels)
    assert (sound.shape, sound.rate) == ((1, LENGTH), RATE)
    data = loaded(tmp_path, NAMED, as_spectrogram=True, length=512, frequencies=32, hop=32)
    assert isinstance(data.media[0], Spectrogram)
    assert data.shape == (1, 32, 16)
    played = data.played((sounds(data),))[0]
    assert played.shape == (12, 1, 32, 16)
    assert sounds(data).dtype == torch.int16


def test_broken_files_are_named_and_skipped_up_to_a_share(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {**NAMED, "recordings/2_ann_8.wav": b"", "recordings/2_bob_9.wav": wav(tone())[:-9]}
    data = loaded(tmp_path / "set", files, pattern=PATTERN, most_broken=0.2)
    assert len(sounds(data)) == len(NAMED)
    told = capsys.readouterr().out
    assert "2 of 14 sounds are broken and skipped" in told
    assert "2_bob_9.wav (cut short)" in told
    with pytest.raises(Refused, match="sounds are broken, and at most 1%"):
        loaded(tmp_path / "other", files, pattern=PATTERN)


WRONG: dict[str, tuple[Mapping[str, bytes], dict[str, Any], str]] = {
    "no wavs": ({"a.mp3": b"x"}, {}, "no sounds in"),
    "no such pattern": (NAMED, {"pattern": "{label}-{take}"}, "12 of 12 names in .* do not\nfit the pattern"),
    "one that does not fit": ({**NAMED, "x.wav": wav(tone())}, {"pattern": PATTERN}, "1 of 13 .*\n.*x.wav"),
    "a pattern without parts": (NAMED, {"pattern": "label"}, "names no part"),
    "half an expression": (NAMED, {"pattern": "(?P<label>"}, "cannot be read"),
    "a part that is none": (
        NAMED,
        {"pattern": PATTERN, "held_out": {"room": [1]}},
        "room.*speaker, take",
    ),
    "a part without a pattern": (NAMED, {"held_out": {"take": [1]}}, "none, without a pattern"),
    "a value that is none": (NAMED, {"pattern": PATTERN, "held_out": {"take": [7]}}, "holds out none of 12"),
    "all held out": (
        NAMED,
        {"pattern": PATTERN, "held_out": {"take": [0, 1, 2]}},
        "all sounds in .* held out",
    ),
    "a length between moments": (NAMED, {"as_spectrogram": True, "length": 500}, "Take 384"),
    "sounds beside folders": ({"a/1.wav": wav(tone()), "2.wav": wav(tone())}, {}, "1 of 2 sounds lie beside"),
}


@pytest.mark.parametrize("how", WRONG)
def test_what_is_wrong_is_said(how: str, tmp_path: Path) -> None:
    files, options, expected = WRONG[how]
    with pytest.raises(Refused, match=expected) as error:
        loaded(tmp_path / "set", files, **options)
    assert 1 <= len(str(error.value).splitlines()) <= 3


def test_data_check_tells_rates_and_lengths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganlab.cli.data_check.SECONDS", 0.01)
    sets.folder(tmp_path / "set", {**NAMED, "recordings/2_ann_8.wav": wav(tone(samples=9), rate=16_000)})
    options = ("--rate", "8000", "--length", "400", "--pattern", PATTERN, "--held_out", "{take: [0]}")
    answer = here("data", "check", "Waveforms", "--root", "set", *options, folder=tmp_path)
    assert answer.code == 0, answer
    assert "13, 8,000, 16,000 samples a second, 0.00 to 0.05 s" in answer.out
    assert "9 sounds, 2 classes of 5, 4" in answer.out
    assert (tmp_path / "waveforms-0.wav").is_file()
