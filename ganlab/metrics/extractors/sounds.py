"""Small classifiers of sounds that ship with the package; what they see is how loud each band of tones is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.functional import pad

from ganlab.errors import Refused
from ganlab.media import Medium, Sound
from ganlab.media.spectra import log_mel
from ganlab.metrics.extractors.extractor import Extractor, Seen, file_digest, read_weights

FOLDER = Path(__file__).parent / "weights_of_sounds"
RATE, LENGTH = 8000, 8192  # of what the network takes
BANDS, WINDOW, HOP = 40, 256, 128
RANGE = 60  # decibels below a sound's loudest band that are told from silence
PARTS = 4  # of a sound's time whose features are kept apart


class SoundNet(nn.Module):
    """A small convolutional network on the loudness of bands, with features that no ReLU sets to 0."""

    def __init__(self, classes: int = 10, features: int = 64) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.SiLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.SiLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(32, 48, 3, padding=1),
            nn.SiLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(48, 48, (BANDS // 8, 1)),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d((1, PARTS)),
            nn.Flatten(),
        )
        self.features = nn.Linear(48 * PARTS, features)
        self.classes = nn.Linear(features, classes)

    def forward(self, loudness: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(self.maps(loudness))
        return features, self.classes(features)


class SoundClassifier(Extractor):
    """Features and logits of a classifier that was trained on one set of sounds, at 8,000 samples a second.

    It takes 16-bit samples, as files have them; loudness does not matter to it, and sounds of other lengths
    are cut, or followed by silence. Each feature has mean 0 and standard deviation 1 over the training set.

    Args:
        dataset: Which one: spoken_digits.
    """

    medium = Sound

    def __init__(self, dataset: str = "spoken_digits") -> None:
        super().__init__()
        path = FOLDER / f"{dataset}.safetensors"
        if not path.is_file():
            shipped = ", ".join(sorted(file.stem for file in FOLDER.glob("*.safetensors")))
            raise Refused(
                f"No classifier of sounds {dataset!r} ships with ganlab; there is one of {shipped}."
            )
        self.name, self.suffix, self.sha256 = dataset.replace("_", " "), f"_{dataset}", file_digest(path)
        with safe_open(path, framework="pt") as file:
            self.record: dict[str, str] = file.metadata()
        state = read_weights(path)
        classes, self.dim = state["classes.weight"].shape
        self.network = SoundNet(classes, self.dim)
        self.network.load_state_dict(state)
        self.freeze()

    def protocol(self) -> dict[str, Any]:
        heard = f"{RATE} samples a second, {LENGTH} of them, log-mel {BANDS} x {LENGTH // HOP + 1}"
        return {"heard": heard, "layers": "last hidden, logits"}

    def see(self, images: Tensor) -> Seen:
        return Seen(*self.network(loudness(images)))

    def read(self, content: bytes) -> Tensor:
        return Sound.read_at(RATE, content)

    def refuse_unfit(self, medium: Medium) -> None:
        if isinstance(medium, Sound) and medium.rate != RATE:
            raise Refused(
                f"{type(self).__name__} takes {RATE:,} samples a second, and these sounds have"
                f" {medium.rate:,}.\nTake data of its rate, or evaluate a folder of .wav files, which are"
                " resampled."
            )


def loudness(sounds: Tensor, rate: int = RATE, length: int = LENGTH) -> Tensor:
    """How loud each band is, from -1, silent, to 0, as loud as the sound's loudest band.

    Args:
        rate: Samples a second; windows are as long at each rate.
        length: Samples of each sound that are heard; shorter ones are followed by silence.
    """
    samples = pad(sounds[:, 0, :length].float() / 32768, (0, max(length - sounds.shape[2], 0)))
    size, hop = WINDOW * rate // RATE, HOP * rate // RATE
    decibels = log_mel(samples, rate, bands=BANDS, size=size, hop=hop)
    loudest = decibels.amax((1, 2), keepdim=True)
    return ((decibels - loudest) / RANGE).clamp(min=-1)[:, None]
