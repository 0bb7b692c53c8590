"""Hundreds of hostile exports with fixed seeds: nothing runs, no memory fills up, no traceback, no hang."""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import write
from fuzzing import SHARES, result_or_refusal, said, share_of, state_of, tried
from later import later
from safetensors.torch import save
from test_broken_checkpoints import places, replaced
from test_rebuild import FAMILIES, hyperparameters

import ganlab
from ganlab.checkpoints.allow_list import ALLOWED
from ganlab.checkpoints.rebuild import rebuild
from ganlab.system.hardware import peak_memory

CASES = 3_000
MOST_GB, ROOM = "0.3", 1.5e9  # what a game may fill, and bytes that all of a part's may
LAYERS = sorted(path for path in ALLOWED if path.startswith("torch.nn."))
OTHERS = ["os.system", "subprocess.Popen", "my_trap.Net", "builtins.eval", "torch.hub.load", "", "."]
NUMBERS = [0, -1, 1, 3, 17, 1000, 65_537, 10**6, 10**9, 10**11, 2**31, 2**63, 10**30, -(10**11), 10**400]
REALS = [0.5, -1.0, 1e6, 1e10, 1e300, float("nan"), float("inf"), -float("inf")]
TEXTS = ["", "x", "ema", "\x1b[31m", "../../etc/passwd", "my_trap.Net", "é" * 1000, "batch", "normal"]
ARGUMENTS = [
    *("in_features", "out_features", "in_channels", "out_channels", "kernel_size", "stride", "padding"),
    *("num_features", "scale_factor", "size", "value", "num_layers", "num_embeddings", "embedding_dim"),
    *("d_model", "nhead", "input_size", "hidden_size", "output_size", "groups", "dilation", "bias"),
    *("dim", "unflattened_size", "normalized_shape", "upscale_factor", "num_groups", "num_channels"),
    *("modules", "encoder_layer", "p", "device", "dtype", "mode", "inplace", "negative_slope"),
]


