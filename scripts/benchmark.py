"""How fast ganlab trains: python scripts/benchmark.py [--quick] [--json FILE]

Three ways to play one game, with the same networks, batch and Adam:

- the tutorial loop: float32, one PIL image at a time through torchvision's transforms, one batch of fakes
  for both players, a print with `.item()` each step (to a file: no terminal is timed);
- ganlab by its Python API, with the callbacks of `ganlab fit`, in float32 and at its defaults;
- the bare loop: ganlab's step and settings in plain PyTorch (precision, channels_last, fused Adam, memory
  kept, bytes in memory, opponent frozen, fresh fakes in each turn, the generator's average) without logs,
  checks and seeds. The time beyond the bare loop's is ganlab's overhead: a share of a step on images, and
  with tiny networks on points nearly all of a step, in milliseconds.

Each runs in a process of its own; they train in turn, lap after lap (a b c a b c ...), so that other work on
the machine slows all of them. The first lap warms up and is not counted. A ratio compares the laps of one
round. Every number is the median over rounds, with the least and the greatest.
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
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms

from ganlab import Trainer, data, networks, variants
from ganlab.callbacks import Checkpoints, Progress, Samples
from ganlab.system import hardware

QUICK, LONG = (5, 3.0), (10, 20.0)  # rounds, seconds a lap
ITEMS, LATENT = 60_000, 100
ACCELERATED = torch.accelerator.is_available()
DEVICE = (torch.accelerator.current_accelerator() if ACCELERATED else None) or torch.device("cpu")
ADAM = partial(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999))

Players = tuple[nn.Module, nn.Module]


class ManyDigits(data.Digits):
    """Scikit-learn's digits, which need no download, repeated until they are as many as MNIST's."""

    def load(self) -> tuple[Any, Any]:
        train, held_out = super().load()
        return TensorDataset(*train[torch.arange(ITEMS) % len(train)]), held_out


def convolutional() -> Players:
    def doubled(inner: int, outer: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inner, outer, 3, padding=1)
        return [nn.Upsample(scale_factor=2), convolution, nn.BatchNorm2d(outer), nn.LeakyReLU(0.2)]

    def halved(inner: int, outer: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inner, outer, 3, stride=2, padding=1)
        return [convolution, nn.LeakyReLU(0.2), nn.Dropout2d(0.25), nn.BatchNorm2d(outer)]

    start = [nn.Linear(LATENT, 128 * 8 * 8), nn.Unflatten(1, (128, 8, 8)), nn.BatchNorm2d(128)]
    image = [nn.Conv2d(64, 1, 3, padding=1), nn.Tanh()]
    maps = [*halved(1, 16)[:-1], *halved(16, 32), *halved(32, 64), *halved(64, 128)]
    logit = [nn.Flatten(), nn.Linear(128 * 2 * 2, 1), nn.Flatten(0)]
    return nn.Sequential(*start, *doubled(128, 128), *doubled(128, 64), *image), nn.Sequential(*maps, *logit)


def tiny() -> Players:
    size: dict[str, Any] = {"shape": (2,), "hidden": (32, 32)}
    generator = networks.MLPGenerator(latent_size=LATENT, bounded=False, **size)
    return generator, networks.MLPDiscriminator(**size)


class Game(NamedTuple):
    data: Callable[..., data.StreamData]
    players: Callable[[], Players]
    batch: int


IMAGES, POINTS = Game(ManyDigits, convolutional, 64), Game(data.Gaussians, tiny, 256)


def laps() -> Iterator[None]:
    """Yield once for each step to be trained.

    The parent process writes numbers of seconds. For each, steps are trained for so long; then their number
    and the time that they took are printed.
    """
    for seconds in sys.stdin:
        start, steps = time.perf_counter(), 0
        while time.perf_counter() < start + float(seconds):
            yield
            steps += 1
        if ACCELERATED:
            torch.accelerator.synchronize()
        print(json.dumps([steps, time.perf_counter() - start]), flush=True)


def tutorial(game: Game) -> None:
    normalise = transforms.Normalize([0.5], [0.5])
    transform = transforms.Compose([transforms.Resize(32), transforms.ToTensor(), normalise])
    pictures: Any = [Image.fromarray(image[0].numpy()) for image, _ in ManyDigits(size=28).load()[0]]

    def collate(batch: list[Image.Image]) -> Tensor:
        return torch.stack([transform(picture) for picture in batch])

    loader = DataLoader(pictures, game.batch, shuffle=True, drop_last=True, collate_fn=collate)
    generator, discriminator = (player.to(DEVICE) for player in game.players())
    optimizer_g, optimizer_d = ADAM(generator.parameters()), ADAM(discriminator.parameters())
    valid, fake = torch.ones(game.batch, device=DEVICE), torch.zeros(game.batch, device=DEVICE)
    loss = binary_cross_entropy_with_logits
    for step, (_, images) in enumerate(zip(laps(), chain.from_iterable(repeat(loader)), strict=False)):
        optimizer_g.zero_grad()
        generated = generator(torch.randn(game.batch, LATENT, device=DEVICE))
        loss_g = loss(discriminator(generated), valid)
        loss_g.backward()
        optimizer_g.step()

        optimizer_d.zero_grad()
        loss_real = loss(discriminator(images.to(DEVICE)), valid)
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
        real = source.played((items[torch.randint(ITEMS, (game.batch,))].to(DEVICE),))[0]
        with half():
            with torch.no_grad():
                fake = generator(torch.randn(game.batch, LATENT, device=DEVICE)).float()
            real_logits, fake_logits = discriminator(real).float(), discriminator(fake).float()
            loss = softplus(-real_logits).mean() + softplus(fake_logits).mean()
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
            for averaged, buffer in zip(average.buffers(), generator.buffers(), strict=True):
                averaged.copy_(buffer)


class TrainInLaps(Callback):
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
            callbacks=[Progress(), Samples(), Checkpoints(), TrainInLaps()],
        )
        trainer.fit(model, game.data(batch_size=game.batch))


AUTO = hardware.best_precision("auto")
PRECISIONS = tuple(dict.fromkeys(("32", AUTO)))
PAIRS = {f"images, {p}": (IMAGES, p) for p in PRECISIONS} | {f"points, {AUTO}": (POINTS, AUTO)}
CONTESTANTS: dict[str, Callable[[], None]] = {"tutorial": partial(tutorial, IMAGES)}
for what, (game, precision) in PAIRS.items():
    CONTESTANTS[f"ganlab, {what}"] = partial(framework, game, precision)
    CONTESTANTS[f"bare loop, {what}"] = partial(bare, game, precision)


def race(rounds: int, seconds: float, logs: Path) -> dict[str, list[float]]:
    """Milliseconds a step of each contestant in each round."""
    processes = {}
    for name in CONTESTANTS:
        command, pipe = [sys.executable, __file__, "--play", name], subprocess.PIPE
        with (logs / name).open("w") as log:
            processes[name] = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True)
    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(1 + rounds):
        for name, process in processes.items():
            print(seconds, file=process.stdin, flush=True)
            if not (line := process.stdout.readline()):  # type: ignore[union-attr]
                raise SystemExit(f"{name} failed:\n{(logs / name).read_text()}")
            steps, took = json.loads(line)
            times[name].append(1000 * took / steps)
    for process in processes.values():
        process.communicate()
    return {name: values[1:] for name, values in times.items()}


def report(times: dict[str, list[float]]) -> dict[str, list[float]]:
    """Print rates, speed-ups and overheads; return them for each round."""
    results: dict[str, list[float]] = {}

    def show(what: str, values: list[float], form: str, note: str = "") -> None:
        results[what] = values
        print(f"{what:50}{median(values):>7{form}}   {min(values):{form}} - {max(values):{form}}   {note}")

    def ratios(slow: str, fast: str) -> list[float]:
        return [a / b for a, b in zip(times[slow], times[fast], strict=True)]

    for name, values in times.items():
        batch = (POINTS if "points" in name else IMAGES).batch
        rates = [1000 * batch / ms for ms in values]
        show(f"{name}: images/s", rates, ".0f", f"{median(values):.4g} ms a step")
    for precision in PRECISIONS:
        name, note = f"ganlab, images, {precision}", "the defaults: at least 5 on a CPU with AMX"
        show(f"{name}: times the tutorial", ratios("tutorial", name), ".2f", note * (precision == AUTO))
    for what in PAIRS:
        costs = [100 * (ratio - 1) for ratio in ratios(f"ganlab, {what}", f"bare loop, {what}")]
        note = f"{median(costs) / 100 * median(times[f'bare loop, {what}']):.2f} ms a step"
        show(f"ganlab, {what}: own cost, %", costs, ".1f", note + "; at most 10 %" * ("images" in what))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="at most 3 minutes on 2 cores, not half an hour")
    parser.add_argument("--json", type=Path, help="write all numbers there, too")
    parser.add_argument("--play", choices=CONTESTANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.play:
        if not arguments.play.startswith("ganlab"):
            # Importing Lightning sets it, which slows every optimizer where there is no GPU.
            os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
        return CONTESTANTS[arguments.play]()
    cpuinfo = Path("/proc/cpuinfo")
    amx = cpuinfo.exists() and "amx_bf16" in cpuinfo.read_text()
    machine = hardware.describe() | {"amx": amx, "torch": torch.__version__, "precision auto": AUTO}
    print(", ".join(f"{key}: {value}" for key, value in machine.items()))
    if AUTO == "32":
        print("Precision auto is 32 here: ganlab in float32 and ganlab at its defaults are one contestant.")
    print(f"Load average before the start: {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as logs:
        results = report(race(*(QUICK if arguments.quick else LONG), Path(logs)))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, **results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
