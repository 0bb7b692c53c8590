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

from ganlab.data.stream import StreamData
from ganlab.media import Medium, Pictures
from ganlab.media.pictures import GAP, MIN_SIDE
from ganlab.metrics.scores import nearest

FOLDER = "nearest"
COLUMNS, NEIGHBOURS = 6, 3  # samples in the picture, and training images below each
SAMPLES = 64  # whose nearest training images are searched for
COMPARED = 32  # pixels a side; larger images are averaged down to these
BLOCK = 512  # training images that are compared at once
SECONDS = 2.0
APART = 8  # pixels between samples and their neighbours


def draw(samples: Tensor, data: StreamData, path: Path) -> None:
    """Search the training images nearest to samples, for `SECONDS` at most; write a picture and its numbers.

    The picture shows the samples most like a training image, and below each the images nearest to it. Beside
    it lie the distances, as JSON, with those of images that were never trained on. Nothing is written if
    the data are no pictures, or an endless stream, which cannot be searched.

    Args:
        samples: Images as bytes, as they are scored.
    """
    medium = data.media[0]
    if not isinstance(medium, Pictures) or not medium.drawable or samples.shape[1:] != medium.shape:
        return
    train, held_out = data.splits
    if not isinstance(train, Sized):
        return
    samples, unseen = samples[:SAMPLES].cpu(), _evenly_spaced(medium, held_out, SAMPLES)
    queries = samples if unseen is None else torch.cat([samples, unseen])
    distances, indices, searched = search(medium, train, queries, seconds=SECONDS)
    of_samples, of_unseen = distances[: len(samples), 0], distances[len(samples) :, 0]
    order = of_samples.argsort()[:COLUMNS]
    neighbours = [_pixels(medium, train, column) for column in indices[order].T]
    numbers: dict[str, Any] = {
        "samples": len(samples),
        "distance": of_samples.median().item(),
        "unseen": None if unseen is None else of_unseen.median().item(),
        "nearer": None if unseen is None else int((of_samples < of_unseen.quantile(0.05)).sum()),
        "searched": searched,
        "total": len(train),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet([samples[order], *neighbours]).save(path)
    path.with_suffix(".json").write_text(json.dumps(numbers) + "\n")


def search(medium: Medium, train: Any, queries: Tensor, *, seconds: float) -> tuple[Tensor, Tensor, int]:
    """Distances to the nearest training images, in grey levels (root mean square), and their indices.

    Returned as well is how many training images, evenly spaced, were searched within the seconds.
    """
    queries, end = _as_vectors(queries), time.monotonic() + seconds
    best, index = queries.new_empty(len(queries), 0, dtype=torch.float64), torch.empty(len(queries), 0).long()
    searched, strides = 0, ceil(len(train) / BLOCK)
    for start in range(strides):
        if searched and time.monotonic() > end:
            break
        positions = torch.arange(start, len(train), strides)
        distances, columns = nearest(_as_vectors(_pixels(medium, train, positions)), queries, NEIGHBOURS)
        all_best, all_indices = torch.cat([best, distances], 1), torch.cat([index, positions[columns]], 1)
        best, order = all_best.topk(min(NEIGHBOURS, all_best.shape[1]), largest=False)
        index = all_indices.gather(1, order)
        searched += len(positions)
    return best / queries.shape[1] ** 0.5, index, searched


def _evenly_spaced(medium: Medium, items: Any, count: int) -> Tensor | None:
    """So many images, evenly spaced, since sets are often sorted by class; None if there are none."""
    if items is None or not len(items):
        return None
    count = min(count, len(items))
    return _pixels(medium, items, torch.arange(count) * len(items) // count)


def _pixels(medium: Medium, items: Any, index: Tensor) -> Tensor:
    return medium.stored(items[index][0].cpu())


def _as_vectors(images: Tensor) -> Tensor:
    """A row of numbers for each image, as they are compared: large ones are averaged down."""
    images = images.float()
    if max(images.shape[-2:]) > COMPARED:
        images = adaptive_avg_pool2d(images, COMPARED)
    return images.flatten(1)


def sheet(rows: Sequence[Tensor]) -> Image.Image:
    """A picture of rows of images, the first a little apart from those below."""
    factor = max(1, MIN_SIDE // max(rows[0].shape[-2:]))
    strips: list[Tensor] = []
    for images in rows:
        images = images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        framed = pad(images, (0, GAP, 0, GAP if strips else APART), value=255)
        strips.append(torch.cat(list(framed.movedim(1, -1)), 1))
    return Image.fromarray(torch.cat(strips)[:-GAP, :-GAP].squeeze(-1).numpy())
