"""Train classifiers of colour pictures: python scripts/train_colour_extractors.py NAME --root FOLDER

NAME is cats_vs_dogs, or celeba, of 22 attributes a face, whose weights are in the repository and not in the
package: its faces are not for commercial use. Each takes some minutes on one core, and is the same bit for
bit on the same hardware and versions. Then reference values are printed: Fréchet distances from the training
set to held-out pictures, and to the same pictures spoiled.
`--check` prints them for the weights as they lie, and trains none.
"""

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import (
    avg_pool2d,
    binary_cross_entropy_with_logits,
    cross_entropy,
    interpolate,
    one_hot,
    pad,
)
from torch_fidelity.metric_fid import (  # type: ignore[import-untyped]
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)
from train_extractors import digest_of, standardise, without_more

from ganlab.data import CatsVsDogs, CelebA, StreamData
from ganlab.metrics.extractors.colour_classifiers import FOLDER, SIDE, ColourClassifier, ColourNet, framed

BATCH, RATE, SEED, BLOCK = 128, 4e-3, 0, 1000
MORE, BESIDE = 3, 12  # kinds of pictures that are none of the data's, and how many of each beside a batch
SHIFT = 4  # pixels

ATTRIBUTES = (
    "Bald",
    "Bangs",
    "Big_Nose",
    "Black_Hair",
    "Blond_Hair",
    "Brown_Hair",
    "Bushy_Eyebrows",
    "Double_Chin",
    "Eyeglasses",
    "Gray_Hair",
    "Heavy_Makeup",
    "High_Cheekbones",
    "Male",
    "Mouth_Slightly_Open",
    "Narrow_Eyes",
    "No_Beard",
    "Pale_Skin",
    "Smiling",
    "Wavy_Hair",
    "Wearing_Hat",
    "Wearing_Lipstick",
    "Young",
)

Pair = tuple[Tensor, Tensor]


class Row(NamedTuple):
    data: Callable[[str], StreamData]
    epochs: int
    licence: str


ROWS = {
    "cats_vs_dogs": Row(
        lambda root: CatsVsDogs(root=root, size=SIDE),
        8,
        "none stated at the source; research use",
    ),
    "celeba": Row(
        lambda root: CelebA(root=root, size=SIDE, attributes=ATTRIBUTES),
        20,
        "CelebA: research that is not commercial",
    ),
}


def parts(row: Row, root: str) -> tuple[Pair, Pair]:
    def pair(items: Any) -> Pair:
        images, labels = items[torch.arange(len(items))]
        return images, labels

    train, held_out = row.data(root).load()
    return pair(train), pair(held_out)


def augment(images: Tensor) -> Tensor:
    """Flipped, moved by whole pixels and a little brighter or darker, so that sharpness stays as it is."""
    n = len(images)
    images = torch.where(torch.rand(n, 1, 1, 1) < 0.5, images, images.flip(3))
    padded = pad(images, [SHIFT] * 4, mode="reflect")
    left, top = torch.randint(2 * SHIFT + 1, (2, n)).tolist()
    moved = [image[:, y : y + SIDE, x : x + SIDE] for image, x, y in zip(padded, left, top, strict=True)]
    return torch.stack(moved) * (0.8 + 0.4 * torch.rand(n, 1, 1, 1)) + 0.2 * torch.rand(n, 3, 1, 1) - 0.1


