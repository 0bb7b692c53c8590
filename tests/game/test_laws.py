"""Laws of the game that need not be checked of every variant: clock, batch, precision and refusals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.precision import MixedPrecision
from plain_games import COUPLED, GAMES, JudgesPacks, Plain, PlainGenerator, plain
from torch import nn

from ganlab import losses
from ganlab.data import Digits
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.game.terms import NonFiniteError
from ganlab.testing import Discriminator, Specks, assert_same, new, play, state
from ganlab.variants import R1GAN, R3GAN, WGAN, WGANGP, HingeGAN

# One clock


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_everything_counts_generator_steps(tmp_path: Path, critic_steps: int) -> None:
    keeper = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=4, save_top_k=-1)
    logger = CSVLogger(tmp_path, name="", version="log")
    play(
        new(HingeGAN, critic_steps=critic_steps),
        steps=12,
        callbacks=[keeper],
        logger=logger,
        enable_checkpointing=True,
        log_every_n_steps=4,
    )
    assert {path.name for path in tmp_path.glob("*.ckpt")} == {f"step={step}.ckpt" for step in (4, 8, 12)}
    header, *rows = (tmp_path / "log" / "metrics.csv").read_text().split()
    columns = [dict(zip(header.split(","), row.split(","), strict=True)) for row in rows]
    assert [int(row["step"]) for row in columns] == [4, 8, 12]
    assert [float(row["images"]) for row in columns] == [step * critic_steps * 8 for step in (4, 8, 12)]


def test_schedulers_are_stepped_with_the_generator() -> None:
    def halve(optimizer: Any) -> Any:
        return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.5, total_iters=4)

    def optimizer(rate: float) -> Any:
        return lambda parameters: torch.optim.Adam(parameters, lr=rate)

    game = new(
        HingeGAN,
        critic_steps=2,
        generator_optimizer=optimizer(1e-3),
        discriminator_optimizer=optimizer(4e-3),
        generator_scheduler=halve,
        discriminator_scheduler=halve,
    )
    trainer = play(game, steps=2)
    rates = [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers]
    assert rates == pytest.approx([3e-3, 7.5e-4])


# What a batch is


def test_each_turn_gets_fresh_reals_and_the_generator_the_last() -> None:
    reals: list[tuple[bool, torch.Tensor]] = []

    class Watching(HingeGAN):
        def judge(self, images: Any, condition: Any) -> Any:
            return super().judge(images, condition)

        def discriminator_terms(self, turn: Any) -> Any:
            reals.append((False, turn.real.clone()))
            return super().discriminator_terms(turn)

        def generator_terms(self, turn: Any) -> Any:
            reals.append((True, turn.real.clone()))
            return super().generator_terms(turn)

    play(new(Watching, critic_steps=3), Specks(images=24), steps=1)
    first, second, third = (real for generating, real in reals if not generating)
    (last,) = (real for generating, real in reals if generating)
    assert len(torch.cat([first, second, third]).flatten(1).unique(dim=0)) == 24
    assert torch.equal(last, third)


@pytest.mark.parametrize("build", GAMES.values(), ids=GAMES)
def test_micro_batches_add_up_to_their_batch(build: Callable[..., GAN]) -> None:
    whole, cut = (build(accumulation=parts) for parts in (1, 2))
    one, two = (state(game, play(game, steps=6, precision="64-true")) for game in (whole, cut))
    weights = [name for name in one if name.startswith(("generator", "discriminator"))]
    distance = max(float((one[name] - two[name]).abs().max()) for name in weights)
    variant = type(whole)
    assert (distance > 1e-9) if variant in COUPLED else (distance <= 1e-12)
    assert ("ouples samples" in (variant.__doc__ or "")) == (variant in COUPLED)


# What a variant overrides


def test_penalties_are_played_every_so_often_and_so_much_harder() -> None:
    played: dict[int, float] = {}

    class Watching(R1GAN):
        def penalties(self, turn: Any) -> Any:
            terms = super().penalties(turn)
            played[self.global_step] = float(terms["r1"])
            return terms

    logged = play(new(Watching, penalty_every=3), steps=7, log_every_n_steps=1).callback_metrics
    assert [*played] == [0, 3, 6]
    assert float(logged["r1"]) == pytest.approx(3 * played[6])


def test_a_weight_clipped_critic_stays_within_its_bounds() -> None:
    game = new(WGAN, clip=0.003)
    play(game, steps=2)
    assert max(float(weight.abs().max()) for weight in game.discriminator.parameters()) <= 0.003 + 1e-8


def test_only_a_relativistic_generator_pays_for_the_reals() -> None:
    def judged(variant: type[GAN]) -> int:
        game, calls = new(variant), []
        weight = game.discriminator[0].weight
        game.discriminator.register_forward_hook(lambda *_: calls.append(weight.requires_grad))
        play(game, steps=1)
        return calls.count(False)

    # Two of them are the check of shapes before the first step.
    assert judged(HingeGAN) == 1
    assert judged(R3GAN) == 2


class Labelled(nn.Module):
    """Adds an embedding of the label, as a conditional player of a user's might."""

    def __init__(self, player: nn.Module, classes: int, size: int) -> None:
        super().__init__()
        self.player, self.embedding = player, nn.Embedding(classes, size)

    def forward(self, inputs: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return self.player(inputs + self.embedding(label).view(len(inputs), *inputs.shape[1:]))


def test_a_variant_may_have_conditions() -> None:
    class Conditional(HingeGAN):
        def condition(self, batch: Any) -> Any:
            return batch[1]

    torch.manual_seed(0)
    game = new(
        Conditional,
        generator=Labelled(PlainGenerator(), 3, 8),
        discriminator=Labelled(Plain(), 3, 64),
        critic_steps=2,
        accumulation=2,
    )
    before = state(game)
    after = state(game, play(game, steps=3))
    for name in ("generator.embedding.weight", "discriminator.embedding.weight"):
        assert not torch.equal(before[name], after[name])


def test_a_variant_may_have_two_generators() -> None:
    """Cycle consistency in short: samples are pairs, both players are pairs, and all terms are new."""

    class Cycle(GAN):
        def real(self, batch: Any) -> Any:
            return batch[0][:, :1], batch[0][:, :1].flip(-1)

        def fake(self, generator: Any, latent: Any, condition: Any) -> Any:
            raise AssertionError("this game draws no latents")

        def discriminator_terms(self, turn: Any) -> Any:
            a, b = turn.real
            back = self.generator[1]
            there = self.generator[0]
            judges = self.discriminator
            with torch.no_grad():
                fakes = back(b), there(a)
            pairs = zip(judges, (a, b), fakes, strict=True)
            return {
                f"discriminator_{side}": losses.least_squares.discriminator(judge(real), judge(fake))
                for side, (judge, real, fake) in zip("ab", pairs, strict=True)
            }

        def generator_terms(self, turn: Any) -> Any:
            a = turn.real[0]
            there, back = self.generator
            fake_b = there(a)
            logits = self.discriminator[1](fake_b)
            cycle = (back(fake_b) - a).abs().mean()
            return {"generator": losses.least_squares.generator(logits, lambda: logits), "cycle": 10 * cycle}

    def translator() -> nn.Module:
        return nn.Conv2d(1, 1, 3, padding=1)

    game = new(
        Cycle,
        generator=nn.ModuleList([translator(), translator()]),
        discriminator=nn.ModuleList([Discriminator(), Discriminator()]),
    )
    trainer = play(game, steps=5)
    assert {"discriminator_a", "discriminator_b", "generator", "cycle"} <= trainer.callback_metrics.keys()


def test_the_step_cannot_be_overridden() -> None:
    with pytest.raises(TypeError, match=r"penalties[\s\S]*judge[\s\S]*after_discriminator_step"):
        type("Own", (GAN,), {"training_step": lambda self, batch, index: None})


# What the discriminator sees


def test_instance_noise_falls_linearly_to_nothing() -> None:
    widths: list[float] = []

    class Watching(HingeGAN):
        def discriminator_terms(self, turn: Any) -> Any:
            flat = torch.zeros(64, 1, 32, 32)
            widths.append(float(self.augmented(flat).std()))
            return super().discriminator_terms(turn)

    play(new(Watching, instance_noise=0.5, instance_noise_steps=4), steps=6)
    assert widths == pytest.approx([0.5, 0.375, 0.25, 0.125, 0, 0], abs=0.01)


def test_only_the_discriminator_gets_augmented_images() -> None:
    shapes = []

    class Watching(R3GAN):
        def judge(self, images: Any, condition: Any) -> Any:
            shapes.append(float(images.amin()))
            return super().judge(images * 0 + images, condition)

        def fake(self, generator: Any, latent: Any, condition: Any) -> Any:
            return super().fake(generator, latent, condition) * 0 + 0.75

    game = new(Watching, augmentations=["cutout"])
    play(game, steps=1)
    # A cutout leaves zeros in every image that is judged, and the images themselves alone.
    assert len(shapes) > 3
    assert max(shapes[1:]) <= 0


# Precision and bad numbers


def fp16(scale: float, **arguments: Any) -> tuple[GAN, Any, list[float]]:
    norms: list[float] = []

    class Watched(Callback):
        def on_before_zero_grad(self, trainer: Any, game: Any, optimizer: Any) -> None: ...

    game = new(HingeGAN, **arguments)
    original = game.on_before_optimizer_step

    def watched(optimizer: Any) -> None:
        original(optimizer)
        gradients = [p.grad for p in game._current_turn[0].learned if p.grad is not None]
        norms.append(float(torch.nn.utils.get_total_norm(gradients)))

    game.on_before_optimizer_step = watched  # type: ignore[method-assign]
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1000)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    trainer = play(game, steps=6, plugins=[plugin], precision=None, log_every_n_steps=2)
    return game, trainer, norms


