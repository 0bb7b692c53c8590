"""What scores make of spoiled images: python scripts/degradations.py --root FOLDER [NAME ...]

Images that were held out are spoiled in known ways and scored against the training set by each extractor that
ships with ganlab. For each a table is written in Markdown: scores over those of as many images that were not
spoiled, the floor, so that what a score does not see stands near 1; KID, FID∞ and `copied`, whose floors are
near 0, as they are. A table of 10,000 images took 4 to 23 minutes on one core of a machine that was busy.
"""

import argparse
import io
import time
from collections.abc import Callable, Sized
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ganlab.data import MNIST, Digits, FashionMNIST, StackedMNIST, StreamData
from ganlab.errors import Refused
from ganlab.metrics import Classifier, Extractor, Pixels, StackedClassifier
from ganlab.metrics.observed import Reals
from ganlab.metrics.reference import limited, prepare_reference
from ganlab.metrics.registry import TABLE
from ganlab.metrics.scorer import Scorer
from ganlab.system.processes import shares

BATCH, STRIDE = 250, 7919  # a prime: copies are taken from all over the training set
COLUMNS = {
    "fid": {"FID": 0},
    "fid_infinity": {"FID∞": 0},
    "kid": {"KID": 2},
    "is": {"IS": 0},
    "precision_recall": {"precision": 0, "recall": 1},
    "density_coverage": {"density": 0, "coverage": 1},
    "classes": {"class distance": 0},
    "copied": {"copied": 0},
}
NEAR_ZERO = ("FID∞", "KID", "copied")


class Row(NamedTuple):
    data: Callable[[str], StreamData]
    extractor: Callable[[], Extractor]


ROWS = {
    "digits": Row(lambda root: Digits(), lambda: Classifier("digits")),
    "mnist": Row(lambda root: MNIST(root=root), lambda: Classifier("mnist")),
    "fashion_mnist": Row(lambda root: FashionMNIST(root=root), lambda: Classifier("fashion_mnist")),
    "stacked_mnist": Row(lambda root: StackedMNIST(root=root), StackedClassifier),
    "pixels": Row(lambda root: MNIST(root=root), Pixels),
    "pixels of stacked_mnist": Row(lambda root: StackedMNIST(root=root), Pixels),
}


class Held(NamedTuple):
    """Images that were held out, those without one class, and as many of the training set as the former."""

    images: Tensor
    without_class: Tensor
    training: Tensor


def held(data: StreamData) -> Held:
    train, held_out = data.splits
    assert held_out is not None
    images, labels, *_ = held_out[torch.arange(min(len(held_out), 10_000))]
    if isinstance(data, StackedMNIST):
        labels = labels // 100  # of the first channel
    numbers = torch.arange(len(images)) * STRIDE % (len(train) if isinstance(train, Sized) else 10**6)
    return Held(images, images[labels != 0], train[numbers][0])


def noise(images: Tensor, strength: float) -> Tensor:
    source = torch.Generator().manual_seed(0)
    return (images + strength * torch.randn(images.shape, generator=source)).round().clamp(0, 255).byte()


def jpeg(images: Tensor) -> Tensor:
    def through(image: Tensor) -> Tensor:
        file = io.BytesIO()
        Image.fromarray(image.movedim(0, -1).squeeze(-1).numpy()).save(file, "JPEG", quality=50)
        array = np.array(Image.open(file))
        return torch.from_numpy(array[..., None] if array.ndim == 2 else array).movedim(-1, 0)

    return torch.stack([through(image) for image in images])


