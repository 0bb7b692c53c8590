"""Whether a generator repeats what it was trained on: the training images nearest to its samples."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ganlab import data as known_data
from ganlab.comparison.read import Group, Run
from ganlab.comparison.report.samples import last_picture, open_picture
from ganlab.comparison.result import Comparison
from ganlab.data.grid import GAP, MIN_SIDE, quantise
from ganlab.data.stream import StreamData
from ganlab.metrics.scores import nearest
from ganlab.system.untrusted import below, yaml_config

SHOWN, NEIGHBOURS = 6, 3
TILES = 64  # samples of a group that are looked up
COMPARED = 32  # pixels; larger images are averaged down to these
BLOCK = 2048
SECONDS = 10.0  # for a group


class Unknown(Exception):
    """Why nothing can be said of a group, as a sentence."""


@dataclass
class Likeness:
    """What was found of a group.

    Attributes:
        samples: Those most like a training image, the most alike first.
        neighbours: Of each rank, the training images that are nearest to these samples.
        shown: Their distances.
        distances: Of each sample to its nearest training image, in grey levels (root mean square).
        unseen: The same of images that were never trained on; empty, if the data hold none out.
    """

    run: Run
    samples: Tensor
    neighbours: list[Tensor]
    shown: Tensor
    distances: Tensor
    unseen: Tensor
    searched: int
    total: int


def likenesses(comparison: Comparison) -> list[Likeness | str]:
    """Of each group's best run, or the reason why not. Groups with the same data share one search."""
    found: list[Likeness | str] = [""] * len(comparison.groups)
    shared: dict[str, list[tuple[int, Run, dict[str, Any]]]] = {}
    for place, group in enumerate(comparison.groups):
        try:
            run = best_run(group, comparison)
            told = told_data(run)
            shared.setdefault(json.dumps(told, sort_keys=True, default=str), []).append((place, run, told))
        except Unknown as reason:
            found[place] = str(reason)
    for members in shared.values():
        for place, result in _looked_up(members):
            found[place] = result
    return found


def best_run(group: Group, comparison: Comparison) -> Run:
    """By the first score that the group has; else the first that has pictures."""
    candidates = [run for run in group.runs if run.folder is not None and last_picture(run)]
    if not candidates:
        raise Unknown("no samples of it lie on this machine")
    for table in comparison.tables:
        for row in table.rows:
            if row.group is group:
                known = [(value, run) for value, run in zip(row.last, group.runs, strict=False)
                         if value is not None and run in candidates]  # fmt: skip
                if known:
                    choose = min if table.better == "min" else max
                    return choose(known, key=lambda pair: pair[0])[1]
    return candidates[0]


def told_data(run: Run) -> dict[str, Any]:
    assert run.folder
    told = below(yaml_config(run.folder / "config.yaml", []), "data")
    told = {"class_path": told} if isinstance(told, str) else told
    path, arguments = below(told, "class_path"), below(told, "init_args") or {}
    if not isinstance(path, str) or not isinstance(arguments, dict):
        raise Unknown("its config.yaml does not say what it was trained on")
    return {"class_path": path, "init_args": arguments}


def built(told: dict[str, Any]) -> StreamData:
    """ganlab's own data, or a class that is imported already: a run's folder starts no code."""
    module, _, name = told["class_path"].rpartition(".")
    kind = getattr(sys.modules.get(module, known_data) if module else known_data, name, None)
    if not (isinstance(kind, type) and issubclass(kind, StreamData)):
        raise Unknown(f"its data, {told['class_path']}, are not imported here")
    arguments = {**told["init_args"], "workers": 0}
    if "download" in arguments:
        arguments["download"] = False
    # A class of somebody else's may fail in any way; that is no reason to be without a report.
    try:
        return kind(**arguments)
    except Exception as error:
        raise Unknown(f"its data cannot be loaded here: {_sentence(error)}") from error