def test_fp16_clips_what_was_unscaled() -> None:
    _, _, norms = fp16(2.0**10, discriminator_clip=0.05, generator_clip=0.01)
    assert norms[::2] == pytest.approx([0.05] * 6, rel=1e-2)
    assert norms[1::2] == pytest.approx([0.01] * 6, rel=1e-2)


def test_fp16_counts_the_steps_that_its_scaler_skips() -> None:
    game, trainer, _ = fp16(2.0**30)
    skipped = game.skipped_steps.tolist()
    assert sum(skipped) > 0
    assert trainer.callback_metrics["discriminator_skipped"] == skipped[0]
    assert trainer.callback_metrics["generator_skipped"] == skipped[1]
    assert trainer.global_step == 6
    assert all(value.isfinite().all() for value in game.state_dict().values())
    # The scaler halves itself at each skipped step, so its scale gives their number independently.
    plugin = trainer.precision_plugin
    assert plugin.scaler.get_scale() == 2.0 ** (30 - sum(skipped))


def test_non_finite_weights_are_never_written(tmp_path: Path) -> None:
    game = new(HingeGAN)
    trainer = play(game, steps=1)
    with torch.no_grad():
        game.generator[0].weight[0, 0] = torch.inf
    with pytest.raises(NonFiniteError, match=r"generator\.0\.weight"):
        trainer.save_checkpoint(tmp_path / "bad.ckpt")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_compiled_players_play_the_same_game() -> None:
    games = [plain(WGANGP, compile=compiled, critic_steps=2) for compiled in (False, True)]
    eager, compiled = (state(game, play(game, steps=3)) for game in games)
    for name in eager:
        assert torch.allclose(eager[name], compiled[name], atol=1e-5), name


