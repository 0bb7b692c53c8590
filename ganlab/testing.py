"""Checks that every variant must pass, ours and yours. One line in a test file:

test_my_gan = conformance(MyGAN)
"""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ganlab.data import StreamData
from ganlab.game.gan import GAN
from ganlab.game.players import Side
from ganlab.game.terms import NonFiniteError, Terms
from ganlab.training.trainer import Trainer

SHAPE = (1, 8, 8)


class Generator(nn.Sequential):
    """A small generator with convolutions and a normalisation, which has buffers."""

    def __init__(self) -> None:
        channels, *size = SHAPE
        super().__init__(
            nn.Linear(8, 4 * size[0] * size[1]),
            nn.Unflatten(1, (4, *size)),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, channels, 3, padding=1),
            nn.Tanh(),
        )


class Discriminator(nn.Sequential):
    """A small discriminator with dropout, whose random numbers a resumed run must draw again."""

    def __init__(self) -> None:
        hidden = 8 * SHAPE[1] * SHAPE[2] // 4
        super().__init__(
            nn.Conv2d(SHAPE[0], 8, 3, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.1),
            nn.Flatten(),
            nn.Linear(hidden, 1),
            nn.Flatten(0),
        )


class Specks(StreamData):
    """Random images; their number, a prime, is no multiple of a batch."""

    def __init__(self, *, images: int = 37, **base: Any) -> None:
        super().__init__(**{"batch_size": 8, **base})
        self.images, self.shape, self.classes = images, SHAPE, 3

    def load(self) -> tuple[Any, Any]:
        source = torch.Generator().manual_seed(0)
        images = torch.randint(256, (self.images, *SHAPE), dtype=torch.uint8, generator=source)
        labelled = TensorDataset(images, torch.arange(self.images) % 3)
        return labelled, TensorDataset(*labelled[:9])


def new(variant: type[GAN], **arguments: Any) -> GAN:
    """A game of small networks; others are given as networks, or as what makes them anew each time."""
    torch.manual_seed(0)
    players = {"generator": Generator, "discriminator": Discriminator}
    made = {name: arguments.get(name, player) for name, player in players.items()}
    made = {name: player if isinstance(player, nn.Module) else player() for name, player in made.items()}
    return variant(**{"latent_size": 8, **arguments, **made})


def play(
    game: GAN, data: LightningDataModule | None = None, *, steps: int, resume: Any = None, **trainer: Any
) -> Trainer:
    """Train on the CPU; nothing is written or printed, except by callbacks that are given."""
    quiet = ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing")
    settings = {"precision": "32", "accelerator": "cpu", "devices": 1, "log_every_n_steps": 5}
    played = Trainer(max_steps=steps, **{**settings, **dict.fromkeys(quiet, False), **trainer})
    played.fit(game, datamodule=data or Specks(), ckpt_path=resume)
    return played


def state(game: GAN, trainer: Trainer | None = None) -> dict[str, Tensor]:
    """Every tensor on which further training depends: the game's and, with a trainer, the optimizers'."""
    tensors = {name: value.clone() for name, value in game.state_dict().items()}
    for index, optimizer in enumerate(trainer.optimizers if trainer else ()):
        tensors |= _tensors(f"optimizer {index}", optimizer.state_dict()["state"])
    return tensors


def _tensors(name: str, tree: Any) -> dict[str, Tensor]:
    if isinstance(tree, Tensor):
        return {name: tree.clone()}
    tensors: dict[str, Tensor] = {}
    for branch, below in tree.items() if isinstance(tree, dict) else ():
        tensors |= _tensors(f"{name} {branch}", below)
    return tensors


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor], *, what: str) -> None:
    assert one.keys() == other.keys(), what
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different, f"{what}: {different[0]} differs first, of {len(different)} tensors"


@dataclass(frozen=True)
class Game:
    """What is checked: a variant, with its own arguments, on its data."""

    variant: type[GAN]
    data: Callable[[], LightningDataModule] = Specks
    arguments: dict[str, Any] = field(default_factory=dict)

    def __call__(self, **more: Any) -> GAN:
        return new(self.variant, **{**self.arguments, **more})

    def play(self, game: GAN, **settings: Any) -> Trainer:
        return play(game, self.data(), **settings)


# The checks


def trains(build: Game) -> None:
    """Terms stay finite, both sides and the average change, and steps and images are counted right."""
    for critic_steps in (1, 5):
        game = build(critic_steps=critic_steps)
        before = state(game)
        counts = {"generator": 0, "discriminator": 0, "batches": 0}
        trainer = build.play(game, steps=20, callbacks=[_Count(counts)])
        after = state(game)
        for player in ("generator", "discriminator", "ema"):
            names = [name for name in after if name.startswith(player)]
            assert any(not torch.equal(before[n], after[n]) for n in names), f"the {player} never moved"
        assert trainer.global_step == counts["generator"] == counts["batches"] == 20
        assert counts["discriminator"] == 20 * critic_steps
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        assert all(value - value == 0 for value in values.values()), values
        assert {"real_logit", "fake_logit"} <= values.keys()
        assert {"generator_gradient_norm", "discriminator_gradient_norm"} <= values.keys()
        assert values["images"] == 20 * critic_steps * build.data().batch_size  # type: ignore[attr-defined]


