"""Train the classifiers that ship with ganlab: python scripts/train_extractors.py --root FOLDER [NAME ...]

Each takes a few minutes on one core, and is the same bit for bit on the same hardware and versions. Then
reference values are printed: Fréchet distances from the training set to held-out images, to the same images
spoiled in several ways, and to other images. `--check` prints them for the classifiers as shipped and trains
none.
"""

import argparse
import hashlib
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, cross_entropy, grid_sample
from torch_fidelity.metric_fid import (  # type: ignore[import-untyped]
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)

from ganlab.data import MNIST, Digits, FashionMNIST, StreamData
from ganlab.metrics.extractors.classifiers import SIDE, Classifier, LeNet, framed
from ganlab.metrics.extractors.extractor import FOLDER

BATCH, RATE, SEED = 128, 3e-3, 0
NOISE = 20 / 255  # the largest standard deviation of the noise that is trained with
BESIDE = 16  # images that show nothing, and as many of two halves, beside each batch of the data's
BLOCK = 2000

Pair = tuple[Tensor, Tensor]


class Row(NamedTuple):
    data: Callable[[str | None], StreamData]
    native: int
    epochs: int


ROWS = {
    "digits": Row(lambda root: Digits(), 32, 100),
    "mnist": Row(lambda root: MNIST(root=root), 28, 5),
    "fashion_mnist": Row(lambda root: FashionMNIST(root=root), 28, 6),
}


def parts(row: Row, root: str | None) -> tuple[Pair, Pair]:
    def pair(items: Any) -> Pair:
        images, labels = items[torch.arange(len(items))]
        return images, labels

    train, held_out = row.data(root).load()
    return pair(train), pair(held_out)


def augment(images: Tensor) -> Tensor:
    """Images rotated, scaled and moved a little, with noise of random strength."""
    n = len(images)
    angle, scale = 0.2 * torch.rand(n) - 0.1, 1 + 0.2 * torch.rand(n) - 0.1
    cosine, sine, shift = angle.cos() * scale, angle.sin() * scale, 0.2 * torch.rand(n, 2) - 0.1
    rows = torch.stack([cosine, -sine, shift[:, 0], sine, cosine, shift[:, 1]], 1)
    grid = affine_grid(rows.unflatten(1, (2, 3)), list(images.shape), align_corners=False)
    moved = grid_sample(images, grid, align_corners=False)
    return moved + NOISE * torch.rand(n, 1, 1, 1) * torch.randn_like(moved)


