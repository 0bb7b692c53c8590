"""The watchdog's verdicts on runs that go wrong by design, and on healthy ones.

python scripts/verdicts.py [--only WORD ...] [--steps N] [--seeds N] [--out FILE]

Each is a run of some minutes at most: DCGANs of width 8 on digits at 16 pixels, small MLPs on a ring. Prints
a table: what was done to a run, the verdict, what it was found by, and the symptoms with the step of the
alarm and the images at which each began; and at the end how many of the healthy runs raised an alarm or were
stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback
from torch import nn

from ganlab import variants
from ganlab.callbacks import Evaluation, Watchdog
from ganlab.data import Digits, Gaussians
from ganlab.data.stream import StreamData
from ganlab.game.gan import GAN
from ganlab.media import Labels
from ganlab.metrics import Classifier, Points
from ganlab.networks import DCGANDiscriminator, DCGANGenerator, MLPDiscriminator, MLPGenerator
from ganlab.testing import Specks, play, tried_with
from ganlab.variants import R3GAN, WGAN, HingeGAN, MinimaxGAN, NonSaturatingGAN

SIZE, LATENT, WIDTH = 16, 64, 8
SHAPE: dict[str, Any] = {"shape": (1, SIZE, SIZE)}
NORMALISED = ("NonSaturatingGAN", "HingeGAN", "LSGAN", "WGAN", "MinimaxGAN")  # whose discriminators are
# But those that need sources, which digits do not have.
VARIANTS = sorted(name for name in variants.__all__ if tried_with(vars(variants)[name]).data is Specks)
PANEL = ("fid", "density_coverage")


class Run(NamedTuple):
    """A run; `steps` and `every` are generator steps in it and between two evaluations."""

    game: GAN
    data: StreamData
    scores: tuple[str, ...] = PANEL
    samples: int = 1000
    every: int = 100
    act: Callable[[int, GAN], None] | None = None


def adam(rate: float, first: float) -> Any:
    return partial(torch.optim.Adam, lr=rate, betas=(first, 0.99))


def digits(
    variant: type[GAN] | str,
    seed: int = 0,
    *,
    rate: float = 4e-4,
    critic_rate: float | None = None,
    normalization: Any = None,
    generator: nn.Module | None = None,
    data: StreamData | None = None,
    told: dict[str, Any] | None = None,
    **run: Any,
) -> Run:
    """`told` is what both networks are told: the digit, as the generator's arguments say."""
    condition: dict[str, Any] = {} if told is None else {"condition": Labels(10)}
    kind = vars(variants)[variant] if isinstance(variant, str) else variant
    torch.manual_seed(seed)
    name = kind.__name__
    normalization = normalization or ("batch" if name in NORMALISED else "none")
    first = 0.0 if name == "R3GAN" else 0.5
    optimizers = {
        "generator_optimizer": adam(rate, first),
        "discriminator_optimizer": adam(rate if critic_rate is None else critic_rate, first),
    }
    game = kind(
        generator=generator
        or DCGANGenerator(**SHAPE, latent_size=LATENT, width=WIDTH, **condition, **(told or {})),
        discriminator=DCGANDiscriminator(**SHAPE, width=WIDTH, normalization=normalization, **condition),
        latent_size=LATENT,
        seed=seed,
        conditional=told is not None,
        **({} if kind is WGAN else optimizers),
    )
    return Run(game, data or Digits(size=SIZE, batch_size=64), **run)


def ring(variant: str, seed: int = 0, **settings: Any) -> Run:
    torch.manual_seed(seed)
    players = {
        "generator": MLPGenerator(shape=(2,), latent_size=2, hidden=(64, 64, 64), bounded=False),
        "discriminator": MLPDiscriminator(shape=(2,), hidden=(64, 64, 64)),
        "generator_optimizer": adam(1e-3, 0.0),
        "discriminator_optimizer": adam(1e-3, 0.0),
    }
    noise = {"instance_noise": 0.3, "instance_noise_steps": 500}
    game = vars(variants)[variant](**players, **noise, **settings, latent_size=2, seed=seed)
    return Run(game, Gaussians(layout="ring", batch_size=128), ("fid", "modes"))


