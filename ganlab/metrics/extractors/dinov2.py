"""DINOv2's features, for the Fréchet distance that is called FD-DINOv2."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ganlab.metrics.extractors.published import Published
from ganlab.metrics.extractors.vision_transformer import Family, TransformerExtractor

PUBLISHED = Published(
    "DINOv2 (ViT-L/14 without registers)",
    "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    "GANLAB_DINOV2_WEIGHTS",
    "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    ("dinov2_vitl14_pretrain.pth",),
)
FAMILY = Family(layer_scale=True, pre_norm=False, projects=False, activation=nn.GELU, epsilon=1e-6)
SIDE = 224


class DINOv2(TransformerExtractor):
    """Oquab et al. 2023, arXiv:2304.07193, for FD-DINOv2 as Stein et al. 2023, arXiv:2306.04675, take it.

    As their code (dgm-eval) does by default, pictures are resized to 224 x 224 by PIL's bicubic filter and
    standardised by ImageNet's means; the features are the last class token, normalised by the network's last
    layer: 1,024 numbers.

    Args:
        weights: The published file of torch hub, or another in the same names (a smaller size, timm's), of
            which all scores say `custom`; by default $GANLAB_DINOV2_WEIGHTS, or that in torch hub's folder.
    """

    name = "dinov2"
    side = SIDE
    origin = PUBLISHED
    family = FAMILY
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def __init__(self, weights: str | None = None) -> None:
        super().__init__(weights)
        self.network.pos_embed.data = positions(self.network.pos_embed.data, SIDE // self.size.patch)

    def renamed(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        # It is for training only; timm leaves it out.
        return {name: tensor for name, tensor in state.items() if name != "mask_token"}


def positions(embedding: Tensor, grid: int) -> Tensor:
    """Position embeddings of grid x grid patches, resized as in DINOv2's code, its offset of 0.1 included."""
    before = round((embedding.shape[1] - 1) ** 0.5)
    if before == grid:
        return embedding
    patches = embedding[:, 1:].unflatten(1, (before, before)).permute(0, 3, 1, 2)
    scale = (grid + 0.1) / before
    patches = interpolate(patches, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([embedding[:, :1], patches.flatten(2).transpose(1, 2)], 1)
