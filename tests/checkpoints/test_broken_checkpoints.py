"""Whatever a checkpoint holds, `ganlab.load` loads it or refuses it in a sentence, and runs nothing of it."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import socket
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fuzzing import result_or_refusal
from test_rebuild import ADAM, STEP, hyperparameters
from torch import nn

import ganlab
from ganlab.checkpoints.checksummed import write_checksummed
from ganlab.checkpoints.rebuild import rebuild
from ganlab.game.gan import GAN


def content() -> dict[str, Any]:
    """What a checkpoint of a run holds."""
    settings = hyperparameters(generator_optimizer=ADAM, generator_scheduler=STEP, augmentations=["flip"])
    game = rebuild(settings, Path("a test"))
    return {
        "state_dict": game.state_dict(),
        "global_step": 7,
        "hyper_parameters": settings,
        "ganlab": "0.2.0",
        "played": {"images_per_step": 8, "processes": 1, "accumulation": 1},
        "epoch": 0,
        "pytorch-lightning_version": "2.5",
        "loops": {},
        "callbacks": {},
        "optimizer_states": [],
        "lr_schedulers": [],
    }


WHOLE = content()
NEEDED = ("state_dict", "global_step", "hyper_parameters")
WRONG: dict[str, Any] = {
    "None": None,
    "a number": 5,
    "a negative number": -1,
    "a real": 1.5,
    "not a number": float("nan"),
    "a huge number": 10**400,
    "a text": "x",
    "an empty text": "",
    "a list": [1],
    "nothing": {},
    "a mapping": {"x": 1},
    "numbers for names": {5: 5},
    "a tensor": torch.zeros(2),
    "a set": {1, 2},
    "bytes": b"x",
    "a path": "/etc/passwd",
}


def loaded(path: Path, *, must_refuse: bool = False) -> None:
    """Load a checkpoint; any error but a refusal in a few lines fails."""
    game = result_or_refusal(lambda: ganlab.load(path))
    assert isinstance(game, str) or (isinstance(game, GAN) and not must_refuse)


def check(changed: Any, folder: Path, *, must_refuse: bool = False) -> None:
    """Load a checkpoint of that content, with a checksum."""
    write_checksummed(folder / "step-000000007.ckpt", changed)
    loaded(folder / "step-000000007.ckpt", must_refuse=must_refuse)


def test_the_whole_one_loads(tmp_path: Path) -> None:
    write_checksummed(tmp_path / "whole.ckpt", WHOLE)
    assert ganlab.load(tmp_path / "whole.ckpt").sample(2, seed=0).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("key", WHOLE)
def test_keys_that_are_missing_or_hold_something_else(key: str, tmp_path: Path) -> None:
    check({name: value for name, value in WHOLE.items() if name != key}, tmp_path, must_refuse=key in NEEDED)
    for value in [*WRONG.values()][:: 1 if key in NEEDED else 5]:
        check({**WHOLE, key: value}, tmp_path, must_refuse=key in ("state_dict", "hyper_parameters"))


@pytest.mark.parametrize("value", WRONG)
def test_content_that_is_no_checkpoints(value: str, tmp_path: Path) -> None:
    check(WRONG[value], tmp_path, must_refuse=True)
    check({**WHOLE, "played": {"images_per_step": WRONG[value]}}, tmp_path)


# Weights


FIRST = next(name for name in WHOLE["state_dict"] if name.startswith("generator") and "weight" in name)
RIGHT: torch.Tensor = WHOLE["state_dict"][FIRST]
TENSORS: dict[str, Callable[[], Any]] = {
    "another shape": lambda: RIGHT[:1],
    "more dimensions": lambda: RIGHT[None],
    "integers": lambda: RIGHT.long(),
    "truths": lambda: RIGHT > 0,
    "complex numbers": lambda: RIGHT.to(torch.complex64),
    "sparse": RIGHT.to_sparse,
    "compressed": RIGHT.to_sparse_csr,
    "quantised": lambda: torch.quantize_per_tensor(RIGHT, 0.1, 0, torch.qint8),
    "nested": lambda: torch.nested.nested_tensor([RIGHT, RIGHT]),
    "without memory": lambda: RIGHT.to("meta"),
    "one number many times over": lambda: torch.zeros(1).expand(10**12),
    "one number in its shape": lambda: torch.zeros(1, 1).expand_as(RIGHT),
    "numbers of numpy": RIGHT.numpy,
    "of eight bits": lambda: RIGHT.to(torch.float8_e4m3fn),
    "half": RIGHT.half,
    "double": RIGHT.double,
    "transposed": lambda: RIGHT.T.contiguous().T,
    "no numbers": lambda: torch.full_like(RIGHT, torch.nan),
    "a parameter": lambda: nn.Parameter(RIGHT),
}
UNFIT = {"another shape", "more dimensions", "integers", "truths", "complex numbers", "sparse", "compressed"}
UNFIT |= {"quantised", "nested", "without memory", "one number many times over", "numbers of numpy"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [*TENSORS, *WRONG])
def test_weights_that_are_others(case: str, tmp_path: Path) -> None:
    value = TENSORS[case]() if case in TENSORS else WRONG[case]
    must_refuse = case in UNFIT or case in WRONG
    check({**WHOLE, "state_dict": {**WHOLE["state_dict"], FIRST: value}}, tmp_path, must_refuse=must_refuse)
    check({**WHOLE, "state_dict": {**WHOLE["state_dict"], "x": value, 5: value}}, tmp_path, must_refuse=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [*TENSORS, *WRONG])
def test_buffers_of_each_process_that_are_others(case: str, tmp_path: Path) -> None:
    value, right = TENSORS[case]() if case in TENSORS else WRONG[case], {FIRST: RIGHT}
    check({**WHOLE, "per_process": [right, right]}, tmp_path)
    must_refuse = case in UNFIT or case in WRONG
    check({**WHOLE, "per_process": [right, {FIRST: value}]}, tmp_path, must_refuse=must_refuse)
    check({**WHOLE, "per_process": value}, tmp_path, must_refuse=True)
    for saved in ([right, {}], [right, {**right, "x": value}], [{"x": RIGHT}]):
        check({**WHOLE, "per_process": saved}, tmp_path, must_refuse=True)


# Arguments


def places(tree: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value in a tree."""
    if place:
        yield place
    below = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, value in below:
        yield from places(value, (*place, name))


