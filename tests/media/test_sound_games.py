"""Games of sounds keep the laws, and go the whole way from training to reports."""

import json
import wave
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sets
import torch
from command_line import here
from PIL import Image
from torch.utils.data import TensorDataset
from trained_runs import train_run

import ganlab
from ganlab.data import StreamData, Waveforms
from ganlab.media import Labels, Medium, Sound, Spectrogram
from ganlab.networks import (
    DCGANDiscriminator,
    DCGANGenerator,
    WaveGANDiscriminator,
    WaveGANGenerator,
)
from ganlab.testing import CHECKS, OF_TWO_PROCESSES, Game
from ganlab.testing.process_checks import two_processes_are_one_of_twice_the_batch
from ganlab.variants import HingeGAN

LENGTH, RATE = 64, 8000


class Beeps(StreamData):
    """Tones of three pitches; their number, a prime, is no multiple of a batch."""

    def __init__(self, medium: Sound) -> None:
        super().__init__(batch_size=8)
        self.medium, self.shape, self.classes = medium, medium.shape, 3

    @property
    def media(self) -> tuple[Medium, ...]:  # type: ignore[override]
        return self.medium, Labels(3)

    def load(self) -> tuple[Any, Any]:
        number = torch.arange(37)
        tones = torch.sin(torch.arange(LENGTH) * (0.2 + 0.3 * (number % 3) + 0.01 * number)[:, None])
        items = TensorDataset((tones * 2**14).short()[:, None], number % 3)
        return items, TensorDataset(*items[:9])


SMALL: dict[str, Any] = {"width": 4, "max_width": 4}
WAVES: dict[str, Any] = {"shape": (1, LENGTH), "condition": Labels(3), **SMALL}
PICTURE = Spectrogram((1, 8, 8), RATE, hop=8, iterations=2)
PICTURES: dict[str, Any] = {"shape": PICTURE.shape, "normalization": "none", **SMALL}


def waves(phase_shuffle: int) -> Game:
    players = {
        "generator": partial(WaveGANGenerator, latent_size=8, **WAVES),
        "discriminator": partial(WaveGANDiscriminator, phase_shuffle=phase_shuffle, **WAVES),
    }
    return Game(HingeGAN, partial(Beeps, Sound((1, LENGTH), RATE)), {**players, "conditional": True})


def spectrograms() -> Game:
    players = {
        "generator": partial(DCGANGenerator, latent_size=8, **PICTURES),
        "discriminator": partial(DCGANDiscriminator, **PICTURES),
    }
    return Game(HingeGAN, partial(Beeps, PICTURE), players)


LAWS = [
    pytest.param(law, id=law.__name__, marks=[pytest.mark.slow] if law in OF_TWO_PROCESSES else [])
    for law in CHECKS
]


@pytest.mark.parametrize("check", LAWS)
def test_a_game_of_waves_keeps_the_laws(check: Callable[[Game], None]) -> None:
    # Two processes draw other moves of the phase than one.
    check(waves(0 if check is two_processes_are_one_of_twice_the_batch else 2))


@pytest.mark.parametrize(
    "check", [pytest.param(law.values[0], id=law.id, marks=pytest.mark.slow) for law in LAWS]
)
def test_a_game_of_spectrograms_keeps_the_laws(check: Callable[[Game], None]) -> None:
    check(spectrograms())


CONFIG = """\
model:
  class_path: HingeGAN
  init_args:
    conditional: true
    latent_size: 8
    generator: {class_path: WaveGANGenerator, init_args: {width: 2, max_width: 4}}
    discriminator: {class_path: WaveGANDiscriminator, init_args: {width: 2, max_width: 4}}
data:
  class_path: Waveforms
  init_args:
    root: set
    rate: 8000
    length: 256
    pattern: "{label}_{take}"
    held_out: {take: [0, 1, 2]}
    batch_size: 4
trainer: {max_steps: 4, accelerator: cpu, log_every_n_steps: 1}
samples: {every_n_steps: 2, count: 5}
checkpoints: {every_n_steps: 2, keep: 3}
evaluation: {extractor: SoundClassifier, scores: [fid, is], samples: 12}
"""


def speech(number: int, seed: int) -> bytes:
    """A tone that stands for a digit, in a file."""
    time = np.arange(300) / RATE
    sound = np.sin(2 * np.pi * (400 + 300 * number) * time) + 0.1 * np.random.default_rng(seed).normal(
        size=300
    )
    return sets.wav((sound * 8000).astype(np.int16), RATE)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sounds")
    sets.folder(home / "set", {f"{n}_{take}.wav": speech(n, take) for n in range(3) for take in range(6)})
    return train_run(home, CONFIG)


def heard(path: Path) -> tuple[int, np.ndarray]:
    with wave.open(str(path)) as file:
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), np.int16)


def test_a_run_keeps_sounds_and_their_spectrograms(run: Path) -> None:
    for step in (2, 4):
        assert Image.open(run / "samples" / f"step-{step:09d}.png").height > 64
        rate, samples = heard(run / "samples" / f"step-{step:09d}-4.wav")
        assert (rate, len(samples)) == (RATE, 256)