# The average


def test_the_average_is_its_closed_form() -> None:
    history: list[torch.Tensor] = []

    class Watching(Callback):
        def on_train_batch_end(self, trainer: Any, game: Any, *_: Any) -> None:
            history.append(game.generator[0].weight.detach().clone())

    game = new(HingeGAN, ema_half_life=32, ema_ramp=None)
    start = game.generator[0].weight.detach().clone()
    play(game, steps=5, callbacks=[Watching()], precision="64-true")
    keep = 0.5 ** (8 / 32)
    expected = keep**5 * start.double()
    for age, weight in enumerate(reversed(history)):
        expected = expected + (1 - keep) * keep**age * weight
    assert torch.allclose(game.ema.network[0].weight, expected, atol=1e-9)


# What cannot work is refused before step 0


@pytest.mark.parametrize(
    ("arguments", "trainer", "sentence"),
    [
        ({}, {"precision": "bf16-true"}, "bf16-mixed or 16-mixed"),
        ({}, {"precision": "16-true"}, "bf16-mixed or 16-mixed"),
        ({}, {"max_epochs": 3}, r"trainer\.max_steps"),
        ({}, {"overfit_batches": 2}, "overfit_batches"),
        ({"accumulation": 3}, {}, "multiple of 3"),
        ({"critic_steps": 0}, {}, "critic_steps is 0"),
    ],
)
def test_refusals(arguments: dict, trainer: dict, sentence: str) -> None:
    stepped: list[int] = []

    class Stepping(Callback):
        def on_before_optimizer_step(self, *_: Any) -> None:
            stepped.append(1)

    with pytest.raises(Refused, match=sentence) as refusal:
        play(new(HingeGAN, **arguments), steps=2, callbacks=[Stepping()], **trainer)
    assert len(str(refusal.value).splitlines()) <= 3
    assert not stepped


def test_an_image_shape_that_players_and_data_disagree_on_is_refused() -> None:
    with pytest.raises(Refused, match=r"\(1, 16, 16\), but Generator makes \(1, 8, 8\)"):
        play(new(HingeGAN), Digits(size=16, batch_size=8), steps=1)
    small = nn.Sequential(nn.Flatten(), nn.Linear(9, 1))
    with pytest.raises(Refused, match="cannot judge images"):
        play(new(HingeGAN, discriminator=small), steps=1)


def test_the_check_of_shapes_leaves_no_trace() -> None:
    checked, unchecked = new(R3GAN), new(R3GAN)
    unchecked._check_batch = lambda batch: None  # type: ignore[method-assign]
    states = [state(game, play(game, steps=2)) for game in (checked, unchecked)]
    assert_same(*states, what="the unchecked run")


# Packed samples


@pytest.mark.parametrize(("batch", "words"), [(7, "cut into 2 equal parts"), (8, "")], ids=["odd", "even"])
def test_a_batch_holds_whole_packs(batch: int, words: str) -> None:
    game = plain(JudgesPacks, discriminator=lambda: Plain(128))
    if words:
        with pytest.raises(Refused, match=rf"{words}[\s\S]*packing 2"):
            play(game, Specks(batch_size=batch), steps=1)
    else:
        # Nine held-out images are no whole packs: the last is left out.
        trainer = play(game, Specks(batch_size=batch), steps=2, num_sanity_val_steps=1, val_check_interval=1)
        assert trainer.callback_metrics["held_out_logit"].isfinite()


def test_a_packed_discriminator_that_forgets_to_say_so_is_refused() -> None:
    class Silent(JudgesPacks):
        packing = 1

    with pytest.raises(Refused, match=r"logits of the shape \(1, 1\) from 2 images"):
        play(plain(Silent, discriminator=lambda: Plain(128)), steps=1)