def replaced(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    tree = branch = copy.deepcopy(tree)
    for name in place[:-1]:
        branch = branch[name]
    branch[place[-1]] = value
    return tree


PLACES = list(places(WHOLE["hyper_parameters"]))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_arguments_that_are_others(place: tuple[Any, ...], tmp_path: Path) -> None:
    for value in [*WRONG.values()][PLACES.index(place) % 5 :: 5]:
        check({**WHOLE, "hyper_parameters": replaced(WHOLE["hyper_parameters"], place, value)}, tmp_path)


# Files


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch sprung",)


def whole(path: Path) -> bytes:
    write_checksummed(path, WHOLE)
    return path.read_bytes()


def with_pickle(path: Path, text: bytes) -> None:
    """The whole checkpoint's archive with another pickle in it."""
    whole(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, text if name.endswith("data.pkl") else content)


def archived(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("pickle"), io.BytesIO(b""))


def legacy(path: Path) -> None:
    torch.save({**WHOLE, "callbacks": Bomb()}, path, _use_new_zipfile_serialization=False)


def remade(change: Callable[[bytes], bytes]) -> Callable[[Path], Any]:
    """The whole checkpoint with a change in its bytes, and no checksum to tell."""
    return lambda path: path.write_bytes(change(whole(path)[:-71] + b"\0\0"))


def bound(path: Path) -> None:
    home = Path.cwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(path.name)
    os.chdir(home)


FILES: dict[str, Callable[[Path], Any]] = {
    "missing": lambda path: None,
    "empty": Path.touch,
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a socket": bound,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a text": lambda path: path.write_text("state_dict: {}\n" * 50),
    "a JSON text": lambda path: path.write_text(json.dumps({"state_dict": {}, "global_step": 1})),
    "zeros": lambda path: path.write_bytes(bytes(10_000)),
    "half": lambda path: path.write_bytes(whole(path)[:5_000]),
    "all but a byte": lambda path: path.write_bytes(whole(path)[:-1]),
    "without its checksum": lambda path: path.write_bytes(whole(path)[:-71]),
    "a wrong checksum": lambda path: path.write_bytes(whole(path)[:-64] + b"0" * 64),
    "a flipped byte": remade(lambda content: content[:200] + bytes([content[200] ^ 255]) + content[201:]),
    "a hole": remade(lambda content: content[:1000] + bytes(2000) + content[3000:]),
    "a part twice": remade(lambda content: content[:2000] + content),
    "no head": remade(lambda content: content[100:]),
    "an archive of nothing": lambda path: zipfile.ZipFile(path, "w").close(),
    "an archive of pictures": lambda path: np.savez(path.open("wb"), images=np.zeros((2, 8, 8, 3))),
    "an archive of tar": archived,
    "a pickle": lambda path: path.write_bytes(pickle.dumps({"state_dict": {}, "global_step": 1})),
    "a pickle of code": lambda path: path.write_bytes(pickle.dumps(Bomb())),
    "code among the values": lambda path: torch.save({**WHOLE, "callbacks": Bomb()}, path),
    "code in the form of old": legacy,
    "a module": lambda path: torch.save(nn.Linear(2, 2), path),
    "a module among the values": lambda path: torch.save({**WHOLE, "state_dict": nn.Linear(2, 2)}, path),
    "a class": lambda path: torch.save({**WHOLE, "callbacks": GAN}, path),
    "a pickle of bytes": lambda path: with_pickle(path, bytes(range(256))),
    "a pickle that ends": lambda path: with_pickle(path, b"\x80\x02}q"),
    "a pickle without an end": lambda path: with_pickle(path, b"\x80\x02" + b"]" * 100_000),
    "a pickle of nothing": lambda path: with_pickle(path, b""),
    "a pickle that fills memory": lambda path: with_pickle(
        path, b"\x80\x02cbuiltins\nbytearray\n\x8a\x06\0\0\0\0\0\x10\x85R."
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", FILES)
def test_files_that_are_no_checkpoints(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    FILES[case](tmp_path / "step-000000007.ckpt")
    loaded(tmp_path / "step-000000007.ckpt", must_refuse=case not in ("a flipped byte", "a hole"))
    assert not (tmp_path / "sprung").exists()
