"""Statistics of real images, cached until anything that they depend on changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from ganlab.data.stream import Split, StreamData
from ganlab.errors import Refused
from ganlab.media import Medium, Text
from ganlab.metrics.contract import CHOICE, VERSION, Contract, digest
from ganlab.metrics.copied import MOST, TrainingImages, fits, numbers, refuse_unfit
from ganlab.metrics.given import Given
from ganlab.metrics.observed import Observed
from ganlab.metrics.scorer import Batches, Reals, Scorer, described
from ganlab.metrics.statistics import FeatureRows, Gaussian
from ganlab.metrics.sums import some_rows
from ganlab.metrics.which_reals import (
    batches_of,
    counted,
    kept_indices,
    real_classes,
    refuse_unfit_logits,
    refuse_without_sources,
    source_batches,
)
from ganlab.system.cache_folder import cache_home, read_cached, write_cached
from ganlab.system.processes import broadcast, on_rank_zero, rank_and_world

FLOOR_VERSION = 3  # counts changes of how a floor is taken


SCORES_OF_MEDIA: dict[type[Medium], tuple[str, ...]] = {Text: ("ngram_js",)}  # those of no features


def scores_of_medium(reference: Any) -> tuple[str, ...] | None:
    """The default scores of data whose medium has some of its own."""
    if not isinstance(reference, StreamData):
        return None
    made = reference.media[0]
    return next((scores for medium, scores in SCORES_OF_MEDIA.items() if isinstance(made, medium)), None)


def default_scores(reference: Any) -> tuple[str, ...]:
    """The FID, and beside it what it does not see: copies, of data that hold out enough to tell them.

    Media may have others.
    """
    if own := scores_of_medium(reference):
        return own
    return ("fid", "copied") if isinstance(reference, StreamData) and fits(reference) else ("fid",)


def statistics(scorer: Scorer, batches: Callable[[], Batches], total: int, identity: dict[str, Any]) -> Reals:
    """Read from the cache, or computed in one pass over all reals, of which each process takes a share.

    Args:
        identity: What tells these reals from all others.
    """
    scorer = scorer.of_features()
    kept = kept_indices(total, scorer.samples) if scorer.keeps_features else None
    parts = [scorer.extractor.identity(), identity, scorer.keeps_features and scorer.samples, VERSION]
    parts += [CHOICE] * (kept is not None)
    key = digest([*parts, "spatial"] if scorer.needs("spatial") else parts)
    path = cache_home() / "statistics" / key
    cached = broadcast(_read(path) if rank_and_world()[0] == 0 else None)
    if cached:
        return cached
    reals = Reals.of(scorer.observe(batches(), total, kept=kept))
    if rank_and_world()[0] == 0:
        write_cached(path, _bytes(reals))
    return reals


def sources_of(scorer: Scorer, data: StreamData, split: Split) -> Observed | None:
    """The statistics of what samples are made from, cached as the reals' are; None if no score needs them."""
    if not (scorer_of_sources := scorer.of_sources):
        return None
    items, total = getattr(data.splits, split), scorer.samples
    identity = identity_of(data, split) | {"of": "source"}
    sources = statistics(scorer_of_sources, lambda: source_batches(data, items, total), total, identity)
    return Observed(sources.moments, sources.rows)


def training_images(scorer: Scorer, data: StreamData) -> TrainingImages | None:
    """What copies are found by, cached; on the first process alone, and if a score needs it."""
    if not scorer.needs("training"):
        return None
    extractor, first = scorer.extractor, rank_and_world()[0] == 0
    path = cache_home() / "training" / digest([extractor.identity(), numbers(data), VERSION])
    content = read_cached(path) if first else None
    if broadcast(content is not None):
        return TrainingImages(**load(content)) if content else None
    features: list[Tensor] = []
    for items in data.splits:
        count = min(counted(items, 0), MOST)
        rows = scorer.of_features().observe(batches_of(data, items, count), count).rows
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
    if reals.spatial:
        spatial, parts["spatial_half"] = reals.spatial
        parts |= {"spatial_mean": spatial.mean, "spatial_covariance": spatial.covariance}
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
    count, spatial = int(parts["count"]), None
    if "spatial_half" in parts:
        moments = Gaussian(parts["spatial_mean"], parts["spatial_covariance"], count)
        spatial = moments, parts["spatial_half"]
    return Reals(Gaussian(parts["mean"], parts["covariance"], count), rows, parts["half"], spatial)


def given_reals(scorer: Scorer, given: Given) -> Reals:
    """The statistics of given items, and their classes if they tell any."""
    reals = statistics(scorer, given.sorted_batches, given.total, given.identity)
    reals.gathered = scorer.gathered(given.sorted_batches, given.total)
    reals.classes, kept = given.sorted_classes, kept_indices(given.total, scorer.samples)
    if reals.classes and kept is not None:
        reals.classes = reals.classes.some(kept)
    refuse_unfit_logits(scorer, reals.rows.logits if reals.rows else None, reals.classes)
    return reals


def identity_of(data: Any, split: str) -> dict[str, Any]:
    """What tells a split of data from all others, as a contract names it."""
    return {"class": type(data).__name__, "split": split, "fingerprint": data.fingerprint_of(split)}


