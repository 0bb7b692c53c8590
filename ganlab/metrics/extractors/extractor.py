"""From images to features, in which scores measure distances, and to logits of classes.

An extractor takes bytes, never floats, so that fakes are rounded as files would round them. It computes in
float32 (or the precision that its name tells) whatever precision the game is played at. It says all that its
features depend on, because scores of different extractors cannot be compared.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from ganlab import bounds, media
from ganlab.class_paths import public_path
from ganlab.errors import Refused
from ganlab.media import Medium, Pictures
from ganlab.metrics.code_identity import network_identity
from ganlab.metrics.names import words_after_number

FOLDER = Path(__file__).parent / "weights"
# Words with which what follows the number of samples begins in our own names: nobody else's suffix does.
OURS = (
    *("inception", "custom", "clean", "bf", "pixels", "points", "stacked", "dinov2", "clip", "spoken"),
    *("moving", "cats", "celeba"),
)


class Seen(NamedTuple):
    """A row of features, and of logits and spatial features if the extractor gives any, for each sample."""

    features: Tensor
    logits: Tensor | None
    spatial: Tensor | None = None

    def some(self, chosen: Tensor | slice) -> Seen:
        """Of some of the samples."""
        logits, spatial = (None if part is None else part[chosen] for part in self[1:])
        return Seen(self.features[chosen], logits, spatial)


class Extractor(nn.Module, ABC):
    """From images to `Seen`; frozen, in evaluation mode and in its own precision, whatever module owns it.

    Attributes:
        name: What a contract calls it.
        medium: What it takes.
        suffix: What the names of its scores end in; empty only for the published FID's own protocol.
        published: Whether this is that protocol, or all but what its suffix says.
        sha256: Of the file of weights; none without weights.
        dim: The number of features; none where it depends on the images or on a user's network.
        spatial: The number of features that keep places apart; none for extractors that give none.
    """

    name: str
    medium: ClassVar[type[Medium]] = Pictures
    suffix: str
    published: bool = False
    sha256: str | None = None
    dim: int | None = None
    spatial: int | None = None

    @abstractmethod
    def see(self, images: Tensor) -> Seen:
        """Features and logits of bytes (n, channels, height, width) on the device of the weights."""

    @abstractmethod
    def protocol(self) -> dict[str, Any]:
        """All that the features depend on besides the weights and float32, as plain data."""

    def read(self, content: bytes) -> Tensor:
        """The stored item of one of the medium's files, as this extractor takes it."""
        return self.medium.read(content)

    def refuse_unfit(self, medium: Medium) -> None:
        """Refuse samples for what their medium says and their numbers do not, such as another rate."""

    def identity(self) -> dict[str, Any]:
        """Plain data that is equal for two extractors if their features are equal, up to rounding."""
        return {"name": self.name, "sha256": self.sha256, "dtype": "float32", **self.protocol()}

    def forward(self, images: Tensor) -> Seen:
        if not self.medium.holds(images):
            raise Refused(
                f"The extractor {type(self).__name__} takes {self.medium.form}, not {images.dtype} of\n"
                f"shape {tuple(images.shape)}: choose one for such samples, or store them as "
                f"{self.medium.__name__}(shape).stored does."
            )
        if (weights := next(self.parameters(), None)) is not None:
            images = images.to(weights.device)
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False), exact_float32():
            features, *others = self.see(images)
        return Seen(features.float(), *(None if part is None else part.float() for part in others))

    def freeze(self) -> None:
        """Called by a subclass once its network has its weights."""
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Extractor:
        return super().train(False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Extractor:
        """Moved to another device with the module that owns it, but never to another precision."""

        def to_device(tensor: Tensor) -> Tensor:
            result = fn(tensor)
            return result if result.dtype == tensor.dtype else tensor.to(result.device)

        return super()._apply(to_device, recurse)


class Pixels(Extractor):
    """The image itself, shrunk by averaging: without weights; layout and colour are left, detail is not.

    Args:
        size: Height and width of the shrunk image.
    """

    name = "pixels"

    def __init__(self, size: int = 8) -> None:
        super().__init__()
        bounds.at_least(1, self, size=size)
        self.size = size
        self.suffix = "_pixels" if size == 8 else f"_pixels{size}"

    def protocol(self) -> dict[str, Any]:
        return {"resize": f"mean {self.size}x{self.size}"}

    def see(self, images: Tensor) -> Seen:
        return Seen(adaptive_avg_pool2d(images.float(), self.size).flatten(1) / 255, None)


class Points(Extractor):
    """Points of a space as they are, for data that are no images."""

    name, suffix, medium = "points", "_points", media.Points

    def protocol(self) -> dict[str, Any]:
        return {"resize": None}

    def forward(self, images: Tensor) -> Seen:
        if images.dim() != 2 or not images.is_floating_point():
            raise Refused(
                f"Points takes points of a space, (n, coordinates), not {images.dtype} of shape"
                f" {tuple(images.shape)}:\ntake the extractor Pixels, or a network."
            )
        return self.see(images)

    def see(self, images: Tensor) -> Seen:
        return Seen(images.float(), None)


class NoFeatures(Extractor):
    """For scores of samples themselves, of any medium: one feature, which is 0."""

    name, suffix = "no features", "_none"

    def protocol(self) -> dict[str, Any]:
        return {}

    def forward(self, images: Tensor) -> Seen:
        return self.see(images)

    def see(self, images: Tensor) -> Seen:
        return Seen(torch.zeros(len(images), 1), None)


class Module(Extractor):
    """A network of the user's, which takes float32 images in [-1, 1] and returns features.

    A pair that it returns is taken for features and logits. Its code and arguments are in the contract, too:
    networks that differ in what is no weight, as a pooling does, see other features by the same weights.

    Args:
        weights: File with the network's state: safetensors, or what torch.save wrote of a `state_dict()`.
        name: What its scores are called: `fid10k_<name>`; lower-case letters, digits and underscores.
    """

    def __init__(self, network: nn.Module, weights: str, name: str) -> None:
        super().__init__()
        refuse_taken(name)
        self.name, self.suffix = name, f"_{name}"
        path = Path(weights).expanduser()
        state = read_weights(path)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise mismatch(path, type(network).__name__, error) from error
        self.sha256, self.code = file_digest(path), network_identity(network)
        self.network = network.float()
        self.freeze()

    def protocol(self) -> dict[str, Any]:
        return {"resize": None, "network": public_path(type(self.network)), **self.code}

    def see(self, images: Tensor) -> Seen:
        output = self.network(images.float() / 127.5 - 1)
        features, logits = output if isinstance(output, tuple) else (output, None)
        return Seen(features.flatten(1), logits)


def refuse_taken(name: str) -> None:
    """Refuse a user's name for an extractor that could be read as one of ours, or as part of a score's."""
    shipped = [file.stem for file in FOLDER.glob("*.safetensors")]
    taken = {name.partition("_")[0].rstrip("0123456789") for name in (*OURS, *shipped, *words_after_number())}
    first = name.partition("_")[0].rstrip("0123456789")
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or first in taken:
        raise Refused(
            f"An extractor of your own cannot be named {name!r}: take lower-case letters, digits and\n"
            f"underscores, a letter first, and another first word than {', '.join(sorted(taken))}."
        )


def three_or_one(images: Tensor) -> Tensor:
    """The images, if they have one channel or three; others are refused."""
    if images.shape[1] not in (1, 3):
        raise Refused(
            f"This extractor takes images of 1 or 3 channels, not {images.shape[1]}; Pixels takes any number."
        )
    return images


def file_digest(path: Path) -> str:
    """SHA-256 of its bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name; no code in it is run."""
    if not path.is_file():
        raise Refused(f"There is no file of weights {path}.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    # Damaged files raise all kinds of errors.
    except Exception as error:
        raise Refused(
            f"{path} cannot be read as weights: it is cut short, or no file of tensors alone."
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise Refused(
            f"{path} does not hold weights alone: save the network's state_dict() and nothing else."
        )
    return state


def mismatch(path: Path, network: str, error: RuntimeError) -> Refused:
    """The refusal of weights that `load_state_dict` has refused, with the beginning of its reason."""
    reason = " ".join(str(error).split(":", 1)[-1].split())
    return Refused(f"{path} does not hold the weights of {network}:\n{reason[:100]}")


@contextmanager
def exact_float32() -> Iterator[None]:
    """Without TF32 or bf16 products, which a user may allow for training, and cuDNN takes unasked."""
    backends: Any = torch.backends
    if torch.__version__ < "2.9":  # it compares as versions do
        before = torch.get_float32_matmul_precision(), backends.cudnn.allow_tf32
        torch.set_float32_matmul_precision("highest")
        backends.cudnn.allow_tf32 = False
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before[0])
            backends.cudnn.allow_tf32 = before[1]
        return
    kinds = (backends.mkldnn.conv, backends.mkldnn.matmul, backends.cudnn.conv, backends.cuda.matmul)
    precisions = [kind.fp32_precision for kind in kinds]
    try:
        for kind in kinds:
            kind.fp32_precision = "ieee"
        yield
    finally:
        for kind, precision in zip(kinds, precisions, strict=True):
            kind.fp32_precision = precision
