"""CLIP's features of pictures, for the distance that is called CMMD."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.metrics.extractors.published import Published
from ganlab.metrics.extractors.vision_transformer import Family, QuickGELU, TransformerExtractor

PUBLISHED = Published(
    "CLIP (ViT-L/14 at 336 pixels)",
    "c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801",
    "GANLAB_CLIP_WEIGHTS",
    "https://huggingface.co/openai/clip-vit-large-patch14-336/resolve/main/pytorch_model.bin",
)
FAMILY = Family(layer_scale=False, pre_norm=True, projects=True, activation=QuickGELU, epsilon=1e-5)
OTHER_NAMES = {
    "vision_model.embeddings.class_embedding": "cls_token",
    "vision_model.embeddings.position_embedding.weight": "pos_embed",
    "vision_model.embeddings.patch_embedding.": "patch_embed.proj.",
    "vision_model.pre_layrnorm.": "norm_pre.",  # as it is published
    "vision_model.post_layernorm.": "norm.",
    "vision_model.encoder.layers.": "blocks.",
    "visual_projection.": "head.",
    ".layer_norm": ".norm",
    ".self_attn.out_proj.": ".attn.proj.",
}


class CLIP(TransformerExtractor):
    """Radford et al. 2021, arXiv:2103.00020, for CMMD as Jayasumana et al. 2024, arXiv:2401.09603, take it.

    As their code does, the middle square of a picture is resized by PIL's bicubic filter to the size that the
    network was trained on; the features are the projected class token, 768 numbers, whose direction alone
    `cmmd` takes.

    Args:
        weights: The published file of transformers' CLIP, or one of another size in the same names, of which
            all scores say `custom`; by default $GANLAB_CLIP_WEIGHTS.
    """

    name = "clip"
    frame = "middle square"
    origin = PUBLISHED
    family = FAMILY
    mean = (0.48145466, 0.4578275, 0.40821073)
    std = (0.26862954, 0.26130258, 0.27577711)

    def __init__(self, weights: str | None = None) -> None:
        super().__init__(weights)
        self.side = self.size.side

    def renamed(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return of_pictures(state)

    def framed(self, images: Tensor) -> Tensor:
        side = min(images.shape[2:])
        top, left = ((length - side) // 2 for length in images.shape[2:])
        return images[..., top : top + side, left : left + side]


def of_pictures(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """From transformers' names of CLIP to those of a VisionTransformer; what reads texts is left out."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not name.startswith(("text_", "logit_scale")):
            for theirs, ours in OTHER_NAMES.items():
                name = name.replace(theirs, ours)
            renamed[name] = tensor
    for query in [name for name in renamed if ".self_attn.q_proj." in name]:
        parts = (query.replace("q_proj", f"{part}_proj") for part in "qkv")
        joined = [renamed.pop(part) for part in parts if part in renamed]
        renamed[query.replace("self_attn.q_proj", "attn.qkv")] = torch.cat(joined)
    for name, missing in (("cls_token", 2), ("pos_embed", 1)):
        if name in renamed:
            renamed[name] = renamed[name][(None,) * missing]
    return renamed
