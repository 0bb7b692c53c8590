"""Style and content as Gatys et al. 2016 (CVPR) measure them, by a network that was trained on ImageNet.

Layers are called as in the paper: conv4_2 is the second of the fourth block. They are taken behind their
ReLU, as its authors' Caffe has them. The weights are torchvision's, which pools by the maximum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.media import Pictures
from ganlab.metrics.extractors.extractor import exact_float32, file_digest, three_or_one
from ganlab.metrics.extractors.published import Published
from ganlab.metrics.pairs import unrestored
from ganlab.metrics.score import PairScore, RealBatch, SampleScore, Value
from ganlab.networks.watched import watched

PUBLISHED = Published(
    "VGG-19 (torchvision's)",
    "dcbb9e9d",  # how it begins: no more is published
    "GANLAB_VGG19_WEIGHTS",
    "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    ("vgg19-dcbb9e9d.pth",),
)
DEPTHS = 2, 2, 4, 4, 4  # convolutions of each block
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours
STYLE = "conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"
CONTENT = ("conv4_2",)
CHUNK = 4  # pictures whose maps lie in memory at once


class Layer(NamedTuple):
    """A convolution of the network.

    Attributes:
        block: From 1 on; its maps are 2 ** (block - 1) times smaller than pictures.
        place: Among torchvision's `features`, where a ReLU follows each convolution and a pooling each block.
    """

    block: int
    place: int


LAYERS = {
    f"conv{block}_{number}": Layer(block, 2 * (sum(DEPTHS[: block - 1]) + number - 1) + block - 1)
    for block, depth in enumerate(DEPTHS, 1)
    for number in range(1, depth + 1)
}


class VGG19(nn.Module):
    """Simonyan & Zisserman 2014, arXiv:1409.1556, up to the last of some layers; widths are the file's.

    Args:
        layers: Whose maps it returns.
        weights: As of `VGGStyle`.

    Attributes:
        suffix: `_custom` of any but the published file.
        widths: The channels of each layer.
    """

    def __init__(self, layers: Sequence[str], weights: str | None) -> None:
        super().__init__()
        if not layers or not {*layers} <= {*LAYERS}:
            known = ", ".join(LAYERS)
            raise Refused(f"VGG-19 has no such layers as {[*layers]}. Name one or more of\n{known}.")
        self.layers = [LAYERS[name] for name in layers]
        path = PUBLISHED.find(weights)
        state = PUBLISHED.read(path)
        last = max(self.layers, key=lambda layer: layer.place)
        try:
            self.network = _network(state, last)
        except (KeyError, RuntimeError, ValueError) as error:
            raise PUBLISHED.mismatch(path, str(error).split(":", 1)[-1]) from error
        self.requires_grad_(False).eval()
        self.sha256 = file_digest(path)
        self.suffix = "" if self.sha256.startswith(PUBLISHED.sha256) else "_custom"
        self.widths = [len(state[f"features.{layer.place}.bias"]) for layer in self.layers]

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """The layers' maps of bytes: pictures x channels x places, on the CPU."""
        least = 2 ** (max(layer.block for layer in self.layers) - 1)
        if not Pictures.holds(pictures) or min(pictures.shape[2:]) < least:
            raise Refused(
                f"VGG-19 takes {Pictures.form}, for these layers of {least} x {least} pixels or more,\n"
                f"not {pictures.dtype} of shape {tuple(pictures.shape)}: leave it out (scores)."
            )
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        mean, std = (torch.tensor(each, device=device).view(3, 1, 1) for each in (MEAN, STD))
        colours = three_or_one(pictures).to(device).expand(-1, 3, -1, -1).float() / 255
        behind = [str(layer.place + 1) for layer in self.layers]
        with torch.no_grad(), torch.autocast(device.type, enabled=False), exact_float32():
            with watched(self.network, behind) as seen:
                self.network.to(device)((colours - mean) / std)
        return [seen[name].flatten(2).cpu() for name in behind]


def _network(state: dict[str, Tensor], last: Layer) -> nn.Sequential:
    """torchvision's `features` up to a layer, with the weights of a file."""
    parts: list[nn.Module] = []
    # On no device: convolutions would draw weights from the generator that training draws from.
    with torch.device("meta"):
        for depth in DEPTHS[: last.block]:
            for _ in range(depth):
                width, channels, *_ = state[f"features.{len(parts)}.weight"].shape
                parts += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            parts += [nn.MaxPool2d(2)]
    network = nn.Sequential(*parts[: last.place + 2])
    own = network.state_dict()
    network.load_state_dict({name: state[f"features.{name}"].float() for name in own}, assign=True)
    return network


def gram(maps: Tensor) -> Tensor:
    """Of each picture the correlations of its channels (eq. 3), in float64, over the number of places."""
    return torch.einsum("ncp,ndp->ncd", maps.double(), maps.double()) / maps.shape[2]


class VGGStyle(SampleScore):
    """Eq. 4 and 5, of the mean Gram matrices of samples and reals: of one picture each the paper's.

    Args:
        layers: Which count alike, as in the paper.
        weights: torchvision's file of VGG-19, or another in the same names, of which all scores say `custom`;
            by default $GANLAB_VGG19_WEIGHTS, or that in torch hub's folder.
    """

    values = (Value("vgg_style{n}", "min", "log"),)

    def __init__(self, layers: Sequence[str] = STYLE, weights: str | None = None) -> None:
        self.layers = tuple(layers)
        self.network = VGG19(self.layers, weights)
        self.suffix = self.network.suffix

    def count(self, samples: Tensor) -> Tensor:
        """How many pictures, and the sum of each layer's Gram matrices."""
        sums = [torch.zeros(width, width, dtype=torch.float64) for width in self.network.widths]
        for pictures in samples.split(CHUNK):
            for total, maps in zip(sums, self.network(pictures), strict=True):
                total += gram(maps).sum(0)
        return torch.cat([torch.tensor([float(len(samples))]).double(), *(each.flatten() for each in sums)])

    def compare(self, real: Tensor, fake: Tensor) -> Sequence[float]:
        widths = self.network.widths
        difference = real[1:] / real[0] - fake[1:] / fake[0]
        layers = difference.split([width**2 for width in widths])
        errors = [each.square().sum() / (4 * width**2) for each, width in zip(layers, widths, strict=True)]
        return [float(torch.stack(errors).mean())]

    def parameters(self) -> dict[str, Any]:
        return {**super().parameters(), "layers": [*self.layers], "weights": self.network.sha256}


class VGGContent(PairScore):
    """Eq. 1 of a sample and its source as it is, over the number of features; the mean over layers.

    Args:
        layers: Which count alike; the paper has one.
        weights: As of `VGGStyle`.
    """

    values = (Value("vgg_content{n}", "min", "log"),)
    of_reals = False

    def __init__(self, layers: Sequence[str] = CONTENT, weights: str | None = None) -> None:
        self.layers = tuple(layers)
        self.network = VGG19(self.layers, weights)
        self.suffix = self.network.suffix

    def compare(self, made: Tensor, real: RealBatch) -> Tensor:
        pairs = zip(made.split(CHUNK), unrestored(real).split(CHUNK), strict=True)
        return torch.cat([self._errors(*some) for some in pairs])

    def _errors(self, made: Tensor, source: Tensor) -> Tensor:
        sides = zip(self.network(made), self.network(source), strict=True)
        errors = [(one.double() - other.double()).square().mean((1, 2)) / 2 for one, other in sides]
        return torch.stack(errors).mean(0)

    def parameters(self) -> dict[str, Any]:
        return {**super().parameters(), "layers": [*self.layers], "weights": self.network.sha256}
