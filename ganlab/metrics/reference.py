"""Statistics of real images, cached until anything that they depend on changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from ganlab.data.grid import quantise
from ganlab.data.stream import Split, StreamData
from ganlab.errors import Refused
from ganlab.metrics.contract import VERSION, Contract, digest
from ganlab.metrics.copied import MOST, TrainingImages, fits, numbers, refuse_unfit
from ganlab.metrics.scorer import Batches, Reals, Scorer
from ganlab.metrics.statistics import FeatureRows, Gaussian
from ganlab.system.cache_folder import cache_home, read_cached, write_cached
from ganlab.system.processes import broadcast, on_rank_zero, rank_and_world, shares

BATCH = 250


def default_scores(reference: Any) -> tuple[str, ...]:
    """The FID, and beside it what it does not see: copies, of data that hold out enough to tell them."""
    return ("fid", "copied") if isinstance(reference, StreamData) and fits(reference) else ("fid",)


def kept_indices(total: int, samples: int) -> Tensor | None:
    """Which reals keep their features: as many as there are fakes, evenly spaced; None for all."""
    return None if total <= samples else torch.arange(samples) * total // samples


def statistics(scorer: Scorer, batches: Callable[[], Batches], total: int, identity: dict[str, Any]) -> Reals:
    """Read from the cache, or computed in one pass over all reals, of which each process takes a share.

    Args:
        identity: What tells these reals from all others.
    """
    kept = kept_indices(total, scorer.samples) if scorer.keeps_features else None
    key = digest([scorer.extractor.identity(), identity, scorer.keeps_features and scorer.samples, VERSION])
    path = cache_home() / "statistics" / key
    cached = broadcast(_read(path) if rank_and_world()[0] == 0 else None)
    if cached:
        return cached
    reals = Reals.of(scorer.observe(batches(), total, kept=kept))
    if rank_and_world()[0] == 0:
        write_cached(path, _bytes(reals))
    return reals


def training_images(scorer: Scorer, data: StreamData) -> TrainingImages | None:
    """What copies are found by, cached; on the first process alone, and if a score needs it."""
    if not scorer.needs_training:
        return None
    extractor, first = scorer.extractor, rank_and_world()[0] == 0
    path = cache_home() / "training" / digest([extractor.identity(), numbers(data), VERSION])
    content = read_cached(path) if first else None
    if broadcast(content is not None):
        return TrainingImages(**load(content)) if content else None
    features: list[Tensor] = []
    for items in data.splits:
        count = min(_count(items, 0), MOST)
        rows = scorer.observe(_batches(items, count), count).rows
        assert rows is not None
        features.append(rows.features)
    found: list[TrainingImages] = []
    on_rank_zero(lambda: found.append(TrainingImages.of(*features)))
    if first:
        write_cached(path, save(vars(found[0])))
    return found[0] if found else None


def _bytes(reals: Reals) -> bytes:
    moments = reals.moments
    parts = {"mean": moments.mean, "covariance": moments.covariance, "half": reals.factor}
    parts["count"] = torch.tensor(moments.count)
    if reals.rows:
        parts["features"] = reals.rows.features
        if reals.rows.logits is not None:
            parts["logits"] = reals.rows.logits
    return save({name: part.contiguous() for name, part in parts.items()})


def _read(path: Path) -> Reals | None:
    """The cached statistics; None if there is no such file, or it is damaged."""
    if not (content := read_cached(path)):
        return None
    parts = load(content)
    rows = FeatureRows(parts["features"], parts.get("logits")) if "features" in parts else None
    return Reals(Gaussian(parts["mean"], parts["covariance"], int(parts["count"])), rows, parts["half"])


def identity_of(data: Any, split: str) -> dict[str, Any]:
    """What tells a split of data from all others, as a contract names it."""
    return {"class": type(data).__name__, "split": split, "fingerprint": data.fingerprint_of(split)}


def prepare_reference(scorer: Scorer, data: StreamData, split: Split) -> tuple[Reals, dict[str, Any]]:
    """The statistics of a split's images, and the scores of the other split against them, the floor.

    Each is read from its cache if it is there. Without another split the floor is empty.
    """
    items: Any = getattr(data.splits, split)
    if items is None:
        raise Refused(f"{type(data).__name__} holds out no images; compare with split train.")
    total = _count(items, scorer.samples)
    if scorer.needs_training:
        refuse_unfit(data)
    reals = statistics(
        scorer.without_training(), lambda: _batches(items, total), total, identity_of(data, split)
    )
    reals.modes, reals.training = data.modes, training_images(scorer, data)
    other: Any = data.splits.held_out if split == "train" else data.splits.train
    count = 0 if other is None else min(_count(other, scorer.samples), scorer.samples)
    if count < 2:
        return reals, {}
    identity = [identity_of(data, "train"), identity_of(data, "held_out"), split]
    key = digest([scorer.extractor.identity(), identity, scorer.chosen, scorer.samples, count, VERSION])
    path = cache_home() / "floors" / key
    if floor := broadcast(_read_floor(path) if rank_and_world()[0] == 0 else None):
        return reals, floor
    of_count = Scorer(scorer.extractor, scorer.chosen, count)
    others = of_count.observe(_batches(other, count), count)
    values, _ = on_rank_zero(lambda: of_count.score(reals, others, floor=True))
    floor = {"samples": count, **values}
    if rank_and_world()[0] == 0:
        write_cached(path, json.dumps(floor).encode())
    return reals, floor


def _read_floor(path: Path) -> dict[str, Any] | None:
    """The cached floor; None if there is no such file, or it is damaged."""
    content = read_cached(path)
    return json.loads(content) if content else None


def _count(items: Any, samples: int) -> int:
    """How many reals are used: all, but of an endless stream as many as there are fakes."""
    return len(items) if isinstance(items, Sized) else samples


def _batches(items: Any, total: int) -> Batches:
    """This process's share of `total` items, evenly spaced, because sets are often sorted by class."""
    length = _count(items, total)
    for index in shares(total, BATCH):
        images = items[index * length // total][0]
        yield index, images if images.dtype == torch.uint8 or images.ndim != 4 else quantise(images)


def contract_of(scorer: Scorer, data: StreamData, split: Split, *, fakes: str, seed: int | None) -> Contract:
    """The contract of fakes that are scored against a split of data."""
    items: Any = getattr(data.splits, split)
    return Contract(
        extractor=scorer.extractor.identity(),
        data=identity_of(data, split),
        reals=_count(items, scorer.samples),
        samples=scorer.samples,
        fakes=fakes,
        seed=seed,
        parameters={"copied": numbers(data)} if scorer.needs_training else {},
    )