@cache  # Made when they are needed: to make all takes seconds in which every process of tests would wait.
def export(family: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The configuration and the weights of an export."""
    settings = hyperparameters(network=family)
    torch.manual_seed(0)
    game = rebuild(settings, Path("a test"))
    config = {
        "format": 2,
        "ganlab": "0.2.0",
        "variant": "ganlab.variants.HingeGAN",
        "game": {"class_path": "ganlab.GAN", "init_args": {"latent_size": 4}},
        "generator": settings["generator"],
        "weights": "ema",
        "step": 7,
    }
    return config, {name: value.contiguous() for name, value in game.generator.state_dict().items()}


def hostile_value(chance: random.Random, levels: int = 3) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: chance.choice(NUMBERS),
        lambda: chance.choice(REALS),
        lambda: chance.choice(TEXTS),
        lambda: chance.choice([None, True, False, {}, []]),
    ]
    if levels:
        kinds += [
            lambda: [hostile_value(chance, levels - 1) for _ in range(chance.choice([1, 2, 3, 50]))],
            lambda: {chance.choice(TEXTS): hostile_value(chance, levels - 1)},
            lambda: [chance.choice(NUMBERS)] * chance.choice([2, 3, 4, 999, 1001]),
            lambda: hostile_network(chance, levels - 1),
            lambda: {"class_path": chance.choice(OTHERS), "init_args": {"args": "touch sprung"}},
        ]
    return chance.choice(kinds)()


def hostile_network(chance: random.Random, levels: int = 3) -> dict[str, Any]:
    names = chance.sample(ARGUMENTS, chance.randrange(5))
    sizes = chance.choice([NUMBERS, [4, 64], [2, 10**5, 10**8]])
    arguments = {
        name: chance.choice(sizes) if chance.random() < 0.7 else hostile_value(chance, levels)
        for name in names
    }
    return {"class_path": chance.choice([*LAYERS, *OTHERS]), "init_args": arguments}


def at_a_place(config: Any, chance: random.Random) -> Any:
    """Other values in one to three places."""
    for _ in range(chance.choice([1, 1, 2, 3])):
        config = replaced(config, chance.choice([*places(config)]), hostile_value(chance))
    return config


def larger(config: Any, chance: random.Random) -> Any:
    """Other sizes of the network's, or of latents."""
    value = chance.choice(NUMBERS)
    sizes = [
        {"width": value, "max_width": chance.choice([value, 10**12])},
        {"hidden": [value] * chance.choice([1, 5])},
        {"shape": [chance.choice([1, value]), value, value]},
        {"blocks": value},
        {"expansion": value, "group_size": 1},
    ]
    config["generator"]["init_args"].update(chance.choice(sizes))
    if chance.random() < 0.3:
        config["game"]["init_args"]["latent_size"] = chance.choice(NUMBERS)
    return config


def other_network(config: Any, chance: random.Random) -> Any:
    player = chance.choice(["generator", "generator", "discriminator"])
    return {**config, player: hostile_network(chance)}


def nested(config: Any, chance: random.Random) -> Any:
    content = hostile_value(chance)
    for _ in range(chance.choice([10, 40, 60, 500])):
        content = chance.choice([
            lambda below: [below],
            lambda below: {"class_path": "torch.nn.ModuleList", "init_args": {"modules": [below]}},
            lambda below: {"x": below},
        ])(content)  # fmt: skip
    return replaced(config, chance.choice([*places(config)]), content)


def more_keys(config: Any, chance: random.Random) -> Any:
    names = ["build", "self", "kind", "_class_path", "classes", "code", "dict_kwargs", ""]
    parts = [config, config["game"], config["generator"], config["generator"]["init_args"]]
    for part in chance.sample(parts, 2):
        part[chance.choice(names)] = hostile_value(chance)
    return config


CHANGES = [at_a_place, larger, other_network, nested, more_keys]


def garbled(content: bytes, chance: random.Random) -> bytes:
    """Bytes that were changed, cut, moved or doubled."""
    place = chance.randrange(len(content))
    kind = chance.randrange(5)
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + content[chance.randrange(len(content)) :]
    if kind == 2:
        return chance.choice([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\0"]) + content + content[:place]
    changed = bytearray(content)
    for _ in range(chance.choice([1, 3, 30])):
        changed[chance.randrange(min(len(changed), chance.choice([10, 300, 10**6])))] = chance.randrange(256)
    return bytes(changed)


def header_changed(content: bytes, chance: random.Random) -> bytes:
    """Other names, kinds, shapes and places in the header of a file of weights."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    name = chance.choice([each for each in header if each != "__metadata__"])
    change = chance.randrange(5)
    if change == 0:
        header[chance.choice(["../x", "x" * 10_000, "", "__class__"])] = header.pop(name)
    elif change == 1:
        shapes = [[], [0], [-1], [10**12], [2**63], [2**32, 2**32], "x", [1] * 999]
        header[name]["shape"] = chance.choice(shapes)
    elif change == 2:
        header[name]["dtype"] = chance.choice(["F64", "BF16", "I8", "BOOL", "F8_E4M3", "X", "", 5])
    elif change == 3:
        header[name]["data_offsets"] = chance.choice([[0, 0], [0, 10**15], [10, 0], [-1, 4], [], "x"])
    else:
        header["__metadata__"] = chance.choice([{"x": 5}, [], {"format": "pickle"}, "x"])
    text = json.dumps(header).encode()
    length = chance.choice([len(text), len(text), 0, 2**40, 2**63]) if change == 4 else len(text)
    return length.to_bytes(8, "little") + text + content[8 + size :]


def write_export(folder: Path, number: int) -> None:
    """The files of a case."""
    chance = random.Random(number)
    config, weights = export(chance.choice(FAMILIES))
    content = save(weights)
    config = json.loads(json.dumps(config))
    kind = number // len(SHARES) % 8  # so that each part has all kinds
    if kind < 5:
        config = CHANGES[kind](config, chance)
    text = json.dumps(config).encode()
    text = garbled(text, chance) if kind == 5 else text
    content = header_changed(content, chance) if kind == 6 else content
    content = garbled(content, chance) if kind == 7 else content
    for name, data in (("config.json", text), ("generator.safetensors", content)):
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(data)
    if kind == 7 and chance.random() < 0.3:
        os.truncate(folder / "generator.safetensors", chance.choice([10**10, 10**12]))


@pytest.mark.parametrize("part", SHARES)
def test_hostile_exports(part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "open('sprung', 'w')\nclass Net: pass\n", "my_trap.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("GANLAB_MOST_GB", MOST_GB)
    folder = tmp_path / "export"
    folder.mkdir()
    write(folder, "open('sprung', 'w')\nclass Net: pass\n", "my_trap.py")
    held = peak_memory(torch.device("cpu"))
    for turn, number in enumerate(share_of(range(CASES), part)):
        write_export(folder, number)
        before = state_of(tmp_path)
        result_or_refusal(lambda: ganlab.load(folder))
        if turn % 4 == 0:
            said(tried("sample", folder, "--out", "grid.png", "--count", "3", folder=tmp_path))
            (tmp_path / "grid.png").unlink(missing_ok=True)
        if turn % 25 == 0:
            arguments = ("--reference", "Digits", "--extractor", "Pixels", "--samples", "40")
            said(tried("evaluate", folder, *arguments, folder=tmp_path, GANLAB_CACHE=str(tmp_path.parent)))
        after = state_of(tmp_path)
        assert after == before, number
        assert "my_trap" not in sys.modules, number
        assert peak_memory(torch.device("cpu")) - held < ROOM, number


@pytest.mark.parametrize("family", later(FAMILIES, FAMILIES[::2]))
def test_the_exports_load_without_a_change(family: str, tmp_path: Path) -> None:
    config, weights = export(family)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "generator.safetensors").write_bytes(save(weights))
    game = ganlab.load(tmp_path)
    assert game.sample(2, seed=0).shape == (2, *config["generator"]["init_args"]["shape"])


def test_a_file_of_weights_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    config, weights = export(FAMILIES[0])
    (tmp_path / "config.json").write_text(json.dumps(config))
    size = 2**40
    header = json.dumps({"x": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with (tmp_path / "generator.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    held = peak_memory(torch.device("cpu"))
    refusal = result_or_refusal(lambda: ganlab.load(tmp_path))
    assert isinstance(refusal, str)
    assert "far more than the weights" in refusal
    assert peak_memory(torch.device("cpu")) - held < 1e8
    assert len(weights) > 1
