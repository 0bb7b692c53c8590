"""How fast images load: python scripts/benchmark_data.py --cats ZIP_OR_FOLDER --mnist ROOT [--json FILE]

On the same files, both ending in batches of 64 normalised float32 images on the host:

- torchvision's ImageFolder (its MNIST), transforms and a shuffled DataLoader with two workers;
- ganlab's CatsVsDogs (MNIST), whose pictures are decoded once; the time for that is printed beside.

They run in turn, lap after lap, in one process, so that other work on the machine slows both. The first lap
warms up. A ratio compares the laps of one round; numbers are medians over rounds, with the range.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from ganlab import data
from ganlab.data.pictures.picture_files import PictureFiles
from ganlab.data.stream import StreamData
from ganlab.system import hardware

BATCH, ROUNDS, SECONDS, SIZE = 64, 5, 4.0, 64

Batches = Iterator[Tensor]


def torchvision_batches(items: Any) -> Batches:
    loader = DataLoader(items, BATCH, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True)
    while True:
        for images, _ in loader:
            yield images


def ganlab_batches(source: StreamData) -> Batches:
    for images, *_ in source.train_dataloader():
        yield source.played((images,))[0]


def unpack(source: PictureFiles, folder: Path) -> Path:
    """Write the training pictures into a folder for each class, as torchvision expects them."""
    archive, _ = source.source
    for index, picture in enumerate(source.files["train"]):
        path = folder / str(picture.label) / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive.read(picture.name))
    return folder


def lap(batches: Batches) -> float:
    """Images per second."""
    start, images = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < SECONDS:
        images += len(next(batches))
    return images / elapsed


def race(contestants: dict[str, Batches]) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(1 + ROUNDS):
        for name, batches in contestants.items():
            rates[name].append(lap(batches))
    return {name: values[1:] for name, values in rates.items()}


def timed(build: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return build(), time.perf_counter() - start


def load(source: StreamData) -> StreamData:
    source.prepare_data()
    source.setup("fit")
    return source


def cats(path: str, folder: Path) -> tuple[dict[str, Batches], str]:
    os.environ["GANLAB_CACHE"] = str(folder / "cache")
    source, first_seconds = timed(lambda: load(data.CatsVsDogs(root=path, size=SIZE, batch_size=BATCH)))
    again, later_seconds = timed(lambda: load(data.CatsVsDogs(root=path, size=SIZE, batch_size=BATCH)))
    steps = [
        transforms.Resize((SIZE, SIZE)),
        transforms.ToTensor(),
        transforms.Normalize([0.5] * 3, [0.5] * 3),
    ]
    items = datasets.ImageFolder(str(unpack(source, folder / "cats")), transforms.Compose(steps))
    contestants = {"torchvision": torchvision_batches(items), "ganlab": ganlab_batches(again)}
    return (
        contestants,
        f"the cache of {len(items):,} pictures took {first_seconds:.1f} s once; later {later_seconds:.2f} s",
    )


def mnist(path: str, folder: Path) -> tuple[dict[str, Batches], str]:
    # torchvision unpacks beside the files.
    root = copytree(Path(path) / "MNIST", folder / "root" / "MNIST").parent
    source, seconds = timed(lambda: load(data.MNIST(root=str(root), batch_size=BATCH)))
    steps = [transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
    items = datasets.MNIST(str(root), download=True, transform=transforms.Compose(steps))
    contestants = {"torchvision": torchvision_batches(items), "ganlab": ganlab_batches(source)}
    return contestants, f"reading took {seconds:.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cats", help="the set's folder or zip")
    parser.add_argument("--mnist", help="the folder that holds MNIST/raw")
    parser.add_argument("--json", type=Path, help="write all numbers there, too")
    arguments = parser.parse_args()
    hardware.keep_freed_memory()
    print(", ".join(f"{key}: {value}" for key, value in hardware.describe().items()))
    print(f"torch {torch.__version__}, load average before the start: {os.getloadavg()[0]:.1f}", flush=True)
    results = {}
    for build, path in ((cats, arguments.cats), (mnist, arguments.mnist)):
        if not path:
            continue
        with tempfile.TemporaryDirectory() as folder:
            contestants, note = build(path, Path(folder))
            rates = race(contestants)
        results[build.__name__] = rates
        print(f"{build.__name__}: {note}")
        for name, values in rates.items():
            print(f"  {name:12}{median(values):>11,.0f} images/s   {min(values):,.0f} - {max(values):,.0f}")
        ratios = [mine / theirs for mine, theirs in zip(rates["ganlab"], rates["torchvision"], strict=True)]
        print(f"  {'ratio':12}{median(ratios):>11.1f}            {min(ratios):.1f} - {max(ratios):.1f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
