"""Vision transformers (Dosovitskiy et al. 2021, arXiv:2010.11929) of two families that scores are taken with.

The names of the layers are those of DINOv2's published weights, and timm's.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ganlab.metrics.extractors.extractor import Extractor, Seen, file_digest, three_or_one
from ganlab.metrics.extractors.published import Published

HEAD = 64  # width of an attention head in all published sizes of both families
LARGEST = 32  # patch of all published sizes
CHUNK = {"cpu": 16}  # images at a time


class Family(NamedTuple):
    """What a family of vision transformers has besides its sizes.

    Attributes:
        layer_scale: Whether what a block adds is scaled, feature by feature.
        pre_norm: Whether tokens are normalised before the first block; their patches have no bias then.
        projects: Whether the last class token is projected.
        activation: Between the two layers of each block's perceptron.
        epsilon: Of all LayerNorms.
    """

    layer_scale: bool
    pre_norm: bool
    projects: bool
    activation: Callable[[], nn.Module]
    epsilon: float


class Size(NamedTuple):
    """The sizes of one network, as its weights have them.

    Attributes:
        tokens: A token for each patch, and the class token.
        projected: Width of the projected class token; none without a projection.
    """

    width: int
    depth: int
    patch: int
    tokens: int
    hidden: int
    projected: int | None

    @classmethod
    def of(cls, state: dict[str, Tensor], family: Family) -> Size:
        """Raises KeyError or ValueError for what are no weights of the family."""
        width, _, patch, _ = state["patch_embed.proj.weight"].shape
        _, tokens, _ = state["pos_embed"].shape
        if width % HEAD or tokens < 2 or isqrt(tokens - 1) ** 2 != tokens - 1 or not 0 < patch <= LARGEST:
            raise ValueError(f"width {width}, {tokens} tokens and patches of {patch} fit no published size")
        depth = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
        hidden, _ = state["blocks.0.mlp.fc1.weight"].shape
        projected, _ = state["head.weight"].shape if family.projects else (None, None)
        return cls(width, depth, patch, tokens, hidden, projected)

    @property
    def side(self) -> int:
        """Height and width of the images that the network was trained on, in pixels."""
        return isqrt(self.tokens - 1) * self.patch

    def __str__(self) -> str:
        return f"width {self.width}, depth {self.depth}, patches of {self.patch}"


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        heads = self.qkv(tokens).unflatten(2, (3, -1, HEAD)).permute(2, 0, 3, 1, 4)
        return self.proj(scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))


class LayerScale(nn.Module):
    """Touvron et al. 2021, arXiv:2103.17239, section 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens * self.gamma


class QuickGELU(nn.Module):
    """The approximation of GELU that CLIP was trained with."""

    def forward(self, values: Tensor) -> Tensor:
        return values * (1.702 * values).sigmoid()


class Perceptron(nn.Module):
    def __init__(self, width: int, hidden: int, activation: nn.Module) -> None:
        super().__init__()
        self.fc1, self.activation, self.fc2 = nn.Linear(width, hidden), activation, nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(tokens)))


class Block(nn.Module):
    def __init__(self, size: Size, family: Family) -> None:
        super().__init__()
        scale = LayerScale if family.layer_scale else nn.Identity
        self.norm1, self.norm2 = (nn.LayerNorm(size.width, family.epsilon) for _ in range(2))
        self.attn, self.ls1 = Attention(size.width), scale(size.width)
        self.mlp, self.ls2 = Perceptron(size.width, size.hidden, family.activation()), scale(size.width)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))


class VisionTransformer(nn.Module):
    """From images of the size that its positions are for to class tokens, which some sizes project."""

    def __init__(self, size: Size, family: Family) -> None:
        super().__init__()
        width, norm = size.width, (size.width, family.epsilon)
        patches = nn.Conv2d(3, width, size.patch, stride=size.patch, bias=not family.pre_norm)
        self.patch_embed = nn.ModuleDict({"proj": patches})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, size.tokens, width))
        self.norm_pre = nn.LayerNorm(*norm) if family.pre_norm else nn.Identity()
        self.blocks = nn.Sequential(*(Block(size, family) for _ in range(size.depth)))
        self.norm = nn.LayerNorm(*norm)
        self.head = nn.Linear(width, size.projected, bias=False) if size.projected else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(self.norm_pre(tokens))[:, 0]))


def bicubic(images: Tensor, side: int) -> Tensor:
    """PIL's bicubic resize, from bytes to bytes, as torchvision resizes pictures; the result is in [0, 1]."""
    resized = np.empty((len(images), side, side, 3), np.uint8)
    for index, image in enumerate(images.movedim(1, -1).contiguous().cpu().numpy()):
        resized[index] = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))
    return torch.from_numpy(resized).to(images.device).movedim(-1, 1).float() / 255


class TransformerExtractor(Extractor):
    """Features of a published vision transformer; grey images become three equal channels."""

    origin: Published
    family: Family
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    frame = "picture"
    side: int

    def __init__(self, weights: str | None) -> None:
        super().__init__()
        path = self.origin.find(weights)
        state = {
            name: tensor.float()
            for name, tensor in self.origin.read(path).items()
            if tensor.is_floating_point() and tensor.layout == torch.strided
        }
        try:
            state = self.renamed(state)
            self.size = Size.of(state, self.family)
            # On no device: its layers would draw weights from the generator that training draws from.
            with torch.device("meta"):
                self.network = VisionTransformer(self.size, self.family)
            self.network.load_state_dict(state, assign=True)
        except KeyError as error:
            raise self.origin.mismatch(path, f"it has no {error}") from error
        except (RuntimeError, ValueError) as error:
            raise self.origin.mismatch(path, str(error).split(":", 1)[-1]) from error
        self.sha256 = file_digest(path)
        self.suffix = f"_{self.name}" + ("" if self.sha256 == self.origin.sha256 else "_custom")
        self.dim = self.size.projected or self.size.width
        self.freeze()

    @abstractmethod
    def renamed(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights that the network has, by its own names."""

    def protocol(self) -> dict[str, Any]:
        return {
            "resize": f"{self.frame}, PIL bicubic {self.side}x{self.side} of bytes",
            "network": str(self.size),
            "layers": "class token",
        }

    def see(self, images: Tensor) -> Seen:
        images = three_or_one(images).expand(-1, 3, -1, -1)
        size = CHUNK.get(images.device.type, 128)
        mean, std = (torch.tensor(each, device=images.device).view(3, 1, 1) for each in (self.mean, self.std))
        chunks = (bicubic(self.framed(chunk), self.side) for chunk in images.split(size))
        return Seen(torch.cat([self.network((chunk - mean) / std) for chunk in chunks]), None)

    def framed(self, images: Tensor) -> Tensor:
        """What of the images is seen, before they are resized to a square."""
        return images