def nothing(n: int) -> Tensor:
    """Images that show nothing: black or of one grey, and noise of random mean and strength."""
    grey = torch.rand(n // 2, 1, 1, 1) * torch.randint(2, (n // 2, 1, 1, 1))
    mean, strength = torch.rand(2, n - n // 2, 1, 1, 1)
    noise = mean + strength / 2 * torch.randn(len(mean), 1, SIDE, SIDE)
    return torch.cat([grey.expand(-1, 1, SIDE, SIDE), noise.clamp(0, 1)])


def halves(images: Tensor) -> Tensor:
    """One half of each image, left or upper, beside the other half of the image before it."""
    first = torch.arange(SIDE) < SIDE // 2
    return torch.where(first if torch.rand(()) < 0.5 else first[:, None], images, images.roll(1, 0))


def train(images: Tensor, labels: Tensor, row: Row) -> LeNet:
    """A classifier that had two classes more in training, of images that are none of the data's.

    Without them its features tell the classes alone: a black image may lie amid the data's.
    """
    torch.manual_seed(SEED)
    classes = int(labels.max()) + 1
    network, more = LeNet(classes + 2), torch.tensor([classes, classes + 1]).repeat_interleave(BESIDE)
    steps = math.ceil(len(images) / BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=row.epochs * steps)
    for _ in range(row.epochs):
        for chosen in torch.randperm(len(images)).split(BATCH):
            seen = framed(images[chosen], row.native)
            _, logits = network(augment(torch.cat([seen, nothing(BESIDE), halves(seen[:BESIDE])])))
            cross_entropy(logits, torch.cat([labels[chosen], more])).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    return without_more(network, classes)


def without_more(network: Any, classes: int) -> Any:
    """The same network with the first classes alone."""
    state = network.state_dict()
    for name in ("classes.weight", "classes.bias"):
        state[name] = state[name][:classes].clone()
    fewer = type(network)(classes)
    fewer.load_state_dict(state)
    return fewer.eval().requires_grad_(False)


def standardise(network: Any, features: Tensor) -> None:
    """Give each feature mean 0 and standard deviation 1, which it had not; the logits stay the same."""
    mean, deviation = features.mean(0), features.std(0)
    network.classes.bias.add_(network.classes.weight @ mean)
    network.classes.weight.mul_(deviation)
    network.features.bias.sub_(mean).div_(deviation)
    network.features.weight.div_(deviation[:, None])


def digest_of(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def accuracy(network: LeNet, images: Tensor, labels: Tensor, row: Row) -> float:
    guesses = torch.cat([network(framed(block, row.native))[1].argmax(1) for block in images.split(BLOCK)])
    return (guesses == labels).double().mean().item()


def ship(name: str, row: Row, root: str | None, folder: Path) -> None:
    start = time.perf_counter()
    (images, labels), held_out = parts(row, root)
    network = train(images, labels, row)
    standardise(network, torch.cat([network(framed(block, row.native))[0] for block in images.split(BLOCK)]))
    state = network.state_dict()
    record = {
        "dataset": name,
        "native": str(row.native),
        "accuracy": f"{accuracy(network, *held_out, row):.4f}",
        "held_out": str(len(held_out[0])),
        "trained_on": str(len(images)),
        "epochs": str(row.epochs),
        "seed": str(SEED),
        "sha256": digest_of(state),
        "torch": torch.__version__,
        "command": f"python scripts/train_extractors.py {name}",
    }
    path = folder / f"{name}.safetensors"
    save_file(state, path, metadata=record)
    path.chmod(0o644)  # safetensors writes files that only their owner can read
    print(f"{name}: accuracy {record['accuracy']} on {record['held_out']} held-out images, ", end="")
    print(f"sha256 of the tensors {record['sha256']}, {time.perf_counter() - start:.0f} s", flush=True)


def spoil(images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    noise = 25 * torch.randn(images.shape, generator=torch.Generator().manual_seed(SEED))
    uniform = torch.randint(
        0, 256, images.shape, generator=torch.Generator().manual_seed(SEED), dtype=torch.uint8
    )
    blurred = avg_pool2d(images.float(), 3, stride=1, padding=1)
    return {
        "held-out images": images,
        "with noise of deviation 25": (images + noise).round().clamp(0, 255).byte(),
        "blurred 3 x 3": blurred.round().byte(),
        "the first half of the classes": images[labels < 5],
        "inverted": 255 - images,
        "uniform noise": uniform,
        "one image": images[:1].expand_as(images),
    }


def known_answers(name: str, row: Row, root: str | None) -> None:
    extractor = Classifier(name)
    (images, _), held_out = parts(row, root)

    def statistics(images: Tensor) -> dict[str, object]:
        features = torch.cat([extractor(block).features for block in images.split(BLOCK)])
        return fid_features_to_statistics(features.double())

    real = statistics(images)
    print(f"{name} (accuracy {extractor.record['accuracy']}, {len(images)} reals): Fréchet distance to")
    for what, others in spoil(*held_out).items():
        distance = fid_statistics_to_metric(real, statistics(others), False)[KEY_METRIC_FID]
        print(f"  {what:32}{distance:10.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(ROWS), help=f"of {', '.join(ROWS)}; else all")
    parser.add_argument("--root", help="folder that holds MNIST/raw and FashionMNIST/raw")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the weights are written")
    parser.add_argument("--check", action="store_true", help="train none")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.names:
        if not arguments.check:
            ship(name, ROWS[name], arguments.root, arguments.folder)
        known_answers(name, ROWS[name], arguments.root)


if __name__ == "__main__":
    main()
