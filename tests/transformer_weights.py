"""Small vision transformers with random weights, in the form that DINOv2 and CLIP are published in."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_clip import VisionTransformer

WIDTH, PATCH = 128, 14


def write(path: Path, state: dict[str, Tensor]) -> str:
    torch.save(state, path)
    return str(path)


def dinov2(grid: int = 5, depth: int = 2, seed: int = 0) -> dict[str, Tensor]:
    """As torch hub's file has it, with positions for grid x grid patches."""
    source, width = torch.Generator().manual_seed(seed), WIDTH
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, grid**2 + 1, width),
        "mask_token": (1, width),
        "patch_embed.proj.weight": (width, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    layers = {"attn.qkv": (3 * width, width), "attn.proj": (width, width)}
    layers |= {"mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}
    for block in (f"blocks.{number}" for number in range(depth)):
        for norm in ("norm1", "norm2"):
            shapes |= {f"{block}.{norm}.weight": (width,), f"{block}.{norm}.bias": (width,)}
        for name, shape in layers.items():
            shapes |= {f"{block}.{name}.weight": shape, f"{block}.{name}.bias": shape[:1]}
        shapes |= {f"{block}.{scale}.gamma": (width,) for scale in ("ls1", "ls2")}
    return {name: 0.3 * torch.randn(shape, generator=source) for name, shape in shapes.items()}


def clip(grid: int = 5, seed: int = 0) -> VisionTransformer:
    """torch-fidelity's network, which has OpenAI's names."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = VisionTransformer(grid * PATCH, PATCH, WIDTH, 2, WIDTH // 64, 96).eval()
        for weight in network.parameters():
            nn.init.normal_(weight, std=0.3)
    return network.requires_grad_(False)


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """From OpenAI's names to transformers', with something of the half that reads texts beside them."""
    vision = "vision_model"
    result = {
        "logit_scale": torch.zeros(()),
        "text_model.final_layer_norm.weight": torch.zeros(8),
        "text_projection.weight": torch.zeros(96, 8),
        f"{vision}.embeddings.position_ids": torch.arange(len(state["positional_embedding"]))[None],
        f"{vision}.embeddings.class_embedding": state["class_embedding"],
        f"{vision}.embeddings.position_embedding.weight": state["positional_embedding"],
        f"{vision}.embeddings.patch_embedding.weight": state["conv1.weight"],
        "visual_projection.weight": state["proj"].T.contiguous(),
    }
    for part in ("weight", "bias"):
        result[f"{vision}.pre_layrnorm.{part}"] = state[f"ln_pre.{part}"]
        result[f"{vision}.post_layernorm.{part}"] = state[f"ln_post.{part}"]
        for number in range(2):
            theirs, ours = f"transformer.resblocks.{number}", f"{vision}.encoder.layers.{number}"
            for name, rows in zip("qkv", state[f"{theirs}.attn.in_proj_{part}"].chunk(3), strict=True):
                result[f"{ours}.self_attn.{name}_proj.{part}"] = rows.clone()
            result[f"{ours}.self_attn.out_proj.{part}"] = state[f"{theirs}.attn.out_proj.{part}"]
            for layer in ("1", "2"):
                result[f"{ours}.layer_norm{layer}.{part}"] = state[f"{theirs}.ln_{layer}.{part}"]
            for name, other in (("fc1", "c_fc"), ("fc2", "c_proj")):
                result[f"{ours}.mlp.{name}.{part}"] = state[f"{theirs}.mlp.{other}.{part}"]
    return result
