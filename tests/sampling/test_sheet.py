"""Sheets of samples: beside what they are made from where that can be drawn, else as they are."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from plain_games import told_labels
from torch import Tensor, nn

from ganlab.callbacks import Samples, Watchdog
from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.game.conditions import Conditions
from ganlab.game.gan import GAN
from ganlab.media import Pictures
from ganlab.media.pictures import grid
from ganlab.media.tiles import APART, GAP
from ganlab.metrics import Pixels
from ganlab.metrics.scorer import Scorer
from ganlab.sampling.plan import refuse_without_reals
from ganlab.sampling.sheet import sheet
from ganlab.sampling.write import Source
from ganlab.sampling.write import sheet as sheet_of_samples
from ganlab.testing import SHAPE, SpeckPairs, Specks, new, play
from ganlab.variants import HingeGAN, Pix2Pix

SIDE = 64  # at which pictures of 8 pixels are shown


class Inverted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, latent: Tensor, source: Tensor) -> Tensor:
        return self.shift - source


def paired(data: StreamData) -> GAN:
    game = new(Pix2Pix, generator=Inverted)
    data.setup("fit")
    game.meet(data)
    return game


def parts_of(picture: Image.Image, number: int, parts: int, columns: int) -> list[np.ndarray]:
    """The tiles of a group, pixel for pixel."""
    row, column = divmod(number, columns)
    across = parts * (SIDE + GAP) - GAP + APART
    corners = [(row * (SIDE + APART), column * across + part * (SIDE + GAP)) for part in range(parts)]
    pixels = np.asarray(picture.convert("L"))
    return [pixels[top + 4 : top + SIDE : 8, left + 4 : left + SIDE : 8] for top, left in corners]


def test_a_group_shows_source_made_and_real() -> None:
    data = SpeckPairs(held_out=7)
    game = paired(data)
    picture = sheet(game, game.sample(7, seed=3), 3)
    reals, sources = data.splits.held_out[torch.arange(7)]
    for item in range(7):
        source, made, real = parts_of(picture, item, parts=3, columns=2)
        assert (source == sources[item, 0].numpy()).all()
        assert (made == 255 - sources[item, 0].numpy()).all()
        assert (real == reals[item, 0].numpy()).all()


class GivenSources(Conditions):
    """Sources without reals, such as somebody's own."""

    rule = "given"

    def __init__(self, sources: Tensor) -> None:
        self.sources = sources

    def batch(self, numbers: Tensor, seed: int) -> tuple[Any, ...]:
        return None, self.sources[numbers]

    def plain(self) -> None:
        return None


def test_a_real_that_nobody_knows_is_left_out() -> None:
    game = new(Pix2Pix)
    game.media = Pictures(SHAPE), Pictures(SHAPE)
    game.conditions = GivenSources(torch.full((2, *SHAPE), 40, dtype=torch.uint8))
    picture = sheet(game, torch.zeros(2, *SHAPE), 0)
    assert picture.width == 4 * SIDE + 2 * GAP + APART
    for item in range(2):
        source, made = parts_of(picture, item, parts=2, columns=2)
        assert (source == 40).all()
        assert (made == 128).all()


class Strangers(SpeckPairs):
    """Pictures beside others that have nothing to do with them."""

    def belong_together(self, split: Any) -> bool:
        return False


@pytest.mark.parametrize("data", [SpeckPairs, Strangers])
def test_a_sheet_of_a_run_in_training_and_one_of_samples_are_the_same(data: Any) -> None:
    game = paired(data(held_out=4))
    drawn = sheet(game, game.sample(4, seed=3), 3)
    assert drawn.tobytes() == sheet_of_samples(Source(game, seed=3), 4).tobytes()
    parts = 2 if data is Strangers else 3
    assert drawn.width == 2 * (parts * (SIDE + GAP) - GAP + APART) - APART


@pytest.mark.parametrize(
    ("score", "refused"), [("psnr", True), ("psnr_source", True), ("content", False), ("fid_source", False)]
)
def test_a_score_is_refused_where_it_compares_with_strangers(score: str, refused: bool) -> None:
    scorer = Scorer(Pixels(), (score,), 4)
    refuse_without_reals(scorer, paired(SpeckPairs()))
    words = rf"{score} .* real that belongs to it, and none does:\n.*nothing to do with one another"
    with pytest.raises(Refused, match=words) if refused else nullcontext():
        refuse_without_reals(scorer, paired(Strangers()))


class OfTheReal(HingeGAN):
    """Makes pictures from darker forms of themselves."""

    def condition(self, batch: Any) -> Any:
        return batch[0] - 0.5


def test_what_is_made_from_the_real_itself_shows_it_once() -> None:
    data, game = Specks(held_out=2), new(OfTheReal, generator=Inverted)
    data.setup("fit")
    game.meet(data)
    picture = sheet(game, game.sample(2, seed=0), 0)
    assert picture.width == 4 * SIDE + 2 * GAP + APART
    reals, _ = data.splits.held_out[torch.arange(2)]
    for item in range(2):
        real, _ = parts_of(picture, item, parts=2, columns=2)
        assert (real == reals[item, 0].numpy()).all()


@pytest.mark.parametrize("source", [(3, 4, 4), (1, 128, 128)], ids=["smaller, in colour", "larger"])
def test_sources_of_another_size_are_shown_as_large(source: tuple[int, ...]) -> None:
    game = new(Pix2Pix)
    game.media = Pictures(SHAPE), Pictures(source)
    game.conditions = GivenSources(torch.full((1, *source), 40, dtype=torch.uint8))
    picture = sheet(game, torch.zeros(1, *SHAPE), 0)
    side = max(SIDE, source[-1])
    assert picture.size == (2 * side + GAP, side)
    pixels = np.asarray(picture.convert("L"))
    assert (pixels[:, :side] == 40).all()
    assert (pixels[:, side + GAP :] == 128).all()


def test_a_game_that_is_told_nothing_is_shown_as_it_was() -> None:
    game = new(HingeGAN)
    samples = game.sample(5, seed=1)
    assert sheet(game, samples, 1).tobytes() == grid(samples).tobytes()


def test_a_game_that_is_told_labels_is_shown_with_them() -> None:
    game = told_labels()
    play(game, steps=1)
    samples = game.sample(5, seed=1)
    expected = game.media[0].captioned(samples, game.captions(5, seed=1))
    assert sheet(game, samples, 1).tobytes() == expected.tobytes()
    assert expected.size != grid(samples).size


def test_a_run_with_few_held_out_pairs_is_watched_and_drawn(tmp_path: Path) -> None:
    callbacks = [Watchdog(), Samples(every_n_steps=1, count=64)]
    play(new(Pix2Pix), SpeckPairs(held_out=3), steps=1, callbacks=callbacks, default_root_dir=tmp_path)
    with Image.open(tmp_path / "samples" / "step-000000001.png") as picture:
        assert picture.size == (6 * SIDE + 4 * GAP + APART, 2 * SIDE + APART)
    assert (tmp_path / "verdict.json").exists()
