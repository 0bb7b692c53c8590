"""How fast ganlab trains: python scripts/benchmark.py [--quick] [--json FILE]

Three ways to play the same game (the same networks, batch and Adam) in processes of their own:

- the tutorial loop: float32, one PIL image at a time through torchvision's transforms, a print with `.item()` a step (to a file,
  so that no terminal is timed), and one batch of fakes that both players use;
- ganlab through its Python API with the callbacks of `ganlab fit`, in float32 and at its defaults (precision auto);
- the bare loop: ganlab's step in plain PyTorch with the same settings (precision, channels_last, fused Adam, kept memory, bytes in
  memory, frozen opponent, fresh fakes in each turn, average of the generator), but without logs, checks and seeds of its own.
  What ganlab takes longer is its own cost, in per cent on images and, with tiny networks on points, in milliseconds.

The processes train lap after lap in turn (a b c a b c ...), so that other work on the machine falls on all of them; the first lap
warms up and is not counted. A ratio is the median over rounds, each round's laps compared with each other.
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus
from torch.optim import Adam
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision import transforms

from ganlab import Trainer, data, hardware, networks, variants
from ganlab.callbacks import Checkpoints, Progress, Samples

LATENT, ITEMS = 100, 60_000
QUICK, LONG = (5, 3.0), (12, 15.0)  # rounds, seconds a lap
DEVICE = torch.device(
    (torch.accelerator.is_available() and torch.accelerator.current_accelerator()) or "cpu"
)


class Generator(nn.Module):
    def __init__(self, *, image_shape: tuple[int, ...], latent_size: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        coarsest = (128, height // 4, width // 4)
        self.layers = nn.Sequential(
            nn.Linear(latent_size, coarsest[0] * coarsest[1] * coarsest[2]),
            nn.Unflatten(1, coarsest),
            nn.BatchNorm2d(128),
            *self._doubled(128, 128),
            *self._doubled(128, 64),
            nn.Conv2d(64, channels, 3, padding=1),
            nn.Tanh(),
        )

    def _doubled(self, inner: int, outer: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inner, outer, 3, padding=1)
        return [nn.Upsample(scale_factor=2), convolution, nn.BatchNorm2d(outer), nn.LeakyReLU(0.2)]

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent)


class Discriminator(nn.Module):
    def __init__(self, *, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.layers = nn.Sequential(
            *self._halved(channels, 16)[:-1],
            *self._halved(16, 32),
            *self._halved(32, 64),
            *self._halved(64, 128),
            nn.Flatten(),
            nn.Linear(128 * (height // 16) * (width // 16), 1),
        )

    def _halved(self, inner: int, outer: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inner, outer, 3, stride=2, padding=1)
        return [convolution, nn.LeakyReLU(0.2), nn.Dropout2d(0.25), nn.BatchNorm2d(outer)]

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).squeeze(1)


class ManyDigits(data.Digits):
    """As many as MNIST has: scikit-learn's digits, repeated, since they are on every machine."""

    def load(self) -> tuple[data.stream.FiniteItems, data.stream.FiniteItems]:
        train, held_out = super().load()
        which = torch.arange(ITEMS) % len(train)
        return TensorDataset(*train[which]), held_out


