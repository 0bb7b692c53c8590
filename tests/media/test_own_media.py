"""A medium of a user's own, in a file of theirs, goes the whole way: training, sheets and files of samples,
loggers, samples, exports, scores of anybody's files."""

import json
import shutil
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest
from command_line import here, write
from fuzzing import within
from PIL import Image
from trained_runs import train_run

import ganlab
from ganlab.runs.rollback import copy_records
from ganlab.seeds import seed_for

MY_SOUND = (Path(__file__).resolve().parents[1] / "user_files" / "my_sound.py").read_text()
CONFIG = """\
model:
  class_path: HingeGAN
  init_args:
    latent_size: 8
    generator: {class_path: my_sound.Net}
    discriminator: {class_path: my_sound.Judge}
data: {class_path: my_sound.Tones, init_args: {batch_size: 8}}
trainer: {max_steps: 4, accelerator: cpu}
samples: {every_n_steps: 2, count: 5}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sound")
    write(home, MY_SOUND, "my_sound.py")
    return train_run(home, CONFIG)


def heard(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def test_sheets_are_drawn_as_the_medium_draws(run: Path) -> None:
    sheets = sorted((run / "samples").glob("*.png"))
    assert [sheet.name for sheet in sheets] == ["step-000000002.png", "step-000000004.png"]
    assert Image.open(sheets[0]).size == (64, 5)


def test_a_run_keeps_the_first_samples_in_files_of_the_medium(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"step-00000000{step}-{number}.wav" for step in (2, 4) for number in range(5)]
    assert sorted(path.name for path in (run / "samples").iterdir() if path.suffix != ".png") == names
    monkeypatch.syspath_prepend(run / "code")
    game = ganlab.load(run, trust_code=True)
    samples = game.medium(made := game.sample(5, seed=seed_for("samples", 0))).stored(made)
    kept = [heard(run / "samples" / name) for name in names[5:]]
    assert np.array_equal(np.stack(kept), samples.numpy())


def test_a_run_that_goes_on_from_anothers_checkpoint_takes_its_looks_along(run: Path, tmp_path: Path) -> None:
    assert copy_records(run / "checkpoints" / "step-000000004.ckpt", tmp_path) == 4
    names = [sorted(path.name for path in (home / "samples").iterdir()) for home in (run, tmp_path)]
    assert names[0] == names[1]
    assert len(names[0]) == 12


def test_samples_are_written_in_the_mediums_own_files(run: Path, tmp_path: Path) -> None:
    for out in ("sounds", "sounds.npz", "sheet.png"):
        assert here("sample", run, "--out", out, "--count", "3", folder=tmp_path).code == 0
    with np.load(tmp_path / "sounds.npz") as file:
        samples = file["samples"]
    assert (samples.dtype, samples.shape) == (np.int16, (3, 64))
    written = [heard(tmp_path / "sounds" / f"{number:06}.wav") for number in range(3)]
    assert np.array_equal(np.stack(written), samples)
    assert Image.open(tmp_path / "sheet.png").size == (64, 3)


def test_an_export_names_the_medium_and_plays_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert here("export", run, "--out", "mine", folder=tmp_path).code == 0
    refused = here("sample", tmp_path / "mine", "--out", "no", "--count", "2", folder=tmp_path)
    assert refused.code == 2
    monkeypatch.syspath_prepend(run / "code")
    for source in (run, tmp_path / "mine"):
        out = f"{source.name}.npz"
        assert here("sample", source, "--out", out, "--trust_code", folder=tmp_path).code == 0
    one, other = (np.load(tmp_path / f"{source}.npz")["samples"] for source in (run.name, "mine"))
    assert np.array_equal(one, other)


def test_an_extractor_for_pictures_is_refused_before_the_first_step(run: Path) -> None:
    extractor = ("--evaluation.extractor", "Pixels", "--trainer.max_steps", "3")
    answer = here("fit", "--config", "small.yaml", *extractor, folder=run.parents[3])
    assert answer.code == 2, answer
    assert "The extractor Pixels takes bytes" in answer.err


# Anybody's files


def score(home: Path, one: object, other: object, extractor: str) -> float:
    options = ("--extractor", extractor, "--scores", "fid", "--json")
    answer = here("evaluate", one, "--reference", other, *options, folder=home)
    assert answer.code == 0, answer
    ((name, value),) = json.loads(answer.out)["scores"].items()
    assert name.endswith(f"_{extractor.rpartition('.')[2].lower()}")
    return value["value"]


def refused(home: Path, folder: object, extractor: str = "my_sound.Heard") -> str:
    with within(60):
        answer = here("evaluate", folder, "--reference", folder, "--extractor", extractor, folder=home)
    assert answer.code == 2, answer
    assert 1 <= len(answer.err.strip().splitlines()) <= 3
    return answer.err


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the user's file, and in `a` and `b` the sounds of two kinds of tones."""
    home = tmp_path_factory.mktemp("anybody")
    write(home, MY_SOUND, "my_sound.py")
    for name, start in (("a", 1), ("b", 30)):
        (home / name).mkdir()
        for number in range(12):
            tone = np.sin(0.1 * (start + number) * np.arange(64)) * 20_000
            with wave.open(str(home / name / f"{number:02}.wav"), "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes(tone.astype("<i2").tobytes())
    return home


def test_a_folder_of_sounds_is_scored_through_the_extractors_medium(sounds: Path) -> None:
    assert score(sounds, "a", "a", "my_sound.Heard") == pytest.approx(0, abs=1e-2)
    assert score(sounds, "a", "b", "my_sound.Heard") > 1e6


def test_the_same_sounds_in_any_order_in_a_zip_or_an_npz_are_the_same(sounds: Path) -> None:
    files = sorted((sounds / "a").iterdir())
    (sounds / "again").mkdir()
    for number, file in enumerate(reversed(files)):
        shutil.copy(file, sounds / "again" / f"{number:03}.WAV")
    (sounds / "again" / ".hidden.wav").write_bytes(b"")
    (sounds / "again" / "notes.txt").write_text("nothing")
    np.savez(sounds / "a.npz", np.stack([heard(file) for file in files]))
    with zipfile.ZipFile(sounds / "a.zip", "w") as archive:
        for file in files:
            archive.write(file, f"sounds/{file.name}")
    contracts = []
    for reference in ("a", "again", "a.npz", "a.zip"):
        options = ("--extractor", "my_sound.Heard", "--json")
        answer = here("evaluate", "b", "--reference", reference, *options, folder=sounds)
        assert answer.code == 0, answer
        contracts.append(json.loads(answer.out)["contract"])
    assert all(contract == contracts[0] for contract in contracts)
    assert contracts[0]["data"]["class"] == "my_sound.Sound"


def test_files_that_are_no_sounds_are_named(sounds: Path, tmp_path: Path) -> None:
    whole = (sounds / "a" / "00.wav").read_bytes()
    assert "There are no .wav files in" in refused(sounds, tmp_path)
    (tmp_path / "1.mp3").write_bytes(whole)
    assert "There are no .wav files in" in refused(sounds, tmp_path)
    shutil.copy(sounds / "a" / "01.wav", tmp_path / "0.wav")
    for content in (b"", b"RIFF", whole[:20], b"x" * 4000, whole.replace(b"\x10\x00data", b"\x08\x00data")):
        (tmp_path / "broken.wav").write_bytes(content)
        assert "broken.wav is no whole .wav of my_sound.Sound: " in refused(sounds, tmp_path)
    np.savez(tmp_path / "bytes.npz", np.zeros((4, 8), np.uint8))
    assert "16-bit samples of shape (n, samples)" in refused(sounds, tmp_path / "bytes.npz")
    assert "There are no pictures in" in refused(sounds, sounds / "a", "Pixels")
    assert "take an npz" in refused(sounds, sounds / "a", "ganlab.metrics.Points")


# Text: a medium that has no sheet

MY_TEXT = """\
import torch
from torch import nn
from torch.utils.data import TensorDataset

from ganlab.data import StreamData
from ganlab.media import Medium
from ganlab.metrics.extractors import Extractor
from ganlab.metrics.extractors.extractor import Seen

SIZE = 8
LETTERS = " abcdefghijklmnopqrstuvwxyz"


class Words(Medium):
    form = "numbers of letters, of shape (n, letters)"
    suffix = ".txt"

    def played(self, stored, dtype=torch.float32):
        return stored if stored.is_floating_point() else stored.to(dtype) / 13 - 1

    def stored(self, items):
        return ((items.float() + 1) * 13).round().clamp(0, 26).long() if items.is_floating_point() else items

    @classmethod
    def holds(cls, items):
        return items.dtype == torch.long and items.ndim == 2

    def write(self, path, item):
        path.write_text("".join(LETTERS[number] for number in item))

    @classmethod
    def read(cls, content):
        return torch.tensor([LETTERS.index(letter) for letter in content.decode().ljust(SIZE)[:SIZE]])


class Letters(Extractor):
    name, suffix, medium = "letters", "_letters", Words

    def protocol(self):
        return {"letters": 27}

    def see(self, words):
        return Seen(nn.functional.one_hot(words, 27).float().mean(1), None)


class Book(StreamData):
    def __init__(self, **base):
        super().__init__(**base)
        self.shape = (SIZE,)

    @property
    def media(self):
        return (Words(self.shape),)

    def load(self):
        words = torch.randint(27, (40, SIZE), generator=torch.Generator().manual_seed(0))
        return TensorDataset(words), TensorDataset(words[:8])


class Net(nn.Sequential):
    def __init__(self, *, shape: tuple[int, ...], latent_size: int = 8):
        super().__init__(nn.Linear(latent_size, *shape), nn.Tanh())


class Judge(nn.Sequential):
    def __init__(self, *, shape: tuple[int, ...]):
        super().__init__(nn.Linear(*shape, 1), nn.Flatten(0))
"""


def test_texts_that_no_sheet_shows_are_kept_read_and_scored(tmp_path: Path) -> None:
    write(tmp_path, MY_TEXT, "my_text.py")
    run = train_run(tmp_path, CONFIG.replace("my_sound", "my_text").replace("Tones", "Book"))
    names = [f"step-00000000{step}-{number}.txt" for step in (2, 4) for number in range(5)]
    assert sorted(path.name for path in (run / "samples").iterdir()) == names
    assert all(len((run / "samples" / name).read_text()) == 8 for name in names)
    first, last = run / "samples" / names[0], run / "samples" / names[-1]
    drawn, words = first.stat().st_mtime_ns, last.read_text()
    for name in names[5:]:  # as if the run had been killed right before it drew
        (run / "samples" / name).unlink()
    assert here("fit", "--resume", run, "--trainer.max_steps", "5", folder=tmp_path).code == 0
    assert (first.stat().st_mtime_ns, last.read_text()) == (drawn, words)
    assert here("sample", run, "--out", "words", "--count", "9", folder=tmp_path).code == 0
    (tmp_path / "other").mkdir()
    for number in range(9):
        (tmp_path / "other" / f"{number}.txt").write_text("zz" * number)
    assert score(tmp_path, "words", "words", "my_text.Letters") == pytest.approx(0, abs=1e-6)
    assert score(tmp_path, "words", "other", "my_text.Letters") > 0.01
    (tmp_path / "other" / "9.txt").write_text("no CAPITALS")
    assert "9.txt is no whole .txt of my_text.Words" in refused(tmp_path, "other", "my_text.Letters")
    picture = here("sample", run, "--out", "sheet.png", folder=tmp_path)
    assert (picture.code, (tmp_path / "sheet.png").exists()) == (2, False)


def test_a_medium_whose_files_nobody_could_be_shown_is_refused_before_the_first_step(tmp_path: Path) -> None:
    broken = MY_SOUND.replace('wave.open(str(path), "wb")', 'open(path, "wb")')
    broken = broken.replace("file.setparams", "print").replace("file.writeframes", "file.write")
    write(tmp_path, broken, "my_noise.py")
    write(tmp_path, CONFIG.replace("my_sound", "my_noise"), "small.yaml")
    answer = here("fit", "--config", "small.yaml", folder=tmp_path)
    assert answer.code == 2, answer
    assert "What Sound.write writes is no .wav" in answer.err


def test_data_check_plays_items_of_the_medium(sounds: Path) -> None:
    answer = here("data", "check", "my_sound.Tones", folder=sounds)
    assert answer.code == 0, answer
    assert Image.open(sounds / "tones.png").size == (64, 64)
    assert len(heard(sounds / "tones-7.wav")) == 64
    assert "tones-0.wav" in answer.out