def mixed(images: Tensor, others: Tensor, share: float) -> Tensor:
    """The images, of which a share is replaced, evenly spaced."""
    count = round(share * len(images))
    spoiled = images.clone()
    spoiled[torch.arange(count) * len(images) // count] = others[:count]
    return spoiled


def tinted(images: Tensor) -> Tensor:
    """With half of their second channel, and a third of their third."""
    coloured = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
    return (coloured * torch.tensor([1, 1 / 2, 1 / 3]).view(3, 1, 1)).round().byte()


SPOILED: dict[str, Callable[[Held], Tensor]] = {
    "held-out images": lambda held: held.images,
    "copies of the training set": lambda held: held.training,
    "10 % copies": lambda held: mixed(held.images, held.training, 0.1),
    "copies with noise of deviation 10": lambda held: noise(held.training, 10),
    "ten training images": lambda held: held.training[torch.arange(len(held.images)) % 10],
    "blurred 3 × 3": lambda held: avg_pool2d(held.images.float(), 3, 1, 1).round().byte(),
    "noise of deviation 25": lambda held: noise(held.images, 25),
    "noise of deviation 5": lambda held: noise(held.images, 5),
    "shifted by a pixel": lambda held: held.images.roll(1, 3),
    "JPEG of quality 50": lambda held: jpeg(held.images),
    "one class left out": lambda held: held.without_class,
    "2 % noise images": lambda held: mixed(held.images, noise(torch.full_like(held.images, 128), 80), 0.02),
    "10 % black images": lambda held: mixed(held.images, torch.zeros_like(held.images), 0.1),
    "tinted": lambda held: tinted(held.images),
}


def scores_of(scorer: Scorer, reals: Reals, images: Tensor, count: int) -> dict[str, float | None]:
    """Of so many images, evenly spaced among these, by the columns' names; without scores that need more."""
    scorer = scorer.of(count)
    images = images[torch.arange(count) * len(images) // count]
    fakes = scorer.observe(((index, images[index]) for index in shares(count, BATCH)), count)
    values, _ = scorer.score(limited(reals, count), fakes)
    return {
        column: values[scorer.names(score)[place]]
        for score in map(str, scorer.chosen)
        for column, place in COLUMNS[score].items()
    }


def cell(column: str, value: float | None, floor: float | None) -> str:
    if value is None or floor is None:
        return "–"
    if column in NEAR_ZERO:
        return f"{value:.3f}"
    return f"{value / floor:,.2f}" if value < 10 * floor else f"{value / floor:,.0f}"


def table(name: str, row: Row, root: str, wanted: list[str]) -> None:
    start, data, extractor = time.perf_counter(), row.data(root), row.extractor()
    images = held(data)
    has_logits = extractor(images.images[:1]).logits is not None
    endless = not isinstance(data.splits.train, Sized)
    needs = {"logits": has_logits, "training": not endless}
    count, needed = len(images.images), {score: TABLE[score] for score in wanted}
    chosen = tuple(s for s, row in needed.items() if needs.get(row.needs, True) and row.least <= count)
    scorer = Scorer(extractor, chosen, count)
    reals, _ = prepare_reference(scorer, data, "train")
    floor = scores_of(scorer, reals, images.images, count)
    print(f"\n{name}: {count:,} images, by {extractor.name}\n")
    print(f"| | {' | '.join(floor)} |\n|---|{'---:|' * len(floor)}")
    for what, spoil in SPOILED.items():
        try:
            spoiled = spoil(images)
            values = scores_of(scorer, reals, spoiled, n := len(spoiled))
            beside = floor if n == count else scores_of(scorer, reals, images.images, n)
            cells = [cell(column, values.get(column), beside.get(column)) for column in floor]
        except Refused:
            cells = ["refused"] * len(floor)
        print(f"| {what} | {' | '.join(cells)} |", flush=True)
    floors = ", ".join(f"{column} {value:.3g}" for column, value in floor.items() if value is not None)
    print(f"\nfloor: {floors}; {time.perf_counter() - start:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(ROWS), help=f"of {', '.join(ROWS)}; else all")
    parser.add_argument("--root", required=True, help="folder that holds MNIST/raw and FashionMNIST/raw")
    parser.add_argument("--scores", nargs="+", choices=list(COLUMNS), default=list(COLUMNS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.names:
        table(name, ROWS[name], arguments.root, arguments.scores)


if __name__ == "__main__":
    main()
