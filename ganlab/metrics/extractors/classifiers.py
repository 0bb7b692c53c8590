"""Small classifiers that ship with the package, for scores on a machine without network.

Their distances are small between two halves of one data set and large for images that do not look like it,
but they are no FID: a score's name says which classifier gave the features.
"""

from __future__ import annotations

from typing import Any

from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from ganlab.errors import Refused
from ganlab.metrics.extractors.extractor import (
    FOLDER,
    Extractor,
    Seen,
    file_digest,
    read_weights,
    three_or_one,
)

SIDE = 32


class LeNet(nn.Module):
    """After LeCun et al. 1998, but with SiLU, and with features that no ReLU sets to 0.

    ReLU maps many different images to nearly the same features: noise would lie among the reals' outliers.
    """

    def __init__(self, classes: int = 10, features: int = 64) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(1, 32, 5, stride=2, padding=2),
            nn.SiLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(64, 64, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
        )
        self.features = nn.Linear(64 * (SIDE // 8) ** 2, features)
        self.classes = nn.Linear(features, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(self.maps(images))
        return features, self.classes(features)


class Classifier(Extractor):
    """Features and logits of a classifier that was trained on one data set by scripts/train_extractors.py.

    Each feature has mean 0 and standard deviation 1 over the training set. It sees no colour, and refuses
    images that have any: a red digit would score as a grey one.

    Args:
        dataset: Which one: digits, mnist or fashion_mnist.
    """

    def __init__(self, dataset: str) -> None:
        super().__init__()
        path = FOLDER / f"{dataset}.safetensors"
        if not path.is_file():
            shipped = ", ".join(sorted(file.stem for file in FOLDER.glob("*.safetensors")))
            raise Refused(f"No classifier of {dataset!r} ships with ganlab; there are those of {shipped}.")
        self.name, self.suffix, self.sha256 = dataset, f"_{dataset}", file_digest(path)
        with safe_open(path, framework="pt") as file:
            self.record: dict[str, str] = file.metadata()
        self.native = int(self.record["native"])
        state = read_weights(path)
        classes, self.dim = state["classes.weight"].shape
        self.network = LeNet(classes, self.dim)
        self.network.load_state_dict(state)
        self.freeze()

    def protocol(self) -> dict[str, Any]:
        return {"resize": f"{self.native} padded, else bilinear, to {SIDE}", "layers": "last hidden, logits"}

    def see(self, images: Tensor) -> Seen:
        return Seen(*self.network(framed(self._grey(images), self.native)))

    def _grey(self, images: Tensor) -> Tensor:
        """The one channel of images, or the first of three equal ones; colours are refused."""
        images = three_or_one(images)
        if (images != images[:, :1]).any():
            raise Refused(
                f"The classifier of {self.name} sees no colours, which these images have: take Inception,\n"
                "Pixels, a network of your own (Module), or StackedClassifier, which sees each channel."
            )
        return images[:, :1]


class StackedClassifier(Classifier):
    """Each channel is taken for a picture, and features and logits of all are joined; for StackedMNIST."""

    def __init__(self, dataset: str = "mnist") -> None:
        super().__init__(dataset)
        self.name, self.suffix, self.dim = f"stacked {dataset}", f"_stacked_{dataset}", None

    def see(self, images: Tensor) -> Seen:
        features, logits, _ = super().see(images.flatten(0, 1)[:, None])
        assert logits is not None
        channels = images.shape[1]
        return Seen(
            features.unflatten(0, (-1, channels)).flatten(1), logits.unflatten(0, (-1, channels)).flatten(1)
        )


def framed(images: Tensor, native: int) -> Tensor:
    """Numbers in [0, 1] of SIDE x SIDE pixels, as the classifiers take them.

    Images of the data's own size are padded and not resized, so that those padded before give the same.
    """
    images = images.float() / 255
    if images.shape[2:] == (native, native):
        return pad(images, [(SIDE - native) // 2] * 4)
    if images.shape[2:] == (SIDE, SIDE):
        return images
    return interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True)
