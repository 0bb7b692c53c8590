"""Scores, networks and data of a user's own, as they stand in a user's file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ganlab.data import StreamData
from ganlab.media import Medium, Pictures
from ganlab.metrics import FeatureScore, PairScore, SampleScore, Value
from ganlab.metrics.observed import Pair

SHAPE = (1, 12, 12)


class Halved(StreamData):
    """Pictures, and beside each its darker half."""

    def __init__(self, *, items: int = 50, held_out: int | None = 30, **base: Any) -> None:
        super().__init__(**base)
        self.shape, self.items, self.held_out = SHAPE, items, held_out

    @property
    def media(self) -> tuple[Medium, ...]:  # type: ignore[override]
        return Pictures(SHAPE), Pictures(SHAPE)

    def load(self) -> tuple[Any, Any]:
        source = torch.Generator().manual_seed(0)
        images = torch.randint(256, (self.items, *SHAPE), dtype=torch.uint8, generator=source)
        pairs = TensorDataset(images, images // 2)
        return pairs, TensorDataset(*pairs[: self.held_out]) if self.held_out else None


class Repeat(nn.Module):
    """A generator whose samples are what it is told."""

    def __init__(self, *, shape: Sequence[int] = SHAPE) -> None:
        super().__init__()
        self.noise = nn.Parameter(torch.zeros(1))

    def forward(self, latent: Tensor, source: Tensor) -> Tensor:
        return source + 0 * self.noise * latent[:, :1, None, None]


class Judge(nn.Module):
    def __init__(self, *, shape: Sequence[int] = SHAPE) -> None:
        super().__init__()
        self.layer = nn.Linear(2 * 144, 1)

    def forward(self, images: Tensor, source: Tensor) -> Tensor:
        return self.layer(torch.cat([images, source], 1).flatten(1)).squeeze(1)


class Darker(PairScore):
    """The share of pixels that are darker than the real's, and of those that are brighter."""

    values = (Value("darker{n}", "max"), Value("brighter{n}"))

    def __init__(self, by: int = 0) -> None:
        self.by = by
        self.suffix = f"_by{by}" * (by > 0)

    def compare(self, made: Tensor, real: tuple[Any, ...]) -> Tensor:
        difference = made.int() - real[0].int()
        shares = [(difference < -self.by), (difference > self.by)]
        return torch.stack([share.double().mean((1, 2, 3)) for share in shares], 1)


class Levels(SampleScore):
    """The distance between how often there is each level of grey: half the sum of differences of shares."""

    values = (Value("levels{n}", "min"),)

    def count(self, samples: Tensor) -> Counter[int]:
        return Counter(samples.flatten().tolist())

    def compare(self, real: Counter[int], fake: Counter[int]) -> list[float]:
        keys = real.keys() | fake.keys()
        return [sum(abs(real[key] / real.total() - fake[key] / fake.total()) for key in keys) / 2]


class Gap(FeatureScore):
    """The distance between the means of features."""

    values = (Value("gap{n}", "min", "log"),)
    needs = "features"

    def compute(self, pair: Pair) -> list[float]:
        real, fake = pair.features
        return [float((real.mean(0) - fake.mean(0)).norm())]
