"""Sheets of games that are told classes say which, and leave the pictures themselves as they are."""

from collections.abc import Sequence
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import here, write
from PIL import Image
from test_own_media import MY_SOUND
from trained_runs import train_run

import ganlab
from ganlab.media import Labels, Medium, Pictures, Points
from ganlab.media.captions import BAND, LINE, captioned
from ganlab.media.pictures import GAP, grid
from ganlab.seeds import seed_for

NAMES = ("ant", "bee", "cat")
SMALL = 64  # pixels of a drawn picture of 8
WHITE = 255
SIDES = slice(0, SMALL), slice(SMALL + GAP, None)


def pictures(count: int, channels: int = 1) -> torch.Tensor:
    source = torch.Generator().manual_seed(count)
    return torch.randint(256, (count, channels, 8, 8), dtype=torch.uint8, generator=source)


def bands(sheet: Image.Image, columns: int) -> list[list[np.ndarray]]:
    """By row and column the pixels below each picture."""
    pixels, step = np.asarray(sheet.convert("L")), SMALL + GAP
    rows = range(SMALL, pixels.shape[0], SMALL + BAND)
    return [[pixels[top : top + BAND, c * step : c * step + SMALL] for c in range(columns)] for top in rows]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [2, 7, 9])
def test_pictures_above_their_captions_are_those_of_the_grid(count: int, channels: int) -> None:
    medium, images = Pictures((channels, 8, 8)), pictures(count, channels)
    columns = ceil(sqrt(count))
    words = [NAMES[number % 3] for number in range(count)]
    sheet = medium.captioned(images, words)
    plain = np.asarray(medium.sheet(images))
    above = np.asarray(sheet)
    for row in range(ceil(count / columns)):
        top, plain_top = row * (SMALL + BAND), row * (SMALL + GAP)
        expected = plain[plain_top : plain_top + SMALL]
        assert np.array_equal(above[top : top + SMALL], expected)
    assert sheet.mode == medium.sheet(images).mode
    assert sheet.height == ceil(count / columns) * (SMALL + BAND)


def test_equal_captions_are_equal_and_others_are_not() -> None:
    sheet = captioned(grid, pictures(6), ["ant", "bee", "ant", "bee", "cat", "bee"], 3)
    first, second = bands(sheet, 3)
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(first[1], second[0])
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[1], second[1])
    assert all((band < 100).sum() > 20 for row in (first, second) for band in row)


def test_a_row_that_is_not_full_has_its_captions_below_its_pictures() -> None:
    full, partly = (captioned(grid, pictures(4)[:count], NAMES[:count], 4) for count in (3, 2))
    assert np.array_equal(np.asarray(partly)[:, :130], np.asarray(full)[:, :130])


def test_a_long_caption_stays_below_its_picture() -> None:
    sheet = captioned(grid, pictures(4), ["", "w" * 500, "", "ant"], 2)
    (empty, long), (_, short) = bands(sheet, 2)
    assert (empty == WHITE).all()
    for band in (long, short):
        assert (band < 100).any()
        assert (band[:, [0, -1]] == WHITE).all()


def test_a_caption_of_several_words_goes_on_in_the_next_line() -> None:
    several = Labels(4, ("one attribute", "another one", "a third", "x"), several=True)
    words = several.captions(torch.tensor([[1, 1, 1, 1], [0, 0, 0, 1]]))
    sheet = captioned(grid, pictures(2), words, 2)
    assert sheet.height == SMALL + BAND + 2 * LINE
    below = np.asarray(sheet)[SMALL:]
    inked = [
        (below[top : top + LINE, side] < 100).any() for side in SIDES for top in (2, 2 + LINE, 2 + 2 * LINE)
    ]
    assert inked == [True, True, True, True, False, False]


def test_rows_of_one_class_have_its_name_at_the_left() -> None:
    images = pictures(6)
    sheet = captioned(grid, images, ["ant", "ant", "", "", "a long name", "a long name"], 2)
    plain = np.asarray(grid(images, 2))
    pixels = np.asarray(sheet)
    assert np.array_equal(pixels[:, -plain.shape[1] :], plain)
    left = pixels[:, : -plain.shape[1]]
    inked = [(left[row * 66 : row * 66 + 64] < 100).sum() for row in range(3)]
    assert inked[1] == 0 < inked[0] < inked[2]
    assert (left[:, :3] == WHITE).all()


def test_only_words_make_captions() -> None:
    images = pictures(4)
    medium = Pictures((1, 8, 8))
    for none in (None, [], medium.captions(images), Points((2,)).captions(torch.zeros(4, 2))):
        assert np.array_equal(medium.captioned(images, none), medium.sheet(images))


