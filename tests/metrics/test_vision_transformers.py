"""DINOv2 and CLIP against torch's own layers and torch-fidelity, on random weights: no number is a score."""

import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import here
from fuzzing import SHARES, result_or_refusal, share_of
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import Compose, InterpolationMode, Normalize, Resize, ToTensor
from transformer_weights import PATCH, WIDTH, clip, dinov2, renamed, write

from ganlab.errors import Refused
from ganlab.metrics import CLIP, DINOv2
from ganlab.metrics.extractors import clip as clip_file
from ganlab.metrics.extractors import dinov2 as dinov2_file
from ganlab.metrics.extractors import vision_transformer
from ganlab.metrics.extractors.extractor import Module, file_digest
from ganlab.metrics.extractors.vision_transformer import TransformerExtractor

SIDE = 224
IMAGENET = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI = Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))

States = dict[str, Callable[[], dict[str, Tensor]]]
OURS: dict[str, tuple[type[TransformerExtractor], Callable[[], dict[str, Tensor]], Any]] = {
    "dinov2": (DINOv2, dinov2, dinov2_file),
    "clip": (CLIP, lambda: renamed(clip().state_dict()), clip_file),
}
each = pytest.mark.parametrize("name", OURS)


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def made(name: str, folder: Path) -> TransformerExtractor:
    kind, state, _ = OURS[name]
    return kind(write(folder / f"{name}.pth", state()))  # type: ignore[call-arg]


def prepared(images: Tensor, normalize: Normalize, *resize: Any) -> Tensor:
    transform = Compose([*resize, ToTensor(), normalize])
    return torch.stack([transform(Image.fromarray(image.movedim(0, -1).numpy())) for image in images])


def torch_dinov2(state: dict[str, Tensor], positions: Tensor, images: Tensor) -> Tensor:
    """By torch's own layers; each block's scales are taken into the layers before them."""
    patches = nn.functional.conv2d(
        images, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=PATCH
    )
    tokens = patches.flatten(2).mT
    tokens = torch.cat([state["cls_token"].expand(len(tokens), 1, WIDTH), tokens], 1) + positions
    for block in ("blocks.0.", "blocks.1."):
        layer = nn.TransformerEncoderLayer(
            WIDTH, 2, 4 * WIDTH, 0, "gelu", 1e-6, batch_first=True, norm_first=True
        ).eval()
        part = {name.removeprefix(block): value for name, value in state.items() if name.startswith(block)}
        first, second = part["ls1.gamma"], part["ls2.gamma"]
        layer.load_state_dict(
            {
                "self_attn.in_proj_weight": part["attn.qkv.weight"],
                "self_attn.in_proj_bias": part["attn.qkv.bias"],
                "self_attn.out_proj.weight": part["attn.proj.weight"] * first[:, None],
                "self_attn.out_proj.bias": part["attn.proj.bias"] * first,
                "linear1.weight": part["mlp.fc1.weight"],
                "linear1.bias": part["mlp.fc1.bias"],
                "linear2.weight": part["mlp.fc2.weight"] * second[:, None],
                "linear2.bias": part["mlp.fc2.bias"] * second,
                **{name: part[name] for name in part if name.startswith("norm")},
            }
        )
        tokens = layer(tokens)
    return nn.functional.layer_norm(tokens[:, 0], (WIDTH,), state["norm.weight"], state["norm.bias"], 1e-6)


def cubic(positions: Tensor, grid: int) -> Tensor:
    """Keys's cubic interpolation (a = -0.75) at (i + 0.5) / scale - 0.5; scale = (grid + 0.1) / before."""
    before = round((positions.shape[1] - 1) ** 0.5)
    weights = np.zeros((grid, before))
    for row in range(grid):
        place = (row + 0.5) * before / (grid + 0.1) - 0.5
        for tap in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            x = abs(place - tap)
            near, far = 1.25 * x**3 - 2.25 * x**2 + 1, -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
            weights[row, min(max(tap, 0), before - 1)] += near if x <= 1 else far
    table = torch.from_numpy(weights)
    patches = positions[0, 1:].double().unflatten(0, (before, before))
    resized = torch.einsum("ia,jb,abc->ijc", table, table, patches).flatten(0, 1)
    return torch.cat([positions[0, :1], resized.float()])[None]


@pytest.mark.parametrize("grid", [16, 5, 37])
def test_dinov2_is_what_torch_computes(grid: int, tmp_path: Path) -> None:
    """The published file has positions for 37 x 37 patches, and pictures of 224 pixels have 16 x 16."""
    state, images = dinov2(grid), noise(2, 3, 40, 52)
    resize = Resize((SIDE, SIDE), InterpolationMode.BICUBIC)
    positions = state["pos_embed"] if grid == 16 else cubic(state["pos_embed"], 16)
    with torch.no_grad():
        expected = torch_dinov2(state, positions, prepared(images, IMAGENET, resize))
    seen = DINOv2(write(tmp_path / "dinov2.pth", state))(images)
    assert seen.features.dtype == torch.float32
    assert seen.logits is None
    torch.testing.assert_close(seen.features, expected, rtol=0, atol=2e-4 * float(expected.abs().max()))


