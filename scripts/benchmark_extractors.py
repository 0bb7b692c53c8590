"""Inception features per second: python scripts/benchmark_extractors.py [--weights FILE] [--json FILE]

ganlab's extractor (float32 and bf16, each as it is and compiled) against torch-fidelity's own network, on
the same 32 x 32 images, 16 at a time and from bytes to features. They take turns, lap after lap
(a b c a b c ...), so that other work on the machine slows all of them; the first lap warms up and is not
counted. A ratio compares the laps of one round. Every number is the median over rounds, with the least and
the greatest.

The errors are those of the features and of the Fréchet distance between two kinds of images, relative to
torch-fidelity's. Without --weights they are a seeded random network's: valid for speed and rounding, while
the distances mean nothing, and bf16 errs more than with trained weights.
"""

import argparse
import io
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from unittest.mock import patch

# With yesterday's compiled code in its cache the compiler would not show how long compiling takes.
os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch_fidelity.feature_extractor_inceptionv3 import (  # type: ignore[import-untyped]
    FeatureExtractorInceptionV3,
)

from ganlab.metrics.extractors.inception import Inception
from ganlab.system import hardware

LAP = 16
REFERENCE = "torch-fidelity"
OURS: dict[str, dict[str, Any]] = {
    "float32": {},
    "float32 compiled": {"compile": True},
    "bf16": {"precision": "bf16"},
    "bf16 compiled": {"precision": "bf16", "compile": True},
}


def pictures(cells: int, count: int, seed: int) -> Tensor:
    """Random blots of colour, `cells` of them along each side."""
    noise = torch.rand(count, 3, cells, cells, generator=torch.Generator().manual_seed(seed))
    return (255 * interpolate(noise, 32, mode="bilinear")).round().byte()


def write_random_weights(path: Path) -> None:
    """Write random Inception weights in the published file's format, with BatchNorms fitted to `pictures`."""
    with torch.random.fork_rng(devices=[]), patch.object(FeatureExtractorInceptionV3, "load_state_dict"):
        torch.manual_seed(0)
        empty = io.BytesIO()
        torch.save({}, empty)
        empty.seek(0)
        network = FeatureExtractorInceptionV3("", ["2048"], feature_extractor_weights_path=empty)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.cat([pictures(4, 4, 0), pictures(8, 4, 0)]))
    torch.save(network.state_dict(), path)


def distance(a: Tensor, b: Tensor) -> float:
    """The Fréchet distance in its low-rank form, which is exact for few samples of many features."""
    a, b = a.double(), b.double()
    x, y = ((z - z.mean(0)) / (len(z) - 1) ** 0.5 for z in (a, b))
    spread = x.square().sum() + y.square().sum() - 2 * torch.linalg.svdvals(x @ y.T).sum()
    return ((a.mean(0) - b.mean(0)).square().sum() + spread).item()


class Contestant(NamedTuple):
    network: nn.Module
    seconds: list[float]
    features: list[Tensor]

    def lap(self, images: Tensor) -> float:
        start = time.perf_counter()
        with torch.no_grad():
            features = self.network(images)[0]
        seconds = time.perf_counter() - start
        self.seconds.append(seconds)
        self.features.append(features)
        return seconds


def race(path: Path, rounds: int) -> dict[str, Contestant]:
    layers = ["2048", "logits_unbiased"]
    reference = FeatureExtractorInceptionV3("", layers, feature_extractor_weights_path=str(path))
    networks = {REFERENCE: reference} | {name: Inception(str(path), **kind) for name, kind in OURS.items()}
    contestants = {name: Contestant(network, [], []) for name, network in networks.items()}
    for number in range(1 + rounds):
        images = pictures(4 if number % 2 else 8, LAP, number)
        for contestant in contestants.values():
            contestant.lap(images)
        print(f"Round {number} of {rounds}", end="\r", flush=True)
    print()
    return contestants


def report(contestants: dict[str, Contestant]) -> dict[str, dict[str, Any]]:
    theirs, results = contestants[REFERENCE], {}
    for name, (_, (first, *seconds), features) in contestants.items():
        ratios = [a / b for a, b in zip(theirs.seconds[1:], seconds, strict=True)]
        expected, actual = torch.cat(theirs.features[1:]), torch.cat(features[1:])
        truth, value = (distance(torch.cat(f[1::2]), torch.cat(f[2::2])) for f in (theirs.features, features))
        row: dict[str, Any] = {
            "images_per_second": LAP / median(seconds),
            "times_torch_fidelity": [median(ratios), min(ratios), max(ratios)],
            "feature_error": ((actual - expected).square().mean() / expected.square().mean()).sqrt().item(),
            "distance_error": abs(value - truth) / truth,
        }
        print(f"{name:17}{row['images_per_second']:7.1f} images/s ", end="")
        print("{:6.2f} times torch-fidelity ({:.2f} - {:.2f})".format(*row["times_torch_fidelity"]), end="")
        print(f"   error of features {row['feature_error']:.1e}, of the distance {row['distance_error']:.1e}")
        if name.endswith("compiled"):
            plain = median(contestants[name.removesuffix(" compiled")].seconds[1:])
            row["compile_seconds"] = first - median(seconds)
            gained = (plain - median(seconds)) / LAP
            row["break_even_images"] = row["compile_seconds"] / gained if gained > 0 else None
            worth = f"{row['break_even_images']:.0f} images" if gained > 0 else "no number of images"
            print(f"{'':17}{row['compile_seconds']:7.1f} s to compile, made up for by {worth}")
        results[name] = row
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--weights", type=Path, help="the published file; else random weights")
    parser.add_argument("--rounds", type=int, default=4, help="an even number")
    parser.add_argument("--json", type=Path, help="write all numbers there, too")
    arguments = parser.parse_args()
    machine = hardware.describe() | {"threads": torch.get_num_threads(), "torch": torch.__version__}
    print(", ".join(f"{key}: {value}" for key, value in machine.items()))
    print(f"Load average before the start: {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.weights or Path(folder) / "random.pth"
        if not arguments.weights:
            write_random_weights(path)
        results = report(race(path, arguments.rounds))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, **results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