class Copies(nn.Module):
    """Makes given images, whatever it learns; `shown` are those that it makes."""

    def __init__(self, images: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("images", images)
        self.register_buffer("shown", torch.arange(len(images)))
        self.idle = nn.Parameter(torch.zeros(1))

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        number = (latent[:, 0].abs() * 10_000).long() % (self.shown.max() + 1)  # type: ignore[operator]
        return self.images[number] + 0 * self.idle  # type: ignore[index]


class Still(nn.Module):
    """Makes one image, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Parameter(torch.randn(1, SIZE, SIZE))

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return self.image.tanh().expand(len(latent), 1, SIZE, SIZE) + 0 * latent.sum()


class WithoutLatent(DCGANGenerator):
    """Makes one image of each class, whatever the latent."""

    def forward(self, latent: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        return super().forward(0 * latent, condition)


class OfOneClass(HingeGAN):
    """Learns the reals of one class alone."""

    def discriminator_terms(self, turn: Any) -> Any:
        reals = turn.real[turn.batch[1] == 3]
        reals = reals if len(reals) else turn.real[:1]
        return {"discriminator": self.loss.discriminator(turn.logits(reals), turn.fake_logits)}


class OneImage(Digits):
    """Data of a single image."""

    def load(self) -> tuple[Any, Any]:
        train, _ = super().load()
        images, labels = train[torch.zeros(500, dtype=torch.long)]
        return torch.utils.data.TensorDataset(images, labels), None


def images_of(count: int, label: int | None = None) -> torch.Tensor:
    data = Digits(size=SIZE, batch_size=64)
    data.prepare_data()
    data.setup("fit")
    images, labels = data.splits.train[torch.arange(len(data.splits.train))]  # type: ignore[arg-type]
    chosen = images if label is None else torch.cat([images[labels == label], images[labels != label]])
    return data.played((chosen[:count],))[0]


def freeze(step: int, game: GAN) -> None:
    if step == 200:
        for group in game.optimizers()[1].param_groups:  # type: ignore[index]
            group["lr"] = 0.0


def lose_modes(step: int, game: GAN) -> None:
    """From images of all classes to those of the first class alone."""
    if step == 500:
        for network in (game.generator, game.ema.network):
            network.shown.zero_().add_(100)  # type: ignore[union-attr,operator]


def break_average(step: int, game: GAN) -> None:
    """Put random weights in the average's place, and keep them there."""
    if step == 500:
        for parameter in game.ema.network.parameters():
            parameter.data.normal_(std=0.3)
        game.ema_half_life, game.ema_ramp = 1e12, None


HEALTHY: dict[str, Callable[[], Run]] = {
    **{f"{name}, digits, seed {seed}": partial(digits, name, seed) for seed in range(3) for name in VARIANTS},
    **{f"{name}, ring, seed 0": partial(ring, name) for name in ("NonSaturatingGAN", "R1GAN", "R3GAN")},
    # The penalty's usual weight, 10, is too much on this ring: samples stay far from the reals.
    "WGANGP, ring, seed 0": partial(ring, "WGANGP", gamma=0.1, critic_steps=3),
    "noisy KID of 100 samples, 40 evaluations, seed 0": partial(
        digits, R3GAN, scores=("kid",), samples=100, every=25
    ),
    "density alone, seed 0": partial(digits, R3GAN, scores=("density_coverage",)),
    "slow learner: both rates 2e-5, seed 0": partial(digits, NonSaturatingGAN, rate=2e-5),
    **{
        f"R3GAN, told the digit by normalization, seed {seed}": partial(
            digits, R3GAN, seed, told={"conditioning": "normalization"}
        )
        for seed in range(3)
    },
    "WGANGP, told the digit beside the latent, seed 0": partial(digits, "WGANGP", told={}),
    "data of one image, seed 0": lambda: digits(
        R3GAN, data=OneImage(size=SIZE, batch_size=64), scores=("fid",)
    ),
}
WRONG: dict[str, Callable[[], Run]] = {
    "generator's rate 0": partial(digits, NonSaturatingGAN, rate=0.0, critic_rate=4e-4),
    "both rates 0": partial(digits, NonSaturatingGAN, rate=0.0),
    "discriminator's rate x 1000": partial(digits, R3GAN, rate=2e-4, critic_rate=0.2),
    "discriminator's rate x 1000, non-saturating loss": partial(
        digits, NonSaturatingGAN, rate=2e-4, critic_rate=0.2, normalization="none"
    ),
    "generator frozen after 200 steps": partial(digits, NonSaturatingGAN, rate=2e-4, act=freeze),
    "ten training images, whatever the latent": lambda: digits(HingeGAN, generator=Copies(images_of(10))),
    "all training images, whatever the latent": lambda: digits(
        HingeGAN, generator=Copies(images_of(1497)), scores=("fid", "copied")
    ),
    "one image, whatever the latent": lambda: digits(HingeGAN, generator=Still()),
    "one image of each class, whatever the latent": lambda: digits(
        HingeGAN,
        told={},
        generator=WithoutLatent(**SHAPE, latent_size=LATENT, width=WIDTH, condition=Labels(10)),
    ),
    "hinge loss, told the digit beside the latent": partial(digits, HingeGAN, told={}),
    "R3GAN, told the digit beside the latent": partial(digits, R3GAN, told={}),
    "one class only": lambda: digits(OfOneClass),
    "modes lost at step 500": lambda: digits(
        HingeGAN, generator=Copies(images_of(1497, label=3)), act=lose_modes
    ),
    "the discriminator wins: its rate x 20, minimax loss": partial(
        digits, MinimaxGAN, rate=1e-4, critic_rate=2e-3, normalization="none"
    ),
    "average broken at step 500": partial(digits, R3GAN, act=break_average),
    "WGAN-GP on the ring, its penalty's weight 10": partial(ring, "WGANGP"),
}


class Acting(Callback):
    def __init__(self, act: Callable[[int, GAN], None]) -> None:
        self.act = act

    def on_train_batch_end(self, trainer: Any, game: Any, *_: Any) -> None:
        self.act(trainer.global_step, game)


def verdict_on(run: Run, steps: int) -> tuple[dict[str, Any], int]:
    """What a run's verdict.json holds, and the step at which the run ended."""
    extractor = Points() if isinstance(run.data, Gaussians) else Classifier("digits")
    evaluation = Evaluation(extractor, scores=run.scores, samples=run.samples, every_n_steps=run.every)
    acting: list[Callback] = [Acting(run.act)] if run.act else []
    callbacks = [*acting, Watchdog(), evaluation]
    out, err = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with tempfile.TemporaryDirectory() as folder, out, err:
        settings: dict[str, Any] = {"default_root_dir": folder, "log_every_n_steps": 10}
        trainer = play(run.game, run.data, steps=steps, callbacks=callbacks, **settings)
        return json.loads((Path(folder) / "verdict.json").read_text()), trainer.global_step


def row(name: str, content: dict[str, Any], ended: int, steps: int) -> str:
    alarms = [
        f"{alarm['symptom']} {alarm['step']:,} (since {alarm['images']:,} images{', over' * alarm['over']})"
        for alarm in content["alarms"]
    ]
    stopped = [f"stopped at {ended:,}"] if ended != steps else []
    verdict, _, looked_at = content["verdict"].partition("; samples at ")
    return f"| {name} | {verdict} | samples at {looked_at} | {', '.join([*alarms, *stopped]) or '-'} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="runs whose names hold one")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=2, help="of each healthy variant on digits, up to 3")
    parser.add_argument("--out", type=Path, help="a file to add the rows to")
    arguments = parser.parse_args()
    table(arguments.only, arguments.steps, arguments.seeds, arguments.out)


def table(only: list[str], steps: int, seeds: int, out: Path | None) -> dict[str, tuple[dict[str, Any], int]]:
    """Print the table, and return what each run's verdict.json holds and the step at which it ended."""
    allowed = tuple(f"seed {seed}" for seed in range(seeds))
    healthy = {name: build for name, build in HEALTHY.items() if name.endswith(allowed)}
    results: dict[str, tuple[dict[str, Any], int]] = {}
    tell("| run | verdict | found by | alarms: symptom and step |\n|:--|:--|:--|:--|", out)
    for name, build in {**WRONG, **healthy}.items():
        if only and not any(word in name for word in only):
            continue
        results[name] = verdict_on(build(), steps)
        tell(row(name, *results[name], steps), out)
    sound = [results[name] for name in healthy if name in results]
    false = sum(bool(content["alarms"]) or ended != steps for content, ended in sound)
    tell(f"\n{len(sound)} healthy runs of {steps:,} steps: {false} with a false alarm or stopped.", out)
    return results


def tell(text: str, out: Path | None) -> None:
    print(text, flush=True)
    if out:
        with out.open("a") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