def test_a_set_of_samples_is_read_back_as_sounds_of_the_classes_they_were_made_of(
    run: Path, tmp_path: Path
) -> None:
    answer = here("synthesize", run, "--per_class", "2", "--out", tmp_path / "made", folder=tmp_path)
    assert answer.code == 0, answer
    data = Waveforms(root=str(tmp_path / "made"), rate=RATE, length=256, held_out=0)
    data.setup("fit")
    assert data.class_names == ("0", "1", "2")
    sounds, labels = data.splits.train[torch.arange(6)]
    assert labels.bincount().tolist() == [2, 2, 2]
    of_ones = {heard(path)[1].tobytes() for path in (tmp_path / "made" / "1").iterdir()}
    assert {sound.numpy().tobytes() for sound in sounds[labels == 1]} == of_ones
    assert len(of_ones) == 2


@pytest.mark.slow
def test_a_resumed_run_is_the_straight_one(run: Path, tmp_path: Path) -> None:
    home = run.parents[3]
    text = (home / "small.yaml").read_text().replace("root: set", f"root: {home / 'set'}")
    stopped = train_run(tmp_path, text, "--trainer.max_steps", "2")
    answer = here("fit", "--resume", stopped, "--trainer.max_steps", "4", folder=tmp_path)
    assert answer.code == 0, answer
    straight, resumed = (
        torch.load(folder / "checkpoints" / "step-000000004.ckpt", weights_only=True)["state_dict"]
        for folder in (run, stopped)
    )
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_samples_are_files_that_are_scored_as_the_run_is(run: Path, tmp_path: Path) -> None:
    home = run.parents[3]
    for out in ("sounds", "sounds.npz", "sheet.png"):
        assert here("sample", run, "--out", tmp_path / out, "--count", "12", folder=home).code == 0
    files = sorted((tmp_path / "sounds").iterdir())
    assert [file.name for file in files] == [f"{number:06}.wav" for number in range(12)]
    with np.load(tmp_path / "sounds.npz") as file:
        assert np.array_equal(file["sounds"], np.stack([heard(each)[1] for each in files]))

    def scores(what: Path) -> dict[str, Any]:
        options = (
            "--extractor",
            "SoundClassifier",
            "--scores",
            "fid,is",
            "--reference",
            "small.yaml",
            "--json",
        )
        answer = here("evaluate", what, *options, "--samples", "12", folder=home)
        assert answer.code == 0, answer
        found = json.loads(answer.out)["scores"]
        assert {*found} == {"fid12_spoken_digits", "is12_spoken_digits", "is12_std_spoken_digits"}
        return {name: each["value"] for name, each in found.items()}

    of_run = scores(run)
    assert scores(tmp_path / "sounds") == pytest.approx(of_run)
    assert scores(tmp_path / "sounds.npz") == pytest.approx(of_run)


def test_an_export_makes_the_same_sounds(run: Path, tmp_path: Path) -> None:
    assert here("export", run, "--out", tmp_path / "mine", folder=tmp_path).code == 0
    for source in (run, tmp_path / "mine"):
        answer = here("sample", source, "--class", "2", "--out", f"{source.name}.npz", folder=tmp_path)
        assert answer.code == 0, answer
    one, other = (np.load(tmp_path / f"{name}.npz")["sounds"] for name in (run.name, "mine"))
    assert np.array_equal(one, other)
    assert "image-generation" not in (tmp_path / "mine" / "README.md").read_text()
    medium = ganlab.load(tmp_path / "mine").media[0]
    assert (type(medium), medium.rate) == (Sound, RATE)


def test_the_report_plays_sounds_below_their_spectrograms(run: Path, tmp_path: Path) -> None:
    answer = here("compare", run.parents[2], "--out", tmp_path / "report", folder=tmp_path)
    assert answer.code == 0, answer
    page = next((tmp_path / "report").glob("*.html")).read_text()
    assert page.count("<audio") == 10
    assert "data:image" in page


def test_sounds_of_another_rate_are_refused_where_they_cannot_be_resampled(run: Path, tmp_path: Path) -> None:
    home = run.parents[3]
    options = ("--data.rate", "16000", "--trainer.max_steps", "1")
    answer = here("fit", "--config", "small.yaml", *options, folder=home)
    assert answer.code == 2
    assert "SoundClassifier takes 8,000 samples a second, and these sounds have 16,000" in answer.err
    sets.folder(
        tmp_path / "fast", {f"{n}.wav": sets.wav(np.arange(600, dtype=np.int16), 16_000) for n in range(4)}
    )
    sets.folder(
        tmp_path / "slow",
        {f"{n}.wav": sets.wav(np.arange(0, 600, 2, dtype=np.int16), RATE) for n in range(4)},
    )
    options = ("--extractor", "SoundClassifier", "--scores", "fid", "--json")
    answer = here("evaluate", tmp_path / "fast", "--reference", tmp_path / "slow", *options, folder=tmp_path)
    assert answer.code == 0, answer
    assert json.loads(answer.out)["scores"]["fid4_spoken_digits"]["value"] < 1
