"""Whether a generator repeats what it was trained on: the training images nearest to its samples."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence, Sized
from math import ceil
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from ganlab.data.grid import GAP, MIN_SIDE, quantise
from ganlab.data.stream import StreamData
from ganlab.metrics.scores import nearest

FOLDER = "nearest"
SHOWN, NEIGHBOURS = 6, 3
SAMPLES = 64  # that are looked up
COMPARED = 32  # pixels a side; larger images are averaged down to these
BLOCK = 512
SECONDS = 2.0
APART = 8  # pixels between samples and their neighbours


def draw(samples: Tensor, data: StreamData, path: Path) -> None:
    """Look samples up among the training images, for `SECONDS` at most, and write a picture and its numbers.

    The picture shows the samples most like a training image, and below each the images nearest to it. Beside
    it lie the distances, as JSON, with those of images that were never trained on. Nothing is written where
    the data are no pictures, or an endless stream, in which nothing can be found again.

    Args:
        samples: Bytes, as they are scored.
    """
    channels, *size = data.image_shape
    if len(size) != 2 or channels not in (1, 3) or samples.shape[1:] != (channels, *size):
        return
    train, held_out = data.splits
    if not isinstance(train, Sized):
        return
    samples, unseen = samples[:SAMPLES].cpu(), _spread(held_out, SAMPLES)
    sought = samples if unseen is None else torch.cat([samples, unseen])
    distances, indices, searched = search(train, sought, seconds=SECONDS)
    own, others = distances[: len(samples), 0], distances[len(samples) :, 0]
    order = own.argsort()[:SHOWN]
    neighbours = [_pixels(train, column) for column in indices[order].T]
    numbers: dict[str, Any] = {
        "samples": len(samples),
        "distance": own.median().item(),
        "unseen": None if unseen is None else others.median().item(),
        "nearer": None if unseen is None else int((own < others.quantile(0.05)).sum()),
        "searched": searched,
        "total": len(train),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet([samples[order], *neighbours]).save(path)
    path.with_suffix(".json").write_text(json.dumps(numbers) + "\n")


def search(train: Any, sought: Tensor, *, seconds: float) -> tuple[Tensor, Tensor, int]:
    """Distances to the nearest training images, in grey levels (root mean square), their indices, and among
    how many, evenly spaced, they were found in time.
    """
    queries, end = _compared(sought), time.monotonic() + seconds
    best, index = queries.new_empty(len(queries), 0, dtype=torch.float64), torch.empty(len(queries), 0).long()
    searched, strides = 0, ceil(len(train) / BLOCK)
    for start in range(strides):
        if searched and time.monotonic() > end:
            break
        positions = torch.arange(start, len(train), strides)
        near, place = nearest(_compared(_pixels(train, positions)), queries, NEIGHBOURS)
        both, places = torch.cat([best, near], 1), torch.cat([index, positions[place]], 1)
        best, order = both.topk(min(NEIGHBOURS, both.shape[1]), largest=False)
        index = places.gather(1, order)
        searched += len(positions)
    return best / queries.shape[1] ** 0.5, index, searched


def _spread(items: Any, count: int) -> Tensor | None:
    """So many, evenly spaced, for sets are often sorted by class."""
    if items is None or not len(items):
        return None
    count = min(count, len(items))
    return _pixels(items, torch.arange(count) * len(items) // count)


def _pixels(items: Any, index: Tensor) -> Tensor:
    images = items[index][0].cpu()
    return quantise(images) if images.is_floating_point() else images


def _compared(images: Tensor) -> Tensor:
    images = images.float()
    if max(images.shape[-2:]) > COMPARED:
        images = adaptive_avg_pool2d(images, COMPARED)
    return images.flatten(1)


def sheet(rows: Sequence[Tensor]) -> Image.Image:
    """Samples in a row, and their neighbours a little apart below."""
    enlarged = max(1, MIN_SIDE // max(rows[0].shape[-2:]))
    drawn: list[Tensor] = []
    for images in rows:
        images = images.repeat_interleave(enlarged, 2).repeat_interleave(enlarged, 3)
        framed = pad(images, (0, GAP, 0, GAP if drawn else APART), value=255)
        drawn.append(torch.cat(list(framed.movedim(1, -1)), 1))
    return Image.fromarray(torch.cat(drawn)[:-GAP, :-GAP].squeeze(-1).numpy())
