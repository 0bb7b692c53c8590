"""How fast ganlab trains: python scripts/benchmark.py [--quick] [--json FILE]

Three ways to play one game, with the same networks, batch and Adam:

- the tutorial loop: float32, one PIL image at a time through torchvision's transforms, one batch of fakes for both players, a print
  with `.item()` each step (to a file: no terminal is timed);
- ganlab by its Python API with the callbacks of `ganlab fit`, in float32 and at its defaults (precision auto);
- the bare loop: ganlab's step and settings in plain PyTorch (precision, channels_last, fused Adam, memory kept, bytes in memory, the
  opponent frozen, fresh fakes in each turn, the generator's average) without logs, checks and seeds. What ganlab takes beyond
  it is its own cost: in per cent on images; in milliseconds a step with tiny networks on points, too.

Each has a process of its own. They train lap after lap in turn (a b c a b c ...), so that other work on the machine falls on all; the
first lap warms up and is not counted. A ratio is that of the laps of one round: the median over rounds, least - greatest.
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
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision import transforms

from ganlab import Trainer, data, hardware, networks, variants
from ganlab.callbacks import Checkpoints, Progress, Samples

LATENT, ITEMS = 100, 60_000
PLANS = {"quick": (5, 3.0), "long": (12, 15.0)}  # rounds, seconds a lap
FOUND = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
DEVICE = FOUND or torch.device("cpu")
ADAM = partial(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999))


class ManyDigits(data.Digits):
    """As many digits as MNIST has: scikit-learn's, which are on every machine, repeated."""

    def load(self) -> tuple[Any, Any]:
        train, held_out = super().load()
        return TensorDataset(*train[torch.arange(ITEMS) % len(train)]), held_out  # type: ignore[index]


def convolutional() -> tuple[nn.Module, nn.Module]:
    def doubled(inner: int, outer: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inner, outer, 3, padding=1)
        return [nn.Upsample(scale_factor=2), convolution, nn.BatchNorm2d(outer), nn.LeakyReLU(0.2)]

    def halved(inner: int, outer: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inner, outer, 3, stride=2, padding=1)
        return [convolution, nn.LeakyReLU(0.2), nn.Dropout2d(0.25), nn.BatchNorm2d(outer)]

    start = [nn.Linear(LATENT, 128 * 8 * 8), nn.Unflatten(1, (128, 8, 8)), nn.BatchNorm2d(128)]
    end = [nn.Conv2d(64, 1, 3, padding=1), nn.Tanh()]
    generator = nn.Sequential(*start, *doubled(128, 128), *doubled(128, 64), *end)
    maps = [*halved(1, 16)[:-1], *halved(16, 32), *halved(32, 64), *halved(64, 128)]
    return generator, nn.Sequential(*maps, nn.Flatten(), nn.Linear(128 * 2 * 2, 1), nn.Flatten(0))


def tiny() -> tuple[nn.Module, nn.Module]:
    size: dict[str, Any] = {"image_shape": (2,), "hidden": (32, 32)}
    generator = networks.MLPGenerator(latent_size=LATENT, bounded=False, **size)
    return generator, networks.MLPDiscriminator(**size)


@dataclass(frozen=True)
class Game:
    data: Callable[..., data.StreamData]
    players: Callable[[], tuple[nn.Module, nn.Module]]
    batch: int


IMAGES, POINTS = Game(ManyDigits, convolutional, 64), Game(data.Gaussians, tiny, 256)


def laps() -> Iterator[None]:
    """Ask for steps for as many seconds as the parent says, tell it their number and time, and wait for its next word."""
    for seconds in sys.stdin:
        began, steps = time.perf_counter(), 0
        while time.perf_counter() < began + float(seconds):
            yield
            steps += 1
        if FOUND:
            torch.accelerator.synchronize()
        print(json.dumps([steps, time.perf_counter() - began]), flush=True)


class Pictures(Dataset[Tensor]):
    def __init__(self) -> None:
        images, _ = ManyDigits(size=28).load()[0].tensors
        self.images = images[:, 0].numpy()
        normalise = transforms.Normalize([0.5], [0.5])
        self.transform = transforms.Compose([transforms.Resize(32), transforms.ToTensor(), normalise])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(Image.fromarray(self.images[index]))


def tutorial(game: Game) -> None:
    loader = DataLoader(Pictures(), batch_size=game.batch, shuffle=True, drop_last=True)
    generator, discriminator = (player.to(DEVICE) for player in game.players())
    optimizer_g, optimizer_d = ADAM(generator.parameters()), ADAM(discriminator.parameters())
    valid, fake = torch.ones(game.batch, device=DEVICE), torch.zeros(game.batch, device=DEVICE)
    loss = binary_cross_entropy_with_logits
    for step, (_, batch) in enumerate(zip(laps(), chain.from_iterable(repeat(loader)), strict=False)):
        optimizer_g.zero_grad()
        generated = generator(torch.randn(game.batch, LATENT, device=DEVICE))
        loss_g = loss(discriminator(generated), valid)
        loss_g.backward()
        optimizer_g.step()

        optimizer_d.zero_grad()
        loss_real = loss(discriminator(batch.to(DEVICE)), valid)
        loss_d = (loss_real + loss(discriminator(generated.detach()), fake)) / 2
        loss_d.backward()
        optimizer_d.step()
        print(f"[Step {step}] [D loss: {loss_d.item():f}] [G loss: {loss_g.item():f}]", file=sys.stderr)