def _sentence(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _looked_up(members: Sequence[tuple[int, Run, dict[str, Any]]]) -> Iterator[tuple[int, Likeness | str]]:
    try:
        data = built(members[0][2])
        train, held_out = _images(data)
    except Unknown as reason:
        yield from ((place, str(reason)) for place, _, _ in members)
        return
    sheets = {place: _tiles(run, data.image_shape) for place, run, _ in members}
    yield from (
        (place, "its samples are not laid out as a sheet of images")
        for place in sheets
        if sheets[place] is None
    )
    sought = {place: tiles for place, tiles in sheets.items() if tiles is not None}
    if not sought:
        return
    unseen = _spread(held_out, TILES, data.image_shape)
    queries = torch.cat([*sought.values(), unseen])
    distances, indices, searched = search(train, queries, seconds=SECONDS * len(members))
    pieces = [len(tiles) for tiles in sought.values()] + [len(unseen)]
    parts = list(zip(distances.split(pieces), indices.split(pieces), strict=True))
    for (place, tiles), (near, index) in zip(sought.items(), parts, strict=False):
        order = near[:, 0].argsort()[:SHOWN]
        neighbours = [_pixels(train, index[order, k]) for k in range(index.shape[1])]
        run = next(run for at, run, _ in members if at == place)
        others = parts[-1][0][:, 0]
        yield (
            place,
            Likeness(run, tiles[order], neighbours, near[order, 0], near[:, 0], others, searched, len(train)),
        )


def _images(data: StreamData) -> tuple[Any, Any]:
    if len(data.image_shape) != 3 or data.image_shape[0] not in (1, 3):
        raise Unknown("its data are no pictures")
    try:
        train, held_out = data.splits
    except Exception as error:
        raise Unknown(f"its data cannot be loaded here: {_sentence(error)}") from error
    if not isinstance(train, Sized):
        raise Unknown("its training images are an endless stream, in which nothing can be found again")
    return train, held_out


def _pixels(items: Any, index: Tensor) -> Tensor:
    images = items[index][0].cpu()
    return quantise(images) if images.is_floating_point() else images


def _spread(items: Any, count: int, shape: tuple[int, ...]) -> Tensor:
    if items is None or not len(items):
        return torch.empty(0, *shape, dtype=torch.uint8)
    count = min(count, len(items))
    return _pixels(items, torch.arange(count) * len(items) // count)


def _tiles(run: Run, shape: tuple[int, ...]) -> Tensor | None:
    """The samples of the last sheet, as `grid` laid them out."""
    path = last_picture(run)
    sheet = open_picture(path) if path else None
    if sheet is None:
        return None
    channels, height, width = shape
    pixels = torch.from_numpy(np.array(sheet.convert("L" if channels == 1 else "RGB"))).reshape(
        sheet.height, sheet.width, channels
    )
    enlarged = max(1, MIN_SIDE // max(height, width))
    steps = height * enlarged + GAP, width * enlarged + GAP
    if any((have + GAP) % step for have, step in zip(pixels.shape, steps, strict=False)):
        return None
    rows, columns = ((have + GAP) // step for have, step in zip(pixels.shape, steps, strict=False))
    tiles = [
        pixels[i * steps[0] :, j * steps[1] :][: steps[0] - GAP : enlarged, : steps[1] - GAP : enlarged]
        for i in range(rows)
        for j in range(columns)
    ]
    # The last row may end in white paper.
    filled = [tile.movedim(-1, 0) for tile in tiles if bool((tile < 255).any())]
    return torch.stack(filled[:TILES]) if filled else None


def search(train: Any, queries: Tensor, *, seconds: float) -> tuple[Tensor, Tensor, int]:
    """Distances and indices of the nearest training images, and among how many they were found in time."""
    sought, end = _compared(queries), time.monotonic() + seconds
    best = sought.new_full((len(sought), 0), 0.0, dtype=torch.float64)
    index = torch.zeros(len(sought), 0, dtype=torch.int64)
    searched = 0
    for positions in torch.arange(len(train)).split(BLOCK):
        if searched and time.monotonic() > end:
            break
        near, place = nearest(_compared(_pixels(train, positions)), sought, NEIGHBOURS)
        all_, places = torch.cat([best, near], 1), torch.cat([index, positions[place]], 1)
        best, order = all_.topk(min(NEIGHBOURS, all_.shape[1]), largest=False)
        index = places.gather(1, order)
        searched += len(positions)
    return best / sought.shape[1] ** 0.5, index, searched


def _compared(images: Tensor) -> Tensor:
    images = images.float()
    if max(images.shape[-2:]) > COMPARED:
        images = adaptive_avg_pool2d(images, COMPARED)
    return images.flatten(1)


def sheet(found: Likeness) -> Image.Image:
    """Samples in a row, and their neighbours a little apart below."""
    rows = [torch.cat(list(row.movedim(1, -1)), 1) for row in (found.samples, *found.neighbours)]
    gap = rows[0].new_full((max(2, found.samples.shape[-1] // 8), *rows[0].shape[1:]), 255)
    picture = image(torch.cat([rows[0], gap, *rows[1:]]))
    enlarged = max(1, MIN_SIDE // max(found.samples.shape[-2:]))
    return picture.resize((picture.width * enlarged, picture.height * enlarged), Image.Resampling.NEAREST)


def image(pixels: Tensor) -> Image.Image:
    """Of bytes, height x width x channels."""
    return Image.fromarray(pixels.squeeze(-1).contiguous().numpy())