@dataclass(frozen=True)
class Game:
    data: Callable[..., data.StreamData]
    generator: Callable[..., nn.Module]
    discriminator: Callable[..., nn.Module]
    batch: int

    def players(self, image_shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
        return (
            self.generator(image_shape=image_shape, latent_size=LATENT),
            self.discriminator(image_shape=image_shape),
        )


IMAGES = Game(ManyDigits, Generator, Discriminator, batch=64)
POINTS = Game(
    data.Gaussians,
    partial(networks.MLPGenerator, hidden=(32, 32), bounded=False),
    partial(networks.MLPDiscriminator, hidden=(32, 32)),
    batch=256,
)


def laps() -> Iterator[None]:
    """Ask for a step again and again, for as many seconds as the parent says; then tell it and wait."""
    for seconds in sys.stdin:
        began, steps = time.perf_counter(), 0
        while time.perf_counter() < began + float(seconds):
            yield
            steps += 1
        if DEVICE.type != "cpu":
            torch.accelerator.synchronize()
        print(json.dumps([steps, time.perf_counter() - began]), flush=True)


class Pictures(Dataset[Tensor]):
    def __init__(self, images: Tensor, transform: Callable[[Image.Image], Tensor]) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(Image.fromarray(self.images[index].numpy(), mode="L"))


def tutorial() -> None:
    transform = transforms.Compose(
        [transforms.Resize(32), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
    )
    pictures = Pictures(ManyDigits(size=28).splits.train[torch.arange(ITEMS)][0][:, 0], transform)
    loader = DataLoader(pictures, batch_size=IMAGES.batch, shuffle=True, drop_last=True)
    generator, discriminator = (player.to(DEVICE) for player in IMAGES.players((1, 32, 32)))
    optimizer_g, optimizer_d = (
        Adam(player.parameters(), lr=2e-4, betas=(0.5, 0.999)) for player in (generator, discriminator)
    )
    valid, invalid = torch.ones(IMAGES.batch, device=DEVICE), torch.zeros(IMAGES.batch, device=DEVICE)
    loss = binary_cross_entropy_with_logits
    for step, (_, batch) in enumerate(zip(laps(), chain.from_iterable(repeat(loader)), strict=False)):
        real = batch.to(DEVICE)
        optimizer_g.zero_grad()
        fake = generator(torch.randn(IMAGES.batch, LATENT, device=DEVICE))
        loss_g = loss(discriminator(fake), valid)
        loss_g.backward()
        optimizer_g.step()

        optimizer_d.zero_grad()
        loss_d = (loss(discriminator(real), valid) + loss(discriminator(fake.detach()), invalid)) / 2
        loss_d.backward()
        optimizer_d.step()
        print(f"[step {step}] [D loss: {loss_d.item():f}] [G loss: {loss_g.item():f}]", file=sys.stderr)


def bare(game: Game, precision: str) -> None:
    hardware.keep_freed_memory()
    source = game.data()
    items = source.splits.train[torch.arange(ITEMS)][0]
    generator, discriminator = (
        player.to(DEVICE, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for player in game.players(source.image_shape)
    )
    average = copy.deepcopy(generator).requires_grad_(False)
    optimizer_g, optimizer_d = (
        Adam(player.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
        for player in (generator, discriminator)
    )
    half = partial(torch.autocast, DEVICE.type, torch.bfloat16, enabled=precision == "bf16-mixed")
    for _ in laps():
        real = source.normalise(items[torch.randint(ITEMS, (game.batch,))].to(DEVICE))
        with half():
            with torch.no_grad():
                fake = generator(torch.randn(game.batch, LATENT, device=DEVICE)).float()
            loss = softplus(-discriminator(real).float()).mean() + softplus(discriminator(fake).float()).mean()
        loss.backward()
        optimizer_d.step()
        optimizer_d.zero_grad()

        discriminator.requires_grad_(False)
        with half():
            fake = generator(torch.randn(game.batch, LATENT, device=DEVICE)).float()
            loss = softplus(-discriminator(fake).float()).mean()
        loss.backward()
        optimizer_g.step()
        optimizer_g.zero_grad()
        discriminator.requires_grad_(True)

        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 0.005)
            for mine, other in zip(average.buffers(), generator.buffers(), strict=True):
                mine.copy_(other)


class Lapped(Callback):
    def on_train_start(self, *_: Any) -> None:
        self.laps = laps()
        next(self.laps)

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        trainer.should_stop = next(self.laps, "over") == "over"


def framework(game: Game, precision: Any) -> None:
    hardware.keep_freed_memory()
    source = game.data(batch_size=game.batch)
    generator, discriminator = game.players(source.image_shape)
    model = variants.NonSaturatingGAN(
        generator=generator, discriminator=discriminator, latent_size=LATENT
    )
    with tempfile.TemporaryDirectory() as folder:
        Trainer(
            max_steps=10**9,
            precision=precision,
            default_root_dir=folder,
            logger=CSVLogger(folder, name="", version=""),
            enable_model_summary=False,
            callbacks=[Progress(), Samples(), Checkpoints(), Lapped()],
        ).fit(model, source)


Contestants = dict[str, tuple[Game, Callable[[], None]]]


def contestants() -> Contestants:
    """Where precision auto is 32, ganlab in float32 and ganlab at its defaults are one contestant."""
    found: Contestants = {"tutorial loop": (IMAGES, tutorial)}
    auto = hardware.best_precision("auto")
    for precision in dict.fromkeys(("32", auto)):
        found[f"ganlab, {precision}"] = (IMAGES, partial(framework, IMAGES, precision))
        found[f"bare loop, {precision}"] = (IMAGES, partial(bare, IMAGES, precision))
    found["ganlab, points"] = (POINTS, partial(framework, POINTS, "auto"))
    found["bare loop, points"] = (POINTS, partial(bare, POINTS, auto))
    return found