def test_clip_is_what_torch_fidelity_computes(tmp_path: Path) -> None:
    network, images = clip(), noise(2, 3, 40, 53)
    path = write(tmp_path / "clip.bin", renamed(network.state_dict()))
    # The middle 40 columns.
    resize = Resize((70, 70), InterpolationMode.BICUBIC)
    expected = network(prepared(images[..., 6:46], OPENAI, resize))
    features = CLIP(path)(images).features
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def test_the_published_size_has_as_many_weights_as_the_published_file() -> None:
    """Which has 343 tensors of 304,368,640 numbers, the mask token's 1,024 among them, which is left out."""
    size = vision_transformer.Size(1024, 24, PATCH, 37**2 + 1, 4096, None)
    with torch.device("meta"):
        weights = vision_transformer.VisionTransformer(size, dinov2_file.FAMILY).state_dict()
    assert len(weights) == 342
    assert sum(weight.numel() for weight in weights.values()) == 304_368_640 - 1024


@each
def test_grey_is_three_equal_channels_and_no_batch_matters(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor, images = made(name, tmp_path), noise(3, 1, 28, 28)
    whole = extractor(images).features
    assert whole.shape == (3, extractor.dim)
    assert extractor(images[:0]).features.shape == (0, extractor.dim)
    monkeypatch.setattr(vision_transformer, "CHUNK", {"cpu": 2})
    torch.testing.assert_close(extractor(images.repeat(1, 3, 1, 1)).features, whole, rtol=0, atol=1e-4)
    with pytest.raises(Refused, match="1 or 3 channels, not 2"):
        extractor(noise(2, 2, 8, 8))


@each
def test_a_score_says_whose_weights_it_was_taken_with(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, state, module = OURS[name]
    assert re.fullmatch("[0-9a-f]{64}", module.PUBLISHED.sha256)
    generator = torch.random.get_rng_state()
    extractor = made(name, tmp_path)
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert (extractor.name, extractor.suffix) == (name, f"_{name}_custom")
    changed = {weight: tensor + (0.1 if "norm" in weight else 0) for weight, tensor in state().items()}
    path = write(tmp_path / "other.pth", changed)
    assert kind(path).identity() != extractor.identity()  # type: ignore[call-arg]
    assert kind(path).identity().keys() == extractor.identity().keys()  # type: ignore[call-arg]
    published = module.PUBLISHED._replace(sha256=file_digest(tmp_path / f"{name}.pth"))
    monkeypatch.setattr(kind, "origin", published)
    assert made(name, tmp_path).suffix == f"_{name}"
    with pytest.raises(Refused, match="cannot be named"):
        Module(nn.Identity(), path, name)


@each
def test_missing_weights_are_refused_by_every_place(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, _, module = OURS[name]
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(module.PUBLISHED.variable, raising=False)
    with pytest.raises(Refused) as refused:
        kind()
    text = str(refused.value)
    assert len(text.splitlines()) <= 3
    for place in ("weights (not given)", f"${module.PUBLISHED.variable}", module.PUBLISHED.url):
        assert place in text
    for cached in module.PUBLISHED.cached:
        assert f"{tmp_path}/home/hub/checkpoints/{cached}" in text
    assert not (tmp_path / "home").exists()
    monkeypatch.setenv(module.PUBLISHED.variable, made(name, tmp_path).origin.url)
    with pytest.raises(Refused):
        kind()
    monkeypatch.setenv(module.PUBLISHED.variable, str(tmp_path / f"{name}.pth"))
    assert kind().suffix == f"_{name}_custom"


def without(state: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if part not in name}


def swiglu() -> dict[str, Tensor]:
    """As DINOv2's largest size has it."""
    names = {"fc1": "w12", "fc2": "w3"}
    return {re.sub("fc[12]", lambda m: names[m[0]], name): value for name, value in dinov2().items()}


FOREIGN: dict[str, States] = {
    "dinov2": {
        "clip": lambda: renamed(clip().state_dict()),
        "registers": lambda: dinov2() | {"register_tokens": torch.zeros(1, 4, WIDTH)},
        "the largest size": swiglu,
        "no LayerScale": lambda: without(dinov2(), "gamma"),
        "a layer is missing": lambda: without(dinov2(), "blocks.1.norm1.bias"),
        "a shape": lambda: dinov2() | {"norm.bias": torch.zeros(WIDTH - 1)},
        "dimensions": lambda: dinov2() | {"pos_embed": torch.zeros(26, WIDTH)},
        "another network": lambda: nn.Linear(3, 4).state_dict(),
        "nothing": dict,
    },
    "clip": {
        "dinov2": dinov2,
        "OpenAI's own names": lambda: dict(clip().state_dict()),
        "no projection": lambda: without(renamed(clip().state_dict()), "visual_projection"),
        "no values": lambda: without(renamed(clip().state_dict()), "v_proj"),
        "no class": lambda: without(renamed(clip().state_dict()), "class_embedding"),
        "nothing": dict,
    },
}


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name in FOREIGN for kind in FOREIGN[name]])
def test_foreign_weights_are_refused_and_the_right_file_is_named(
    name: str, kind: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "foreign.pth", FOREIGN[name][kind]())
    with pytest.raises(Refused, match=r"foreign\.pth does not hold the weights of") as refused:
        OURS[name][0](path)  # type: ignore[call-arg]
    assert OURS[name][2].PUBLISHED.url in str(refused.value)
    assert len(str(refused.value).splitlines()) <= 3


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "flat": torch.flatten,
    "shorter": lambda tensor: tensor[..., :-1] if tensor.ndim else tensor,
    "twice": lambda tensor: torch.stack([tensor, tensor]).flatten(0, 1) if tensor.ndim else tensor,
    "turned": lambda tensor: tensor.transpose(0, -1) if tensor.ndim else tensor,
    "of a few rows": lambda tensor: tensor[:2],
    "a row more": lambda tensor: tensor[None],
    "a number": lambda tensor: torch.tensor(1.0),
    "empty": lambda tensor: torch.empty(0),
    "whole numbers": Tensor.long,
    "half precision": Tensor.half,
    "complex": lambda tensor: tensor.to(torch.complex64),
    "truths": lambda tensor: tensor > 0,
    "sparse": Tensor.to_sparse,
}


