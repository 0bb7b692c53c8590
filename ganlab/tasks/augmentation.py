"""Whether a game's samples help a classifier: one trained on reals, on moved reals, on samples, on both.

Samples alone are Ravuri and Vinyals 2019 (classification accuracy score), arXiv:1905.10887.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ganlab.augment import flip, translation
from ganlab.data.order import FiniteItems
from ganlab.data.stream import StreamData, labels_of
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.media import Medium, Pictures, Sound
from ganlab.metrics.extractors.sounds import loudness
from ganlab.sampling.plan import class_names
from ganlab.sampling.write import Source
from ganlab.seeds import keeping_random_states, reseed, seed_for

ARMS = {
    "reals": "reals",
    "moved": "reals, moved",
    "samples": "samples alone",
    "both": "reals and samples",
    "moved_both": "both, moved",
}
BLOCK = 1000  # held-out items that are told at once


@dataclass(frozen=True)
class Budget:
    """What each classifier is trained with: so many steps, whatever it is trained on.

    Args:
        steps: Of AdamW.
        batch: Items a step; of reals and samples half of each.
        rate: The highest learning rate.
        per_class: Samples of each class.
    """

    steps: int = 1000
    batch: int = 64
    rate: float = 2e-3
    per_class: int = 1000


class Teller(nn.Module):
    """Tells the class of an item: convolutions that halve it three times, and a linear layer."""

    def __init__(self, channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for wide in (width, 2 * width, 2 * width):
            layers += [nn.Conv2d(channels, wide, 3, 2, 1), nn.GroupNorm(8, wide), nn.SiLU()]
            channels = wide
        self.maps = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(0.3))
        self.classes = nn.Linear(16 * channels, classes)

    def forward(self, items: Tensor) -> Tensor:
        logits: Tensor = self.classes(self.maps(items))
        return logits


class Items(NamedTuple):
    """Items as data store them, and their classes."""

    stored: Tensor
    labels: Tensor


def accuracies(game: GAN, data: StreamData, seed: int, budget: Budget) -> dict[str, Any]:
    """Of each arm the share of held-out items whose class it tells, and what it was measured with.

    Args:
        data: Those that the game was trained on, set up, with classes.
    """
    began, medium = time.perf_counter(), data.media[0]
    if not isinstance(medium, Pictures | Sound):
        raise Refused(f"The study is of pictures and sounds, and these are {medium}.")
    names = class_names(game)
    train, held_out = data.splits
    if held_out is None or not len(held_out):
        raise Refused(
            f"{type(data).__name__} holds nothing out: there is nothing to tell classifiers apart by."
        )
    reals, unseen = (_all(cast(FiniteItems, items), game) for items in (train, held_out))
    made = _samples(game, medium, names, seed, budget.per_class)
    move = mover(medium, flips=bool(getattr(data, "flip", False)))
    taught: dict[str, tuple[list[Items], Move | None]] = {
        "reals": ([reals], None),
        "moved": ([reals], move),
        "samples": ([made], None),
        "both": ([reals, made], None),
        "moved_both": ([reals, made], move),
    }
    shares = {}
    with keeping_random_states(game.device):
        for arm, (sources, moved) in taught.items():
            teller = _trained(sources, moved, medium, len(names), seed, budget)
            shares[arm] = _share_told(teller, unseen, medium)
    return {
        "accuracies": shares,
        "seed": seed,
        "reals": len(reals.labels),
        "held_out": len(unseen.labels),
        "budget": asdict(budget),
        "seconds": round(time.perf_counter() - began, 1),
    }


Move = Callable[[Tensor], Tensor]


def mover(medium: Medium, *, flips: bool) -> Move:
    """Shifts by up to an eighth each way, and where the data are mirrored, too, mirrors every second."""

    def move(items: Tensor) -> Tensor:
        if isinstance(medium, Sound):
            return translation(items[:, :, None])[:, :, 0]
        shifted = translation(items + 1) - 1  # What comes into view is black.
        return flip(shifted) if flips else shifted

    return move


def _all(items: FiniteItems, game: GAN) -> Items:
    stored = torch.cat([items[part][0].cpu() for part in torch.arange(len(items)).split(BLOCK)])
    return Items(stored.to(game.device), labels_of(items).to(game.device))


def _samples(game: GAN, medium: Medium, names: Sequence[str], seed: int, per_class: int) -> Items:
    """As files would hold them."""
    source = Source(game, seed, classes=[name for name in names for _ in range(per_class)])
    stored = torch.cat([medium.stored(block) for block in source.blocks(per_class * len(names))])
    return Items(stored, torch.arange(len(names), device=stored.device).repeat_interleave(per_class))


def seen(stored: Tensor, medium: Medium, move: Move | None = None) -> Tensor:
    """What a classifier is shown: pictures as networks play with them, of sounds how loud each band is."""
    if isinstance(medium, Sound):
        sounds = stored.float()
        return loudness(move(sounds) if move else sounds, medium.rate, sounds.shape[2])
    pictures = medium.played(stored)
    return move(pictures) if move else pictures


def _trained(
    sources: list[Items], move: Move | None, medium: Medium, classes: int, seed: int, budget: Budget
) -> Teller:
    device = sources[0].stored.device
    reseed(seed_for("augmentation", seed), device)
    teller = Teller(seen(sources[0].stored[:1], medium).shape[1], classes).to(device)
    optimizer = torch.optim.AdamW(teller.parameters(), budget.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, budget.rate, total_steps=budget.steps)
    each = max(1, budget.batch // len(sources))
    for _ in range(budget.steps):
        rows = [torch.randint(len(source.labels), (each,), device=device) for source in sources]
        pairs = [*zip(sources, rows, strict=True)]
        shown = seen(torch.cat([source.stored[drawn] for source, drawn in pairs]), medium, move)
        labels = torch.cat([source.labels[drawn] for source, drawn in pairs])
        optimizer.zero_grad()
        cross_entropy(teller(shown), labels).backward()
        optimizer.step()
        schedule.step()
    return teller.eval()


@torch.no_grad()
def _share_told(teller: Teller, unseen: Items, medium: Medium) -> float:
    told = [teller(seen(part, medium)).argmax(1) for part in unseen.stored.split(BLOCK)]
    return float((torch.cat(told) == unseen.labels).double().mean())