def prepare_reference(scorer: Scorer, data: StreamData, split: Split) -> tuple[Reals, dict[str, Any]]:
    """The statistics of a split's images, and the scores of the other split against them, the floor.

    Each is read from its cache if it is there. Without another split the floor is empty. It is taken of as
    many images as there are samples, or of all that there are: then `beside_floor` scores as many samples.
    """
    scorer.extractor.refuse_unfit(data.media[0])
    items: Any = getattr(data.splits, split)
    if items is None:
        raise Refused(f"{type(data).__name__} holds out no images; compare with split train.")
    total = counted(items, scorer.samples)
    refuse_without_sources(scorer, data, split)
    if scorer.needs("training"):
        refuse_unfit(data)
    classes = real_classes(scorer, data, items, kept_indices(total, scorer.samples), total)
    reals = statistics(
        scorer.without_training(), lambda: batches_of(data, items, total), total, identity_of(data, split)
    )
    reals.modes, reals.valid, reals.classes = data.modes, data.valid, classes
    refuse_unfit_logits(scorer, reals.rows.logits if reals.rows else None, classes)
    reals.training = training_images(scorer, data)
    reals.sources = sources_of(scorer, data, split)
    reals.gathered = scorer.gathered(lambda: batches_of(data, items, total), total)
    other: Any = data.splits.held_out if split == "train" else data.splits.train
    count = 0 if other is None else min(counted(other, scorer.samples), scorer.samples)
    of_count = replace(scorer, reals=total).of(max(count, 2))
    if count < 2 or not of_count.chosen:
        return reals, {}
    identity = [identity_of(data, "train"), identity_of(data, "held_out"), split]
    names = [of_count.names(score) for score in of_count.rows]
    parts = [scorer.extractor.identity(), identity, names, count, VERSION, FLOOR_VERSION]
    key = digest([*parts, own] if (own := of_count.parameters) else parts)
    path = cache_home() / "floors" / key
    if floor := broadcast(_read_floor(path) if rank_and_world()[0] == 0 else None):
        return reals, floor
    others = of_count.observe(batches_of(data, other, count), count)
    others = others._replace(classes=real_classes(scorer, data, other, None, count))
    values, _ = on_rank_zero(lambda: of_count.score(limited(reals, count), others, floor=True))
    floor = {"samples": count, **values}
    if rank_and_world()[0] == 0:
        write_cached(path, json.dumps(floor).encode())
    return reals, floor


def limited(reals: Reals, samples: int) -> Reals:
    """The reals as they are for fewer samples: with the features of as many."""
    kept = None if reals.rows is None else kept_indices(len(reals.rows.features), samples)
    if kept is None:
        return reals
    classes = reals.classes and reals.classes.some(kept)
    return replace(reals, rows=some_rows(reals.rows, kept), classes=classes)


def part_of(floor: dict[str, Any], total: int, *, in_order: bool = False) -> Tensor | None:
    """Which of the samples are scored beside the floor; None: it was taken of as many, or there is none.

    Args:
        in_order: The samples may be sorted, as pictures of a folder are; else the first are as good as any.
    """
    if not floor or floor["samples"] >= total:
        return None
    return kept_indices(total, floor["samples"]) if in_order else torch.arange(floor["samples"])


def numbers_of(floor: dict[str, Any]) -> dict[str, Any]:
    """The scores of a floor, or of as many samples beside it, by name."""
    return {name: value for name, value in floor.items() if name != "samples"}


def against(beside: dict[str, Any], floor: dict[str, Any]) -> str:
    """In one line scores of as many samples as the floor, each with the floor's own."""
    low = numbers_of(floor)
    pairs = [(name, value, low.get(name)) for name, value in numbers_of(beside).items()]
    return "  ".join(f"{described({name: value})} (floor {_brief(each)})" for name, value, each in pairs)


def _brief(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def beside_floor(scorer: Scorer, reals: Reals, fakes: Observed, floor: dict[str, Any]) -> dict[str, Any]:
    """The scores of as many samples as the floor was taken of; empty where all samples are as many.

    Of generated samples they are those under the same contract with that number of samples; for scores of
    features that is so where no fewer samples than reals, or a multiple of the floor's, are asked for.
    """
    if fakes.part is None:
        return {}
    count = floor["samples"]
    values, _ = scorer.of(count).score(limited(reals, count), fakes.part)
    return {"samples": count, **values}


def _read_floor(path: Path) -> dict[str, Any] | None:
    """The cached floor; None if there is no such file, or it is damaged."""
    content = read_cached(path)
    return json.loads(content) if content else None


def contract_of(
    scorer: Scorer,
    data: StreamData,
    split: Split,
    *,
    fakes: str,
    seed: int | None,
    conditions: str | None = None,
    choices: dict[str, Any] | None = None,
) -> Contract:
    """The contract of fakes that are scored against a split of data."""
    items: Any = getattr(data.splits, split)
    return Contract(
        extractor=scorer.extractor.identity(),
        data=identity_of(data, split),
        reals=counted(items, scorer.samples),
        samples=scorer.samples,
        fakes=fakes,
        seed=seed,
        conditions=conditions,
        choices=choices or {},
        parameters=parameters_of(scorer, counted(items, scorer.samples))
        | ({"copied": numbers(data)} if scorer.needs("training") else {}),
    )


def parameters_of(scorer: Scorer, reals: int) -> dict[str, dict[str, Any]]:
    """By score what it alone depends on; of features also how reals were chosen, if not all are kept."""
    needing = ("features", "logits", "classes")
    kept = {score: {"reals": CHOICE} for score, row in scorer.rows.items() if row.needs in needing}
    own = scorer.parameters
    chosen = kept if reals > scorer.samples else {}
    return {score: {**own.get(score, {}), **chosen.get(score, {})} for score in {**own, **chosen}}