def garbled(state: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    source = random.Random(seed)
    for _ in range(source.choice([1, 1, 2])):
        name = source.choice([name for name, tensor in state.items() if tensor.layout == torch.strided])
        kind = source.choice(["dropped", "renamed", *CHANGES])
        tensor = state[name]
        if kind in CHANGES and (tensor.ndim or "row" not in kind):
            state[name] = CHANGES[kind](tensor)
        else:
            del state[name]
        if kind == "renamed":
            state |= {f"blocks.{name}": tensor}
    return state


@pytest.mark.parametrize("part", SHARES)
def test_garbled_weights_are_refused_or_give_features(part: int, tmp_path: Path) -> None:
    images = noise(2, 3, 20, 20)

    def features(name: str, seed: int) -> Tensor:
        kind, state, _ = OURS[name]
        extractor = kind(write(tmp_path / "garbled.pth", garbled(state(), seed)))  # type: ignore[call-arg]
        seen = extractor(images).features
        assert seen.shape == (2, extractor.dim)
        return seen

    results = [
        result_or_refusal(lambda name=name, seed=seed: features(name, seed))
        for name, seed in share_of([(name, seed) for name in OURS for seed in range(300)], part)
    ]
    assert 0 < sum(isinstance(result, str) for result in results) < len(results)


@each
def test_files_that_are_no_weights_are_refused_and_the_right_file_is_named(name: str, tmp_path: Path) -> None:
    kind, state, module = OURS[name]
    whole = Path(write(tmp_path / "whole.pth", state()))
    (tmp_path / "cut.pth").write_bytes(whole.read_bytes()[:20_000])
    torch.save(nn.Linear(1, 1), tmp_path / "code.pth")
    torch.jit.script(nn.Linear(1, 1)).save(tmp_path / "script.pth")
    (tmp_path / "empty.pth").touch()
    for path in (tmp_path / f"{kind}.pth" for kind in ("cut", "code", "script", "empty")):
        with pytest.raises(Refused, match=path.name) as refused:
            kind(str(path))  # type: ignore[call-arg]
        assert module.PUBLISHED.url in str(refused.value)
        assert len(str(refused.value).splitlines()) <= 3


def test_on_the_command_line(tmp_path: Path) -> None:
    """The names say `custom`: these weights are random."""
    write(tmp_path / "small.pth", dinov2())
    for side in ("fakes", "reals"):
        with zipfile.ZipFile(tmp_path / f"{side}.zip", "w") as archive:
            for number in range(3):
                with archive.open(f"{number}.png", "w") as file:
                    Image.fromarray(noise(12, 12, 3).numpy() // (number + 1)).save(file, "PNG")
    arguments = ("--extractor", "DINOv2", "--weights", "small.pth", "--scores", "fid,cmmd")
    answer = here("evaluate", "fakes.zip", "--reference", "reals.zip", *arguments, folder=tmp_path)
    assert answer.code == 0, answer
    assert "fid3_dinov2_custom" in answer.out
    assert "cmmd3_dinov2_custom" in answer.out
    answer = here("evaluate", "fakes.zip", "--reference", "reals.zip", "--extractor", "CLIP", folder=tmp_path)
    assert answer.code == 2, answer
    assert clip_file.PUBLISHED.url in answer.err
