"""The network of the published FID, Inception Score and KID.

Its weights are not ours to ship: see `Published`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_fidelity.feature_extractor_inceptionv3 import (  # type: ignore[import-untyped]
    URL_INCEPTION_V3,
    BasicConv2d,
    FeatureExtractorInceptionV3,
)

from ganlab.metrics.extractors.extractor import Extractor, Seen, file_digest, three_or_one
from ganlab.metrics.extractors.published import Published

PUBLISHED = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
VARIABLE = "GANLAB_INCEPTION_WEIGHTS"
# As torch-fidelity and torchmetrics save the file, and as pytorch-fid and clean-fid do.
CACHED = ("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth")
FILE = Published("Inception", PUBLISHED, VARIABLE, URL_INCEPTION_V3, CACHED)
SIDE = 299
SPATIAL = 7  # channels whose places sFID keeps apart
CHUNK = {"cpu": 16}  # images at a time; more are no faster on a CPU, and take a hundred MB for each ten


def tf1(images: Tensor) -> Tensor:
    """TensorFlow 1's bilinear resize, grid shift and missing antialiasing included.

    The same as torch-fidelity's, to the last bit, but each row is resized once and not for each row it is in.
    """
    images = images.float()
    left, right, across = _neighbours(images.shape[3], images.device)
    upper, lower, down = _neighbours(images.shape[2], images.device)
    rows = images.index_select(3, left)
    rows += images.index_select(3, right).sub_(rows).mul_(across)
    resized = rows.index_select(2, upper)
    return resized.add_(rows.index_select(2, lower).sub_(resized).mul_(down[:, None]))


def _neighbours(size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of each of SIDE positions the pixels before and after it, and how far it lies between them."""
    position = torch.arange(SIDE, dtype=torch.float32, device=device) * torch.tensor(size / SIDE)
    before = position.long()
    return before, (before + 1).clamp_max(size - 1), position - before


def clean(images: Tensor) -> Tensor:
    """PIL's bicubic resize of each channel as floats (Parmar et al. 2022, arXiv:2104.11222)."""
    resized = np.empty((*images.shape[:2], SIDE, SIDE), np.float32)
    planes = images.cpu().numpy().astype(np.float32)
    for index in np.ndindex(*images.shape[:2]):
        resized[index] = Image.fromarray(planes[index]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return torch.from_numpy(resized).clamp_(0, 255).to(images.device)


RESIZES = {"tf1": tf1, "clean": clean}
DTYPES = {"32": torch.float32, "bf16": torch.bfloat16}


class Inception(Extractor):
    """TensorFlow's Inception v3 of 2015, in torch-fidelity's network: 2048 pooled features and 1008 logits.

    And, for `sfid`, 2023 spatial features: 17 x 17 places of 7 channels. Grey images become three equal ones.

    Args:
        weights: The published file; by default $GANLAB_INCEPTION_WEIGHTS, or the file in torch hub's folder.
        resize: `clean` is that of clean-fid, `tf1` that of all other published FIDs.
        precision: `bf16` is many times faster where the hardware multiplies bf16, but its scores cannot be
            compared with those of `32`.
        compile: Compile first, which takes from seconds to a minute and changes features by rounding only.
    """

    name, dim, published = "inception", 2048, True
    spatial = SPATIAL * 17 * 17

    def __init__(
        self,
        weights: str | None = None,
        resize: Literal["tf1", "clean"] = "tf1",
        precision: Literal["32", "bf16"] = "32",
        compile: bool = False,
    ) -> None:
        super().__init__()
        path = find_weights(weights)
        state = FILE.read(path)
        self.sha256 = file_digest(path)
        self.resize, self.precision, self.compile_first = resize, precision, compile
        deviations = {
            "_custom": self.sha256 != PUBLISHED,
            "_clean": resize == "clean",
            "_bf16": precision == "bf16",
        }
        self.suffix = "".join(name for name, present in deviations.items() if present)
        # Without its pooling: _seen takes the mean, in float32 also if the maps are bf16.
        *layers, _, (_, self.classes) = network(path, state).named_children()
        self.maps = folded(Maps(dict(layers)))
        self.maps.to(DTYPES[precision]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.freeze()
        self._run = self.maps.forward
        if compile:
            self._run = torch.compile(self._run, dynamic=False, options={"freezing": True})

    def protocol(self) -> dict[str, Any]:
        dtype = str(DTYPES[self.precision]).removeprefix("torch.")
        return {"resize": self.resize, "dtype": dtype, "layers": "pool 2048, logits without bias"}

    def see(self, images: Tensor) -> Seen:
        images = three_or_one(images).expand(-1, 3, -1, -1)
        size = CHUNK.get(images.device.type, 128)
        chunks = [self._seen(chunk, size) for chunk in images.split(size)]
        features, spatial = (torch.cat(parts) for parts in zip(*chunks, strict=True))
        return Seen(features, features @ self.classes.weight.T, spatial)

    def _seen(self, images: Tensor, size: int) -> tuple[Tensor, Tensor]:
        count = len(images)
        if self.compile_first:
            # Filled up to the chunk's size, because each new size would be compiled anew.
            images = torch.cat([images, images.new_zeros(size - count, *images.shape[1:])])
        images = RESIZES[self.resize](images).sub_(128).div_(128)
        images = images.to(DTYPES[self.precision], memory_format=torch.channels_last)
        maps, spatial = self._run(images)
        return maps[:count].float().mean((2, 3)), spatial[:count].float().flatten(1)


class Maps(nn.Module):
    """The last maps before pooling, and those of the layer in the middle that sFID is taken with.

    OpenAI's evaluator of guided diffusion calls the latter mixed_6/conv, 17 x 17, and takes 7 channels.
    """

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        spatial = images[:, :0]
        for name, layer in self.layers.items():
            if name == "Mixed_6d":
                branch: Any = layer.branch1x1
                first = branch.conv
                spatial = relu(conv2d(images, first.weight[:SPATIAL], first.bias[:SPATIAL]))
            images = layer(images)
        return images, spatial


def find_weights(given: str | None) -> Path:
    """The file of weights: the one given, else the environment variable's, else one in torch hub's folder."""
    return FILE.find(given)


def network(path: Path, state: dict[str, Tensor]) -> FeatureExtractorInceptionV3:
    """torch-fidelity's Inception with the weights `state`, which were read from `path`."""
    # It loads a file when it is built, and runs any code in it: this file holds what was read safely.
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    # Its layers draw weights, replaced at once, from the generator that training draws from.
    with torch.random.fork_rng(devices=[]):
        try:
            return FeatureExtractorInceptionV3(
                "inception-v3-compat", ["2048"], feature_extractor_weights_path=file
            )
        except RuntimeError as error:
            raise FILE.mismatch(path, str(error).split(":", 1)[-1]) from error


def folded(layers: nn.Module) -> nn.Module:
    """The layers, each BatchNorm merged into its convolution: in float64, so that it is rounded only once."""
    for layer in layers.modules():
        if isinstance(layer, BasicConv2d):
            layer.conv = fuse_conv_bn_eval(layer.conv.double(), layer.bn.double()).float()
            layer.bn = nn.Identity()
    return layers