def bare(game: Game, precision: str) -> None:
    hardware.keep_freed_memory()
    source = game.data()
    items = source.splits.train[torch.arange(ITEMS)][0]
    generator, discriminator = (player.to(DEVICE) for player in game.players())
    for player in (generator, discriminator):
        player.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(generator).requires_grad_(False)
    optimizer_g = ADAM(generator.parameters(), fused=True)
    optimizer_d = ADAM(discriminator.parameters(), fused=True)
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
    generator, discriminator = game.players()
    model = variants.NonSaturatingGAN(generator=generator, discriminator=discriminator, latent_size=LATENT)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_steps=10**9,
            precision=precision,
            default_root_dir=folder,
            enable_model_summary=False,
            logger=CSVLogger(folder, name="", version=""),
            callbacks=[Progress(), Samples(), Checkpoints(), Lapped()],
        )
        trainer.fit(model, game.data(batch_size=game.batch))


AUTO = hardware.best_precision("auto")
# Where precision auto is 32, ganlab in float32 and ganlab at its defaults are one contestant.
PRECISIONS = tuple(dict.fromkeys(("32", AUTO)))
PAIRS = {f"images, {p}": (IMAGES, p) for p in PRECISIONS} | {f"points, {AUTO}": (POINTS, AUTO)}
CONTESTANTS: dict[str, Callable[[], None]] = {"tutorial loop": partial(tutorial, IMAGES)}
for what, chosen in PAIRS.items():
    CONTESTANTS |= {f"ganlab: {what}": partial(framework, *chosen), f"bare loop: {what}": partial(bare, *chosen)}

Times = dict[str, list[float]]


def race(rounds: int, seconds: float, logs: Path) -> Times:
    """Milliseconds a step of each contestant in each round."""
    processes = {}
    for name in CONTESTANTS:
        command, pipe = [sys.executable, __file__, "--play", name], subprocess.PIPE
        with (logs / name).open("w") as log:
            processes[name] = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True)
    times: Times = {name: [] for name in CONTESTANTS}
    for _ in range(1 + rounds):
        for name, process in processes.items():
            assert process.stdin and process.stdout
            print(seconds, file=process.stdin, flush=True)
            if not (line := process.stdout.readline()):
                raise SystemExit(f"{name} failed:\n{(logs / name).read_text()}")
            steps, took = json.loads(line)
            times[name].append(1000 * took / steps)
    for process in processes.values():
        process.communicate()
    return {name: values[1:] for name, values in times.items()}


def spread(values: list[float], form: str) -> str:
    return f"{median(values):{form}} ({min(values):{form}} - {max(values):{form}})"


def ratios(times: Times, slow: str, fast: str) -> list[float]:
    return [a / b for a, b in zip(times[slow], times[fast], strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="at most three minutes, instead of half an hour")
    parser.add_argument("--json", type=Path, help="write all numbers there, too")
    parser.add_argument("--play", choices=CONTESTANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.play:
        return CONTESTANTS[arguments.play]()

    cpuinfo = Path("/proc/cpuinfo")
    amx = cpuinfo.exists() and "amx_bf16" in cpuinfo.read_text()
    machine = hardware.describe() | {"amx": amx, "torch": torch.__version__, "precision auto": AUTO}
    print("; ".join(f"{key} {value}" for key, value in machine.items()))
    if AUTO == "32":
        print("Precision auto is 32 on this machine: ganlab in float32 and at its defaults are the same.")
    print(f"Load before the start: {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as logs:
        times = race(*PLANS["quick" if arguments.quick else "long"], Path(logs))

    print(f"\n{'':24} {'images/s':>24}  {'ms a step':>22}")
    rates = {}
    for name, values in times.items():
        batch = (POINTS if "points" in name else IMAGES).batch
        rates[name] = [1000 * batch / value for value in values]
        print(f"{name:24} {spread(rates[name], ',.0f'):>24}  {spread(values, '.4g'):>22}")
    speedups = {p: ratios(times, "tutorial loop", f"ganlab: images, {p}") for p in PRECISIONS}
    costs = {what: ratios(times, f"ganlab: {what}", f"bare loop: {what}") for what in PAIRS}
    print()
    for precision, values in speedups.items():
        print(f"ganlab in {precision} / tutorial loop: {spread(values, '.2f')}")
    required = median(speedups[AUTO]) >= 5
    print(f"at least 5 at the defaults, on a CPU with AMX: {required if amx else 'not this machine'}")
    for what, values in costs.items():
        percent = [100 * (value - 1) for value in values]
        more = median(percent) / 100 * median(times[f"bare loop: {what}"])
        print(f"ganlab's own cost, {what}: {spread(percent, '+.1f')} %, {more:+.2f} ms a step")
    if arguments.json:
        found = {"machine": machine, "images_per_second": rates, "speedups": speedups, "slower_than_bare": costs}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
