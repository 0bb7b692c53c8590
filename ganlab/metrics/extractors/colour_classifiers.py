"""Small classifiers of pictures with colours: one that ships, and others by the path of their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ganlab.errors import Refused
from ganlab.metrics.extractors.extractor import Extractor, Seen, file_digest, read_weights, three_or_one

FOLDER = Path(__file__).parent / "weights_of_pictures"
SIDE = 64
WIDTHS = (32, 48, 64, 96)


class ColourNet(nn.Module):
    """Four strided convolutions and a layer of features that no ReLU sets to 0."""

    def __init__(self, classes: int, features: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((3, *WIDTHS), WIDTHS, strict=False):
            layers += [
                nn.Conv2d(before, after, 5 if before == 3 else 3, stride=2, padding=2 if before == 3 else 1)
            ]
            layers += [nn.BatchNorm2d(after), nn.SiLU()]
        self.maps = nn.Sequential(*layers, nn.Flatten())
        self.features = nn.Linear(WIDTHS[-1] * (SIDE // 2 ** len(WIDTHS)) ** 2, features)
        self.classes = nn.Linear(features, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(self.maps(images))
        return features, self.classes(features)


class ColourClassifier(Extractor):
    """Features and logits of a classifier that scripts/train_colour_extractors.py trained on one data set.

    Each feature has mean 0 and standard deviation 1 over the training set. In training it had pictures of
    nothing, mixed and blurred ones as classes besides the data's, so that its features tell these apart, too.
    Of data with several attributes a picture the logits are no classes, and not given.

    Args:
        weights: Which one: cats_vs_dogs; celeba, which is in the repository and not in the package, for its
            data is not for commercial use; or the path of a file that the script wrote.
    """

    def __init__(self, weights: str) -> None:
        super().__init__()
        path = FOLDER / f"{weights}.safetensors"
        if not path.is_file():
            path = Path(weights).expanduser()
        if not path.is_file():
            here = ", ".join(sorted(file.stem for file in FOLDER.glob("*.safetensors")))
            raise Refused(
                f"There is no file {weights}, and no classifier of that name is here, but of {here}.\n"
                "scripts/train_colour_extractors.py trains others, and the repository has one of celeba."
            )
        state = read_weights(path)
        self.record = record_of(path)
        self.name = self.record["dataset"]
        self.suffix, self.sha256 = f"_{self.name}", file_digest(path)
        classes, self.dim = state["classes.weight"].shape
        self.network = ColourNet(classes, self.dim)
        self.network.load_state_dict(state)
        self.freeze()

    def protocol(self) -> dict[str, Any]:
        return {"resize": f"bilinear to {SIDE}", "layers": "last hidden, logits"}

    def see(self, images: Tensor) -> Seen:
        features, logits = self.network(framed(images))
        return Seen(features, None if self.record["labels"] == "several" else logits)


def record_of(path: Path) -> dict[str, str]:
    """What the script wrote beside the weights."""
    refusal = Refused(
        f"{path} was not written by scripts/train_colour_extractors.py: take the extractor Module."
    )
    if path.suffix != ".safetensors":
        raise refusal
    with safe_open(path, framework="pt") as file:
        record: dict[str, str] = file.metadata() or {}
    if record.get("network") != ColourNet.__name__:
        raise refusal
    return record


def framed(images: Tensor) -> Tensor:
    """Three channels of numbers in [-1, 1], SIDE x SIDE pixels, as the classifiers take them."""
    images = three_or_one(images).float() / 127.5 - 1
    if images.shape[2:] != (SIDE, SIDE):
        images = interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True)
    return images.expand(-1, 3, -1, -1)
