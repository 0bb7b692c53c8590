"""Numbers that cannot work are refused where an object is made, in Python as on the command line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf, nan
from typing import Any

import pytest

from ganlab.callbacks import Checkpoints, Evaluation, Preemption, Progress, Samples, Status, Watchdog
from ganlab.data import MNIST, CatsVsDogs, CelebA, Digits, Gaussians, StackedMNIST
from ganlab.errors import Refused
from ganlab.metrics import Pixels
from ganlab.networks import DCGANGenerator, R3GANDiscriminator
from ganlab.testing import new
from ganlab.training import Trainer, TwoPlayers
from ganlab.variants import DRAGAN, R1GAN, WGAN, WGANGP, HingeGAN, NonSaturatingGAN

HUGE = 10**12
GAME = partial(new, HingeGAN)
SHAPE = {"shape": (1, 8, 8)}
QUIET = {"logger": False, "accelerator": "cpu"}


@pytest.mark.parametrize(
    ("build", "name", "values"),
    [
        (Checkpoints, "every_n_steps", (0, -1)),
        (Checkpoints, "every_minutes", (-1, nan)),
        (Checkpoints, "keep", (0, -1)),
        (Samples, "every_n_steps", (0, -1)),
        (Samples, "count", (0, -1)),
        (Samples, "seed", (-1, 2**32)),
        (Watchdog, "every_n_steps", (0, -1)),
        (Watchdog, "stop_ratio", (0, -3, nan, inf)),
        (Watchdog, "stop_after", (0, -1)),
        (Evaluation, "every_n_steps", (0, -1)),
        (Evaluation, "seed", (-1, 2**32)),
        (partial(Evaluation, Pixels()), "samples", (0, 1, -1, HUGE)),
        (Preemption, "margin", (-1, nan)),
        (Progress, "refresh", (-1, nan)),
        (Progress, "log_every", (-1, nan)),
        (Status, "every", (-1, nan)),
        (Status, "clock_every", (-1, nan)),
        *((GAME, name, (0, -1)) for name in ("critic_steps", "accumulation", "penalty_every")),
        (GAME, "latent_size", (-1,)),
        (GAME, "generator_clip", (0, -1, nan, inf)),
        (GAME, "discriminator_clip", (0, -1, nan, inf)),
        (GAME, "ema_half_life", (-1, nan, inf)),
        (GAME, "ema_ramp", (-1, nan, inf)),
        (GAME, "instance_noise", (-1, nan, inf)),
        (GAME, "instance_noise_steps", (0, -1)),
        (GAME, "seed", (-1, 2**32)),
        (partial(new, NonSaturatingGAN), "smoothing", (-1, 1, nan)),
        (partial(new, WGAN), "clip", (0, -1, nan)),
        (partial(new, WGANGP), "gamma", (-1, nan, inf)),
        (partial(new, R1GAN), "gamma", (-1, nan)),
        (partial(new, DRAGAN), "strength", (-1, nan)),
        (Digits, "batch_size", (0, -1)),
        (Digits, "workers", (-1, HUGE)),
        (Digits, "seed", (-1, 2**32)),
        (Digits, "size", (0, -1, HUGE)),
        (MNIST, "batch_size", (0,)),
        (StackedMNIST, "count", (0, -1)),
        (StackedMNIST, "stacking_seed", (-1,)),
        (CelebA, "crop", (0, -1)),
        (CatsVsDogs, "size", (0, HUGE)),
        (CatsVsDogs, "held_out", (-0.1, 1.5, nan)),
        (CatsVsDogs, "most_broken", (-0.1, nan)),
        (Gaussians, "modes", (0, -1)),
        (Gaussians, "sigma", (-1, nan)),
        (Pixels, "size", (0, -1)),
        (partial(DCGANGenerator, **SHAPE), "width", (0, -1)),
        (partial(R3GANDiscriminator, **SHAPE), "width", (0, -1)),
        (partial(R3GANDiscriminator, **SHAPE), "blocks", (0, HUGE)),
        (TwoPlayers, "bucket_megabytes", (0, -1, nan)),
        (partial(Trainer, **QUIET), "max_steps", (0,)),
        (partial(Trainer, **QUIET), "log_every_n_steps", (-1,)),
        (partial(Trainer, **QUIET), "val_check_interval", (0, -1, 0.5, nan)),
        (partial(Trainer, **QUIET), "check_val_every_n_epoch", (0, -1)),
        (partial(Trainer, **QUIET), "limit_train_batches", (0, -1, 0.5)),
        (partial(Trainer, **QUIET), "num_nodes", (0, HUGE)),
        (partial(Trainer, **QUIET), "devices", (HUGE, str(HUGE))),
        (partial(Trainer, **QUIET), "gradient_clip_val", (0, 1, -1)),
        (partial(Trainer, **QUIET), "accumulate_grad_batches", (0, 2)),
    ],
)
def test_a_number_that_cannot_work_is_refused(
    build: Callable[..., Any], name: str, values: tuple[float, ...]
) -> None:
    for value in values:
        with pytest.raises(Refused, match=name) as refusal:
            build(**{name: value})
        assert len(str(refusal.value).splitlines()) <= 3, value
        assert str(value) in str(refusal.value) or name.startswith(("gradient_", "accumulate_"))


def test_the_ends_of_what_can_work_are_taken() -> None:
    game = new(
        HingeGAN, ema_half_life=0, ema_ramp=None, instance_noise=0, seed=2**32 - 1, generator_clip=1e-9
    )
    assert game.seed == 2**32 - 1
    Watchdog(every_n_steps=1, stop_ratio=1, stop_after=None)
    Evaluation(every_n_steps=None)
    Checkpoints(every_n_steps=10**12, every_minutes=0, keep=1)
    Trainer(**QUIET, max_steps=-1, log_every_n_steps=0, val_check_interval=1.0, accumulate_grad_batches=1)