class _Count(Callback):
    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts

    def on_before_optimizer_step(self, trainer: Any, game: Any, optimizer: Any) -> None:
        self.counts["generator" if optimizer is trainer.optimizers[1] else "discriminator"] += 1

    def on_train_batch_end(self, *_: Any) -> None:
        self.counts["batches"] += 1


def leaves_the_other_side_alone(build: Game) -> None:
    """During a turn the other side's parameters, gradients and optimizer state are bitwise untouched."""
    game = build()
    original = game._play_turn

    def watched(side: Side, batch: Any, index: int) -> Terms:
        resting = game._sides[not side.generating]
        before = copy.deepcopy(_side_state(resting))
        logged = original(side, batch, index)
        assert_same(before, _side_state(resting), what=f"the {side.name}'s turn touched the {resting.name}")
        return logged

    game._play_turn = watched  # type: ignore[method-assign]
    build.play(game, steps=4)


def _side_state(side: Side) -> dict[str, Tensor]:
    parameters = dict(side.player.named_parameters())
    gradients = {f"gradient of {n}": p.grad for n, p in parameters.items() if p.grad is not None}
    values = {name: parameter.detach() for name, parameter in parameters.items()}
    return {**values, **gradients, **_tensors("optimizer", side.optimizer.state_dict()["state"])}


def follows_its_seed(build: Game) -> None:
    """Two runs of one seed are the same; one of another seed is not."""
    runs = [build(seed=seed) for seed in (1, 1, 2)]
    one, again, another = (state(game, build.play(game, steps=6)) for game in runs)
    assert_same(one, again, what="two runs of one seed")
    assert any(not torch.equal(one[name], another[name]) for name in one), "the seed changes nothing"


def resumes_exactly(build: Game) -> None:
    """A run that was stopped and resumed is the run that was not, to the last bit."""
    straight = build()
    expected = state(straight, build.play(straight, steps=7))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "half.ckpt"
        build.play(build(), steps=4).save_checkpoint(path)
        torch.load(path, weights_only=True)
        resumed = build(seed=0)
        trainer = build.play(resumed, steps=7, resume=path)
    assert trainer.global_step == 7
    assert_same(expected, state(resumed, trainer), what="the resumed run")


def judges_in_float32(build: Game) -> None:
    """Under bf16-mixed every loss gets float32 logits; under float64 they stay float64."""
    for precision, expected in (("bf16-mixed", torch.float32), ("64-true", torch.float64)):
        game = build()
        dtypes: list[torch.dtype] = []
        original = game.discriminator_terms

        def watched(turn: Any, original: Any = original, dtypes: Any = dtypes) -> Terms:
            dtypes += [turn.real_logits.dtype, turn.fake_logits.dtype]
            return original(turn)

        game.discriminator_terms = watched  # type: ignore[method-assign]
        build.play(game, steps=2, precision=precision)
        assert set(dtypes) == {expected}, f"{precision}: logits are {set(dtypes)}"


def reports_a_bad_number(build: Game) -> None:
    """A term that is no number is reported with its name and step, and never reaches a checkpoint."""
    game = build()
    original = game.discriminator_terms

    def with_nan(turn: Any) -> Terms:
        terms = original(turn)
        name = list(terms)[-1]
        return {**terms, name: terms[name] * (torch.nan if game.global_step == 7 else 1)}

    game.discriminator_terms = with_nan  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        report = ""
        try:
            build.play(game, steps=20, callbacks=[_SaveEach(folder)])
        except NonFiniteError as error:
            report = str(error)
        assert "at step 7" in report, report or "a term that is no number went unnoticed"
        assert any(f"'{name}'" in report for name in _term_names(build)), report
        for path in Path(folder).glob("*.ckpt"):
            weights = torch.load(path, weights_only=True)["state_dict"]
            assert all(value.isfinite().all() for value in weights.values()), path.name


def _term_names(build: Game) -> set[str]:
    return set(build.play(build(), steps=5).callback_metrics)


class _SaveEach(Callback):
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        trainer.save_checkpoint(Path(self.folder) / f"{trainer.global_step}.ckpt")


def is_not_touched_by_evaluation(build: Game) -> None:
    """Sampling and validation between steps change nothing in training."""
    plain, evaluated = build(), build()
    expected = state(plain, build.play(plain, steps=6))
    validation: dict[str, Any] = dict(
        val_check_interval=2, check_val_every_n_epoch=None, num_sanity_val_steps=1
    )
    result = state(evaluated, build.play(evaluated, steps=6, callbacks=[_Sampled()], **validation))
    assert_same(expected, result, what="the run that was evaluated")


class _Sampled(Callback):
    def on_train_batch_end(self, trainer: Any, game: Any, *_: Any) -> None:
        torch.rand(3)
        game.sample(5, seed=1)
        game.sample(5, seed=1, raw=True)


CHECKS = (
    trains,
    leaves_the_other_side_alone,
    follows_its_seed,
    resumes_exactly,
    judges_in_float32,
    reports_a_bad_number,
    is_not_touched_by_evaluation,
)


def conformance(
    variant: type[GAN], data: Callable[[], LightningDataModule] = Specks, **arguments: Any
) -> Any:
    """A pytest function that runs every check.

    Args:
        data: Makes the data that are played with.
        arguments: The variant's own; networks as what makes them, so that no two games share one.
    """
    import pytest

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test(check: Callable[[Game], None]) -> None:
        check(Game(variant, data, arguments))

    return test
