"""The watchdog reports a game that goes wrong while it can still be stopped, and no other game."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ganlab.callbacks import Evaluation, Watchdog
from ganlab.data import Digits
from ganlab.game.gan import GAN
from ganlab.metrics import Pixels
from ganlab.networks import DCGANDiscriminator, DCGANGenerator
from ganlab.testing import Specks, new, play, state
from ganlab.variants import R3GAN, WGAN, HingeGAN, NonSaturatingGAN, RelativisticGAN

SHAPE = {"image_shape": (1, 16, 16)}


def digits(variant: type[GAN], *, generator: nn.Module | None = None, rate: float = 2e-4) -> GAN:
    torch.manual_seed(0)
    players = {
        "generator": generator or DCGANGenerator(latent_size=16, width=8, **SHAPE),
        "discriminator": DCGANDiscriminator(width=8, normalization="none", **SHAPE),
    }
    optimizer = {"discriminator_optimizer": lambda p: torch.optim.Adam(p, lr=rate, betas=(0.0, 0.99))}
    return variant(latent_size=16, **players, **optimizer)


def watched(game: GAN, folder: Path, *, steps: int, every: int, **arguments: Any) -> dict[str, Any]:
    """The verdict on a run that is scored every so many steps."""
    folder.mkdir(exist_ok=True)
    callbacks = [
        Watchdog(every_n_steps=every, **arguments),
        Evaluation(Pixels(), samples=200, every_n_steps=every),
    ]
    data = Digits(size=16, batch_size=32)
    play(game, data, steps=steps, callbacks=callbacks, default_root_dir=folder, log_every_n_steps=5)
    return json.loads((folder / "verdict.json").read_text())


class Still(nn.Module):
    """Makes one image, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Parameter(torch.randn(1, 16, 16))

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return self.image.tanh().expand(len(latent), 1, 16, 16) + 0 * latent.sum()


@pytest.mark.parametrize("variant", [HingeGAN, NonSaturatingGAN, R3GAN])
def test_a_generator_of_one_image_is_named_within_three_evaluations(variant: Any, tmp_path: Path) -> None:
    verdict = watched(digits(variant, generator=Still()), tmp_path, steps=91, every=30)
    (alarm, *_) = verdict["alarms"]
    assert alarm["symptom"] == "alike"
    assert alarm["step"] <= 91
    assert verdict["collapsed"]
    assert "nearly one image" in verdict["verdict"]


@pytest.mark.parametrize(
    "variant", [HingeGAN, *(pytest.param(v, marks=pytest.mark.slow) for v in (NonSaturatingGAN, R3GAN))]
)
def test_a_discriminator_gone_wild_is_named_within_three_evaluations(variant: Any, tmp_path: Path) -> None:
    verdict = watched(digits(variant, rate=0.2), tmp_path, steps=901, every=300)
    assert verdict["alarms"], verdict
    assert verdict["verdict"] != "healthy"


@pytest.mark.slow
@pytest.mark.parametrize("variant", [HingeGAN, NonSaturatingGAN, R3GAN, RelativisticGAN])
def test_a_game_that_learns_raises_no_alarm(variant: Any, tmp_path: Path) -> None:
    verdict = watched(digits(variant), tmp_path, steps=600, every=100)
    assert (verdict["verdict"], verdict["collapsed"], verdict["alarms"]) == ("healthy", False, [])


def test_training_is_left_as_it_was(tmp_path: Path) -> None:
    plain, observed = new(HingeGAN), new(HingeGAN)
    expected = state(plain, play(plain, Specks(), steps=6))
    watchdog = Watchdog(every_n_steps=2)
    trainer = play(observed, Specks(), steps=6, callbacks=[watchdog], default_root_dir=tmp_path)
    result = state(observed, trainer)
    assert all(torch.equal(expected[name], result[name]) for name in expected)


# One symptom after another


