"""The classifier of sounds: what it hears, what does not matter to it, what it refuses, how it is trained."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sets
import torch
from safetensors.torch import load_file
from torch import Tensor

from ganlab.errors import Refused
from ganlab.media import Pictures, Sound
from ganlab.metrics import SoundClassifier
from ganlab.metrics.extractors.sounds import FOLDER, LENGTH, RATE, loudness

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def extractor() -> SoundClassifier:
    return SoundClassifier()


def tones(*pitches: float, samples: int = 4000, level: float = 16000) -> Tensor:
    time = torch.arange(samples) / RATE
    return torch.stack([(level * torch.sin(2 * torch.pi * pitch * time)).short() for pitch in pitches])[
        :, None
    ]


def test_the_weights_ship_with_their_record(extractor: SoundClassifier) -> None:
    (path,) = FOLDER.glob("*.safetensors")
    assert path.stat().st_size < 200_000
    assert "CC BY-SA 4.0" in extractor.record["data"]
    assert "CC BY-SA 4.0" in (FOLDER / "LICENCE.md").read_text()
    assert float(extractor.record["accuracy"]) >= 0.95
    digest = script()["digest_of"](load_file(path))
    assert extractor.record["sha256"] == digest


def test_it_gives_features_and_logits_of_ten_digits(extractor: SoundClassifier) -> None:
    features, logits, _ = extractor(tones(300, 500, 900))
    assert logits is not None
    assert (features.shape, logits.shape) == ((3, extractor.dim), (3, 10))
    assert torch.cdist(features, features)[0, 1] > 0.5


def test_loudness_and_silence_after_the_end_do_not_matter(extractor: SoundClassifier) -> None:
    features = extractor(tones(300, 500)).features
    assert torch.allclose(extractor(tones(300, 500, level=2000)).features, features, atol=0.05)
    padded = torch.nn.functional.pad(tones(300, 500), (0, 2 * LENGTH))
    assert torch.equal(extractor(padded).features, features)
    assert extractor(torch.zeros(2, 1, 100, dtype=torch.int16)).features.isfinite().all()


def test_what_it_hears_lies_between_silence_and_the_loudest_band() -> None:
    heard = loudness(tones(300, 2500))
    assert heard.shape == (2, 1, 40, 65)
    assert (float(heard.min()), float(heard.max())) == (-1, 0)
    low, high = heard[:, 0, :, :20].mean(2).argmax(1)
    assert high > low + 10
    assert (heard[..., -20:] == -1).all()


def test_files_are_resampled_to_its_rate(extractor: SoundClassifier) -> None:
    time = np.arange(16_000) / 32_000
    fast = extractor.read(sets.wav((16_000 * np.sin(2 * np.pi * 500 * time)).astype(np.int16), 32_000))
    expected = extractor(tones(500)).features
    assert fast.shape == (1, 4000)
    assert torch.cdist(extractor(fast[None]).features, expected) < 0.1


def test_what_it_does_not_know_is_refused(extractor: SoundClassifier) -> None:
    with pytest.raises(Refused, match="takes 16-bit samples"):
        extractor(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(Refused, match=r"one of spoken_digits\."):
        SoundClassifier("birds")
    with pytest.raises(Refused, match="takes 8,000 samples a second, and these sounds have 44,100"):
        extractor.refuse_unfit(Sound((1, 64), 44_100))
    extractor.refuse_unfit(Sound((1, 64), RATE))
    extractor.refuse_unfit(Pictures((1, 8, 8)))


def script() -> dict[str, Any]:
    sys.path.insert(0, str(SCRIPTS))
    try:
        import train_sound_extractors
    finally:
        sys.path.remove(str(SCRIPTS))
    return vars(train_sound_extractors)


@pytest.mark.slow
def test_it_is_trained_to_tell_classes_with_standardised_features() -> None:
    functions = script()
    labels = torch.arange(120) % 3
    sounds = torch.cat(
        [tones(400 + 500 * int(label) + 2 * n, samples=LENGTH) for n, label in enumerate(labels)]
    )
    network = functions["train"](sounds, labels, epochs=40)
    assert functions["accuracy"](network, sounds, labels) > 0.9
    before = functions["seen"](network, sounds)[1]
    functions["standardise"](network, functions["seen"](network, sounds)[0])
    features, logits = functions["seen"](network, sounds)
    assert torch.allclose(logits, before, atol=1e-3)
    assert torch.allclose(features.mean(0), torch.zeros(64), atol=1e-3)
    assert torch.allclose(features.std(0), torch.ones(64), atol=1e-3)
