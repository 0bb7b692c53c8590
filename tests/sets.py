"""Small data sets in the layouts of the official ones, with contents that tests can recognise."""

import csv
import gzip
import io
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.io import wavfile

DIGITS = ("MNIST", "FashionMNIST", "KMNIST")
ATTRIBUTES = ("5_o_Clock_Shadow", "Male", "Smiling")


def write_idx(folder: Path, name: str, array: np.ndarray, *, packed: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    content = header + array.astype(np.uint8).tobytes()
    path = folder / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def digits(root: Path, *, train: int = 20, test: int = 10) -> Path:
    """Image i of each part is random, but for its first pixel, i, and its label is i mod 10."""
    source = np.random.default_rng(0)
    prefixes = [(name, "", "t10k") for name in DIGITS]
    prefixes += [("EMNIST", f"emnist-{part}-", "test") for part in ("balanced", "letters")]
    for name, prefix, held_out in prefixes:
        for part, count in (("train", train), (held_out, test)):
            images = source.integers(0, 256, (count, 28, 28))
            images[:, 0, 0] = np.arange(count)
            labels = np.arange(count) % 10 + ("letters" in prefix)
            write_idx(root / name / "raw", f"{prefix}{part}-images-idx3-ubyte", images)
            write_idx(root / name / "raw", f"{prefix}{part}-labels-idx1-ubyte", labels)
    return root


def cifar10(root: Path, *, each: int = 4, packed: bool = False) -> Path:
    """Image i of a file has i in red, 100 in green and 200 in blue everywhere, and its label is i."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    planes = np.arange(each)[:, None] * [1, 0, 0] + np.array([0, 100, 200])
    pixels = planes[:, :, None].repeat(1024, 2).reshape(each, 3072).astype(np.uint8)
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        batch = {b"data": pixels, b"labels": list(range(each)), b"batch_label": name.encode()}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    if packed:
        with tarfile.open(root / "cifar-10-python.tar.gz", "w:gz") as archive:
            archive.add(folder, folder.name)
        shutil.rmtree(folder)
    return root


def picture(number: int, width: int = 20, height: int = 16) -> Image.Image:
    """A picture whose colour depends on the number, with some texture."""
    colour = np.array([number * 37 % 200, number * 91 % 200, number * 53 % 200])
    texture = np.random.default_rng(number).integers(0, 30, (height, width, 1))
    return Image.fromarray((colour + texture).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG") -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return content.getvalue()


def pets(layout: str, each: int = 12) -> dict[str, bytes]:
    """Names and contents of pictures of cats and dogs; picture i of a kind is the same in all layouts."""
    names = {
        "kaggle": "train/{kind}.{number}.jpg",
        "microsoft": "PetImages/{Kind}/{number}.jpg",
        "folders": "{part}/{kind}s/{number}.jpg",
    }
    files = {}
    for offset, kind in ((0, "cat"), (100, "dog")):
        for number in range(each):
            part = "test" if number % 4 == 0 else "train"
            name = names[layout].format(kind=kind, Kind=kind.title(), number=number, part=part)
            files[name] = encoded(picture(offset + number))
    extra = {"kaggle": {"test1/1.jpg": encoded(picture(7))}, "microsoft": {"PetImages/Cat/Thumbs.db": b"x"}}
    return files | extra.get(layout, {})


def wav(samples: np.ndarray, rate: int) -> bytes:
    """A .wav file with these numbers as they are: its depth follows from their type."""
    wavfile.write(file := io.BytesIO(), rate, samples)
    return file.getvalue()


def speech() -> dict[str, bytes]:
    """Of ten digits and seven takes a tone of a pitch of its own, some tenths of a second long."""
    files = {}
    for digit, take in product(range(10), range(7)):
        time = np.arange(2000 + 300 * take) / 8000
        samples = (np.sin(2 * np.pi * (200 + 150 * digit + 9 * take) * time) * 9000).astype(np.int16)
        files[f"recordings/{digit}_ann_{take}.wav"] = wav(samples, 8000)
    return files


def pairs(train: int = 8, held_out: int = 12) -> dict[str, bytes]:
    """Pictures of two halves, side by side."""
    parts = ["train"] * train + ["val"] * held_out
    return {f"{part}/{n}.png": encoded(picture(n, 32, 16), "PNG") for n, part in enumerate(parts)}


def faces(
    *, count: int = 20, width: int = 178, height: int = 218, partition: bool = True, table: str = "txt"
) -> dict[str, bytes]:
    """Grey faces whose middle (148 x 148 of 178 x 218) is white; of face i attribute k is bit k of i."""
    files, scale = {}, width / 178
    names = [f"{number:06d}.jpg" for number in range(1, count + 1)]
    for number, name in enumerate(names, 1):
        pixels = np.full((height, width), number, np.uint8)
        top, left, side = round(35 * scale), round(15 * scale), round(148 * scale)
        pixels[top : top + side, left : left + side] = 255
        files[f"img_align_celeba/{name}"] = encoded(Image.fromarray(pixels))
    rows = [[1 if number >> bit & 1 else -1 for bit in range(3)] for number in range(1, count + 1)]
    parts = [int(number > count * 0.7) + int(number > count * 0.9) for number in range(1, count + 1)]
    if table == "csv":
        files["list_attr_celeba.csv"] = _csv([["image_id", *ATTRIBUTES], *_named(names, rows)])
        files["list_eval_partition.csv"] = _csv([["image_id", "partition"], *zip(names, parts, strict=True)])
    else:
        lines = [str(count), " ".join(ATTRIBUTES), *(" ".join(map(str, row)) for row in _named(names, rows))]
        files["list_attr_celeba.txt"] = "\n".join(lines).encode()
        lines = [f"{name} {part}" for name, part in zip(names, parts, strict=True)]
        files["list_eval_partition.txt"] = "\n".join(lines).encode()
    return {name: content for name, content in files.items() if partition or "partition" not in name}


def _named(names: list[str], rows: list[list[int]]) -> Iterable[list[object]]:
    return ([name, *row] for name, row in zip(names, rows, strict=True))


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def packed(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def gif(clip: np.ndarray) -> bytes:
    """A film of bytes (frames, height, width), or with three channels behind; equal frames become one."""
    first, *others = [Image.fromarray(frame) for frame in clip]
    first.save(file := io.BytesIO(), "GIF", save_all=True, append_images=others, duration=100)
    return file.getvalue()


def films(count: int = 20, frames: int = 20) -> dict[str, bytes]:
    """Of each a light square that moves to the right, at a height of its own, on black."""
    files = {}
    for number in range(count):
        clip = np.zeros((frames, 24, 32), np.uint8)
        for frame in range(frames):
            clip[frame, number % 16 : number % 16 + 8, frame : frame + 8] = 150 + number
        files[f"{number:02}.gif"] = gif(clip)
    return files


def attached(
    data: Any, *, world: int = 1, rank: int = 0, turns: int = 1, step: int = 0, training: bool = True
) -> Any:
    """Data that are set up for a process of a training that stands at this step."""
    data.trainer = SimpleNamespace(
        world_size=world,
        global_rank=rank,
        global_step=step,
        training=training,
        lightning_module=SimpleNamespace(critic_steps=turns, dtype=torch.float32),
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )
    data.prepare_data()
    data.setup("fit")
    return data