class Drawn(Medium):
    """A user's own, which has no place for words."""

    form = "numbers"

    def played(self, stored: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return stored

    def stored(self, items: torch.Tensor) -> torch.Tensor:
        return items

    @classmethod
    def holds(cls, items: torch.Tensor) -> bool:
        return True

    def sheet(self, items: torch.Tensor, columns: int | None = None) -> Image.Image:
        return Image.new("L", (7, 5))


def test_a_medium_of_a_users_own_draws_its_sheet_where_there_are_captions() -> None:
    assert Drawn((3,)).captioned(torch.zeros(2, 3), ["ant", "bee"]).size == (7, 5)


# Games

CONDITIONAL = """\
model:
  class_path: HingeGAN
  init_args:
    conditional: CONDITIONAL
    latent_size: 4
    generator: {class_path: MLPGenerator, init_args: {hidden: [16]}}
    discriminator: {class_path: MLPDiscriminator, init_args: {hidden: [16]}}
data: {class_path: Digits, init_args: {size: 8, batch_size: 8}}
trainer: {max_steps: 2, accelerator: cpu}
samples: {every_n_steps: 2, count: 16}
"""


def expected(images: torch.Tensor, labels: Sequence[int], columns: int | None = None) -> np.ndarray:
    return np.asarray(captioned(grid, images, [str(label) for label in labels], columns))


def test_sheets_of_a_run_and_of_the_command_say_what_samples_were_told(tmp_path: Path) -> None:
    run = train_run(tmp_path, CONDITIONAL.replace("CONDITIONAL", "true"))
    game, seed = ganlab.load(run), seed_for("samples", 0)
    assert game.conditions
    _, told = game.conditions.batch(torch.arange(16), seed)
    sheet = Image.open(run / "samples" / "step-000000002.png")
    assert np.array_equal(np.asarray(sheet), expected(game.sample(16, seed=seed), told.tolist()))
    for options, labels, columns in (
        (("--classes", "all", "--count", "20"), [number // 2 for number in range(20)], 2),
        (("--class", "7", "--count", "4"), [7] * 4, None),
        (("--count", "9"), game.conditions.batch(torch.arange(9), 0)[1].tolist(), None),
    ):
        assert here("sample", run, "--out", "sheet.png", *options, folder=tmp_path).code == 0
        images = game.sample(len(labels), seed=0, classes=labels, whole=True)
        drawn = np.asarray(Image.open(tmp_path / "sheet.png"))
        assert np.array_equal(drawn, expected(images, labels, columns))


def test_sheets_of_a_game_that_is_told_nothing_have_no_words(tmp_path: Path) -> None:
    run = train_run(tmp_path, CONDITIONAL.replace("CONDITIONAL", "false"))
    game, seed = ganlab.load(run), seed_for("samples", 0)
    assert game.captions(16, seed=seed) is None
    sheet = Image.open(run / "samples" / "step-000000002.png")
    assert np.array_equal(np.asarray(sheet), np.asarray(grid(game.sample(16, seed=seed))))


def test_labels_that_have_no_name_are_told_by_their_number() -> None:
    assert Labels(5, NAMES).captions(torch.tensor([2, 4, 7])) == ["cat", "4", "7"]


def test_captions_are_of_the_sampling_choices() -> None:
    game = ganlab.GAN(generator=torch.nn.Identity(), discriminator=torch.nn.Identity(), conditional=True)
    game.media = (Pictures((1, 8, 8)), Labels(3, NAMES))
    assert game.captions(5, seed=0, classes=["cat", 0]) == ["cat", "ant", "cat", "ant", "cat"]
    assert game.captions(200, seed=0, classes=[1]) == ["bee"] * 200
    assert game.captions(2, seed=0, given=torch.tensor([2, 1])) == ["cat", "bee"]
    assert game.captions(2, seed=0) is None
    game.media = (Pictures((1, 8, 8)), Pictures((1, 8, 8)))
    assert game.captions(2, seed=0, given=pictures(3)) is None


def test_a_conditional_game_of_another_medium_is_drawn_and_kept(tmp_path: Path) -> None:
    """A user's sounds with labels: their sheet has no place for words."""
    changes = {
        "(Sound(self.shape),)": "(Sound(self.shape), Labels(2, ('low', 'high')))",
        "import Medium": "import Labels, Medium",
        "TensorDataset(tones), TensorDataset(tones[:8])": "2 * (TensorDataset(tones, time[:40] // 20),)",
        "self.shape = (SIZE,)": "self.shape, self.classes = (SIZE,), 2",
    }
    sound = MY_SOUND
    for old, new in changes.items():
        assert sound.count(old) == 1
        sound = sound.replace(old, new)
    write(tmp_path, sound, "my_labelled.py")
    config = CONDITIONAL.replace("CONDITIONAL", "true").replace("Digits", "my_labelled.Tones")
    run = train_run(tmp_path, config.replace("size: 8, ", ""))
    assert Image.open(run / "samples" / "step-000000002.png").size == (64, 16)
    assert len(list((run / "samples").glob("*.wav"))) == 8
