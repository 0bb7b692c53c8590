"""A medium of a user's own, in a file of theirs, goes the whole way: training, sheets, samples, exports."""

import wave
from pathlib import Path

import numpy as np
import pytest
from command_line import here, write
from PIL import Image
from trained_runs import train_run

MY_SOUND = """\
import wave

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import TensorDataset

from ganlab.data import StreamData
from ganlab.media import Medium

SIZE = 64


class Sound(Medium):
    form = "16-bit samples of shape (n, samples)"
    suffix = ".wav"

    def played(self, stored, dtype=torch.float32):
        return stored if stored.is_floating_point() else stored.to(dtype) / 32768

    def stored(self, items):
        if not items.is_floating_point():
            return items
        return (items.float() * 32768).round().clamp(-32768, 32767).short()

    @classmethod
    def holds(cls, items):
        return items.dtype == torch.int16

    drawable = True

    def sheet(self, items, columns=None):
        levels = self.played(self.stored(items)).abs().clamp(max=1)
        return Image.fromarray((levels * 255).byte().numpy())

    def write(self, path, item):
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 8000, len(item), "NONE", ""))
            file.writeframes(item.numpy().tobytes())


class Tones(StreamData):
    def __init__(self, **base):
        super().__init__(**base)
        self.shape = (SIZE,)

    @property
    def media(self):
        return (Sound(self.shape),)

    def load(self):
        time, pitch = torch.arange(SIZE), torch.arange(1, 41)[:, None]
        tones = (torch.sin(0.1 * pitch * time) * 20000).short()
        return TensorDataset(tones), TensorDataset(tones[:8])


class Net(nn.Sequential):
    def __init__(self, *, shape: tuple[int, ...], latent_size: int = 8):
        super().__init__(nn.Linear(latent_size, *shape), nn.Tanh())


class Judge(nn.Sequential):
    def __init__(self, *, shape: tuple[int, ...]):
        super().__init__(nn.Linear(*shape, 1), nn.Flatten(0))
"""
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
    sheets = sorted((run / "samples").iterdir())
    assert [sheet.name for sheet in sheets] == ["step-000000002.png", "step-000000004.png"]
    assert Image.open(sheets[0]).size == (64, 5)


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