def spoiled(images: Tensor) -> Tensor:
    """Pictures of nothing, halves of two pictures, and blurred ones; BESIDE of each."""
    a, b, c = images[: 3 * BESIDE].split(BESIDE)
    noise = torch.rand(BESIDE, 3, 1, 1) * 2 - 1 + torch.rand(BESIDE, 1, 1, 1) * torch.randn_like(a)
    first = torch.arange(SIDE) < SIDE // 2
    halves = torch.where(first if torch.rand(()) < 0.5 else first[:, None], b, b.roll(1, 0))
    smaller = int(torch.randint(SIDE // 5, SIDE // 2 + 1, ()))
    small = interpolate(c, (smaller, smaller), mode="bilinear", antialias=True)
    blurred = interpolate(small, (SIDE, SIDE), mode="bicubic" if torch.rand(()) < 0.5 else "bilinear")
    return torch.cat([noise, halves, blurred]).clamp(-1, 1)


def error(logits: Tensor, labels: Tensor) -> Tensor:
    """Of the data's pictures, and after them the spoiled ones, whose attributes do not matter."""
    kind = torch.arange(MORE).repeat_interleave(BESIDE)
    if labels.dim() == 1:
        return cross_entropy(logits, torch.cat([labels, kind + logits.shape[1] - MORE]))
    n, known = labels.shape
    target = pad(one_hot(kind, MORE), [known, 0, n, 0]).float()
    target[:n, :known] = labels
    counts = torch.ones_like(target)
    counts[n:, :known] = 0
    return binary_cross_entropy_with_logits(logits, target, counts)


def train(images: Tensor, labels: Tensor, epochs: int) -> ColourNet:
    """A classifier that had MORE classes in training, of pictures that are none of the data's."""
    torch.manual_seed(SEED)
    classes = labels.shape[1] if labels.dim() > 1 else int(labels.max()) + 1
    network = ColourNet(classes + MORE)
    steps = math.ceil(len(images) / BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.05, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * steps)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(BATCH):
            seen = framed(images[chosen])
            other = framed(images[torch.randint(len(images), (MORE * BESIDE,))])
            _, logits = network(augment(torch.cat([seen, spoiled(other)])))
            error(logits, labels[chosen]).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    return without_more(network, classes)


def seen(network: ColourNet, images: Tensor) -> Pair:
    features, logits = zip(*(network(framed(block)) for block in images.split(BLOCK)), strict=True)
    return torch.cat(features), torch.cat(logits)


def accuracy(network: ColourNet, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Its share of right answers, and that of the most frequent answer; means over attributes."""
    logits = seen(network, images)[1]
    if labels.dim() > 1:
        share = labels.double().mean(0)
        return ((logits > 0) == labels).double().mean().item(), torch.maximum(share, 1 - share).mean().item()
    return (logits.argmax(1) == labels).double().mean().item(), labels.bincount().max().item() / len(labels)


def ship(name: str, row: Row, root: str, folder: Path) -> None:
    start = time.perf_counter()
    (images, labels), held_out = parts(row, root)
    network = train(images, labels, row.epochs)
    standardise(network, seen(network, images)[0])
    state = network.state_dict()
    right, most = accuracy(network, *held_out)
    record = {
        "dataset": name,
        "network": ColourNet.__name__,
        "labels": "several" if labels.dim() > 1 else "one",
        "data": row.licence,
        "accuracy": f"{right:.4f}",
        "most_frequent": f"{most:.4f}",
        "held_out": str(len(held_out[0])),
        "trained_on": str(len(images)),
        "epochs": str(row.epochs),
        "seed": str(SEED),
        "sha256": digest_of(state),
        "torch": torch.__version__,
        "command": f"python scripts/train_colour_extractors.py {name}",
    }
    path = folder / f"{name}.safetensors"
    save_file(state, path, metadata=record)
    path.chmod(0o644)  # safetensors writes files that only their owner can read
    print(
        f"{name}: accuracy {right:.4f} (most frequent {most:.4f}) on {len(held_out[0])} held-out pictures, ",
        end="",
    )
    print(f"sha256 of the tensors {record['sha256']}, {time.perf_counter() - start:.0f} s", flush=True)


def known_answers(row: Row, root: str, path: Path) -> None:
    extractor = ColourClassifier(str(path))
    (images, _), (held_out, _) = parts(row, root)

    def statistics(images: Tensor) -> dict[str, object]:
        return fid_features_to_statistics(
            torch.cat([extractor(block).features for block in images.split(BLOCK)]).double()
        )

    generator = torch.Generator().manual_seed(SEED)
    noise = torch.randn(held_out.shape, generator=generator)
    fewer = interpolate(held_out.float(), scale_factor=0.25, mode="bicubic", antialias=True)
    others = {
        "held-out pictures": held_out,
        "with noise of deviation 25": (held_out + 25 * noise).round().clamp(0, 255).byte(),
        "blurred 3 x 3": avg_pool2d(held_out.float(), 3, stride=1, padding=1).round().byte(),
        "a quarter as large, bicubic back": interpolate(fewer, (SIDE, SIDE), mode="bicubic")
        .round()
        .clamp(0, 255)
        .byte(),
        "upside down": held_out.flip(2),
        "uniform noise": torch.randint(0, 256, held_out.shape, generator=generator, dtype=torch.uint8),
        "one picture": held_out[:1].expand_as(held_out),
    }
    real = statistics(images)
    right = extractor.record["accuracy"]
    print(f"{extractor.name} (accuracy {right}, {len(images)} reals): Fréchet distance to")
    for what, pictures in others.items():
        distance = fid_statistics_to_metric(real, statistics(pictures), False)[KEY_METRIC_FID]
        print(f"  {what:36}{distance:10.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", choices=ROWS)
    parser.add_argument("--root", required=True, help="folder or zip of the pictures")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the weights are written")
    parser.add_argument("--check", action="store_true", help="train none")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    row = ROWS[arguments.name]
    if not arguments.check:
        ship(arguments.name, row, arguments.root, arguments.folder)
    known_answers(row, arguments.root, arguments.folder / f"{arguments.name}.safetensors")


if __name__ == "__main__":
    main()
