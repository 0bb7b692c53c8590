"""Checks of training on two processes: they are one of twice the batch, and resume exactly."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any
from unittest import SkipTest

import torch
from lightning.pytorch import Callback
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import Tensor
from torch.utils._pytree import tree_leaves

from ganlab.data import StreamData
from ganlab.game.gan import GAN
from ganlab.game.per_process import names
from ganlab.game.turn import Turn, split
from ganlab.testing.games import Game, apart, assert_same, state
from ganlab.testing.processes import on_two_processes
from ganlab.training.trainer import Trainer

Tensors = dict[str, Tensor]
NETWORKS = ("generator.", "discriminator.", "ema.")
COUPLES = "ouples samples"  # what a docstring says of a term that is no mean over samples


def play_as_two(build: Game, game: GAN, **settings: Any) -> Trainer:
    """Train together with the other of two processes."""
    return build.play(game, devices=2, plugins=[LightningEnvironment()], **settings)


def resumes_exactly_on_two_processes(build: Game) -> None:
    """On each process a run that was stopped and resumed is the run that was not, to the last bit.

    On the second process that holds of all but the networks' buffers, such as a normalisation's statistics,
    which in checkpoints are the first's unless the variant keeps them for each process.
    """
    with tempfile.TemporaryDirectory() as folder:
        answers = on_two_processes(partial(_straight_and_resumed, build, Path(folder) / "half.ckpt"))
    for rank, (straight, resumed) in enumerate(answers):
        assert_same(straight, resumed, what=f"the run resumed on process {rank}")


def _straight_and_resumed(build: Game, half: Path) -> tuple[Tensors, Tensors]:
    straight = build()
    expected = state(straight, play_as_two(build, straight, steps=5))
    play_as_two(build, build(), steps=3).save_checkpoint(half)
    resumed = build(seed=0)
    trainer = play_as_two(build, resumed, steps=5, resume=half)
    firsts = _in_checkpoints_the_firsts(resumed) if trainer.global_rank else set()
    both = expected, state(resumed, trainer)
    one, other = ({name: t for name, t in tensors.items() if name not in firsts} for tensors in both)
    return one, other


def _in_checkpoints_the_firsts(game: GAN) -> set[str]:
    """The names of the networks' buffers, without those that are kept for each process."""
    buffers = {name for name, _ in game.named_buffers() if name.startswith(NETWORKS)}
    return buffers - {*names(game)}


def two_processes_are_one_of_twice_the_batch(build: Game) -> None:
    """Two processes learn what one learns of twice the batch, where networks treat each sample by itself.

    Of a variant that says that it couples samples it is checked only that two processes train it.
    """
    (two, _) = on_two_processes(partial(_trained_by_two, build))
    if COUPLES in (build.variant.__doc__ or ""):
        return
    game, data = apart(build()), build.new_data()
    if not isinstance(data, StreamData):
        raise SkipTest(f"{type(data).__name__} is no StreamData: nobody knows its batch size.")
    data.batch_size *= 2
    trainer = build.play(game, data, steps=4, precision="64-true", callbacks=[_SkipIfSamplesMeet()])
    one = state(game, trainer)
    assert one.keys() == two.keys()
    for name, value in one.items():
        distance = float((value - two[name]).abs().max()) if value.numel() else 0.0
        assert distance <= 1e-9, f"two processes are not one of twice the batch: {name} differs by {distance}"


def _trained_by_two(build: Game) -> Tensors:
    game = apart(build())
    return state(game, play_as_two(build, game, steps=4, precision="64-true"))


class _SkipIfSamplesMeet(Callback):
    """Skips the check where networks make something else of a batch than of its halves."""

    def on_train_batch_start(self, trainer: Any, game: Any, batch: Any, *_: Any) -> None:
        kept = state(game)
        whole, halves = (self._said(game, batch, parts, kept) for parts in (1, 2))
        game.load_state_dict(kept)
        if not all(map(torch.allclose, whole, halves)):
            raise SkipTest(
                f"The networks of this {type(game).__name__} treat samples together, or draw noise."
            )

    def _said(self, game: GAN, batch: Any, parts: int, kept: Tensors) -> list[Tensor]:
        """Samples and logits, from the same random numbers in each part."""
        pieces = split(batch, parts)
        rows = len(tree_leaves(pieces[0])[0])
        draws, said = game._draws(0, rows * parts), []
        for number, piece in enumerate(pieces):
            game.load_state_dict(kept)
            draws.restart(slice(number * rows, (number + 1) * rows))
            turn = Turn(game, piece, draws, generating=False, penalised=False)
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                said.append([*tree_leaves(turn.fake), *tree_leaves(turn.fake_logits)])
        return [torch.cat(leaves) for leaves in zip(*said, strict=True)]