def judged(values: list[float], *, name: str = "fid10k", better: str = "min", **arguments: Any) -> list[Any]:
    """The verdict after each evaluation, a thousand images apart."""
    watchdog, verdicts = Watchdog(**arguments), []
    for number, value in enumerate(values, 1):
        far, few = watchdog._compare(name, value, better, 1000 * number)
        watchdog._count("worse", far, 1000 * number)
        watchdog._count("uncovered", few, 1000 * number)
        verdicts.append(watchdog.verdict())
    return verdicts


def test_a_score_far_above_its_best_is_named_with_its_history() -> None:
    *healthy, last = judged([90, 49, 60, 140, 150, 160])
    assert set(healthy) == {"healthy"}
    assert last == (
        "collapsed at 5 k images (the score is far above its best); best fid10k 49 at 2 k, now 160"
    )


def test_one_bad_evaluation_is_an_accident() -> None:
    assert set(judged([90, 49, 200, 60, 50])) == {"healthy"}


def test_shares_and_counts_are_better_the_greater_they_are() -> None:
    assert judged([0.2, 0.5, 0.9, 0.1, 0.1], name="recall", better="max")[-1].startswith("collapsed at 4 k")
    assert "modes or classes are covered" in judged([10, 25, 11, 10], name="modes20k", better="max")[-1]
    assert set(judged([10, 25, 20, 18], name="modes20k", better="max")) == {"healthy"}
    # The share of samples that are of a wrong class: in the end 34 % are right, where 70 % were.
    lost = judged([0.9, 0.3, 0.3, 0.66, 0.66], name="class_distance10k_mnist")
    assert lost[-1].startswith("collapsed at 4 k images (fewer and fewer modes or classes are covered)")
    assert set(judged([0.9, 0.3, 0.3, 0.6, 0.6], name="class_distance10k_mnist")) == {"healthy"}


def test_after_so_many_it_is_stopped(tmp_path: Path) -> None:
    class Falling(Evaluation):
        def _score(self, trainer: Any, model: Any, *, logs: bool) -> None:
            self.scored_at = trainer.global_step
            self.values = {"fid40_pixels": 1.0 if trainer.global_step <= 4 else 10.0}

    def end(stop_after: int | None) -> int:
        callbacks = [Watchdog(stop_after=stop_after), Falling(Pixels(), samples=40, every_n_steps=2)]
        return play(new(WGAN), Specks(), steps=40, callbacks=callbacks, default_root_dir=tmp_path).global_step

    assert end(None) == 40
    # The fifth bad score is computed at step 14 and read one step later.
    assert end(5) == 15


def test_a_discriminator_that_tells_all_apart_has_won_only_where_samples_are_far_from_reals() -> None:
    game, data = new(HingeGAN), Specks()
    images, *_ = data.splits.train[torch.arange(30)]

    def symptoms(samples: torch.Tensor) -> list[str]:
        watchdog, game.sample = Watchdog(), lambda count, seed: samples  # type: ignore[assignment]
        watchdog._judge_samples(game, data)
        for _ in range(20):
            watchdog._judge_terms(game, {"discriminator": torch.tensor(1e-5)})
        return watchdog.symptoms()

    reals = game.real((data.normalise(images),))
    assert symptoms(reals.flip(0) + 0.01 * torch.randn_like(reals)) == []
    assert symptoms(3 * torch.randn_like(reals)) == ["won"]
    assert symptoms(0.1 * torch.randn_like(reals) - 1) == ["won"]


def test_a_term_has_exploded_if_it_is_far_above_its_own_past() -> None:
    watchdog, game = Watchdog(), new(HingeGAN)
    for _ in range(5):
        watchdog._judge_terms(game, {"drift": torch.tensor(900.0)})
    assert watchdog.counts["exploded"] == 0
    for _ in range(3):
        watchdog._judge_terms(game, {"drift": torch.tensor(-1e6)})
    assert "a term has exploded" in watchdog.verdict()
