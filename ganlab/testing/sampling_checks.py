"""Checks of sampling: sample i of a seed follows from the seed and i, wherever it is drawn."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor
from torch.utils._pytree import tree_leaves

from ganlab.game.gan import GAN
from ganlab.sampling.plan import fake_batches, first_process_buffers
from ganlab.testing.games import Game
from ganlab.testing.process_checks import play_as_two
from ganlab.testing.processes import on_processes, on_two_processes

PORTIONS = ((0, 1), (3, 5), (60, 9), (245, 10))  # first number and count, beyond a chunk and a block
SEED, MOST, STEPS = 3, 300, 3


def samples_follow_from_seed_and_number(build: Game) -> None:
    """Sample i is the same alone and in any portion, by the generator and by its average, of what data tell
    and of what is given; torch's own generator of random numbers is left alone.
    """
    game = build()
    build.play(game, steps=STEPS)
    before = torch.get_rng_state()
    for raw in (False, True):
        for what, told in _told(game).items():
            _is_drawn_alike(game, what, raw=raw, **told)
    assert torch.equal(before, torch.get_rng_state()), "sampling drew from torch's own generator"


def _told(game: GAN) -> dict[str, dict[str, Any]]:
    """The ways in which samples are told their conditions."""
    ways: dict[str, dict[str, Any]] = {"as the data tell": {}}
    if game.conditions and len(game.source_columns) == 1:
        column = game.source_column
        ways["of given sources"] = {"given": game.conditions.batch(torch.arange(game.at_most(3)), 0)[column]}
    return ways


def _is_drawn_alike(game: GAN, what: str, **how: Any) -> None:
    count = MOST if "given" in how else game.at_most(MOST)
    whole = game.sample(count, seed=SEED, **how)
    for at, asked in PORTIONS:
        size = min(asked, count - at)
        if size <= 0:
            continue
        for padded in (False, True):
            part = game.sample(size, seed=SEED, at=at, whole=padded, **how)
            expected = apply_to_collection(whole, Tensor, lambda t, rows=slice(at, at + size): t[rows])
            for one, other in zip(tree_leaves(part), tree_leaves(expected), strict=True):
                # Chunks of other sizes are rounded otherwise.
                assert torch.allclose(one, other, rtol=1e-4, atol=1e-5), (
                    f"samples {at} to {at + size - 1}, {what}, are others alone than among {count}"
                )


def samples_the_same_on_two_processes(build: Game) -> None:
    """Two processes that trained together draw in shares what one draws with the weights that they saved."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "two.ckpt"
        shares = on_two_processes(partial(_drawn_by_two, build, saved))
        (alone,) = on_processes(partial(_drawn_by_one, build, saved), 1)
    assert not shares[0].keys() & shares[1].keys(), "both processes drew the same samples"
    together = shares[0] | shares[1]
    assert together.keys() == alone.keys()
    for number, sample in alone.items():
        assert torch.equal(together[number], sample), f"sample {number} is another on two processes"


def _drawn_by_two(build: Game, saved: Path) -> dict[int, Tensor]:
    game = build()
    play_as_two(build, game, steps=STEPS).save_checkpoint(saved)
    with first_process_buffers(game):
        return _drawn(game)


def _drawn_by_one(build: Game, saved: Path) -> dict[int, Tensor]:
    game = build()
    build.play(game, steps=STEPS, resume=saved)
    return _drawn(game)


def _drawn(game: GAN) -> dict[int, Tensor]:
    """This process's share, by the samples' numbers."""
    batches = fake_batches(game, game.at_most(MOST), SEED)
    return {int(n): sample for numbers, made in batches for n, sample in zip(numbers, made, strict=False)}
