"""Media: what is stored is played, stored again, drawn, written, and rebuilt of plain data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganlab.checkpoints.allow_list import ALLOWED
from ganlab.data import CelebA, Digits, Gaussians
from ganlab.errors import Refused
from ganlab.media import (
    Labels,
    Medium,
    Pictures,
    PicturesWithHoles,
    Points,
    Sound,
    Text,
    Video,
    medium_of,
    played,
)
from ganlab.media.text import tokens_of

NAMES = ("ant", "bee", "cat")
GREY, COLOUR, MANY = Pictures((1, 4, 6)), Pictures((3, 4, 6)), Pictures((5, 4, 6))
LETTERS = Text("z a中", 5)
OTHERS = (
    Points((2,)),
    Points((1, 9)),
    Sound((1, 40), 8000),
    Video((3, 1, 4, 6), 12.5),
    LETTERS,
    Labels(3, NAMES),
)
MEDIA = (GREY, COLOUR, MANY, Pictures((2, 4, 4, 4)), *OTHERS)


def items(medium: Medium, count: int = 7) -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    if isinstance(medium, Points):
        return torch.randn(count, *medium.shape, generator=source)
    if isinstance(medium, Text):
        return tokens_of(["", "z", " a", "中中a z", "a", "zz", "a z"][:count], medium.length)
    if isinstance(medium, Labels):
        return torch.randint(medium.classes, (count, *medium.shape), generator=source)
    if isinstance(medium, Sound):
        return torch.randint(-(2**15), 2**15, (count, *medium.shape), dtype=torch.int16, generator=source)
    return torch.randint(256, (count, *medium.shape), dtype=torch.uint8, generator=source)


@pytest.mark.parametrize("medium", MEDIA, ids=lambda medium: f"{type(medium).__name__}{medium.shape}")
def test_what_is_stored_comes_back(medium: Medium) -> None:
    stored = items(medium)
    assert torch.equal(medium.stored(medium.played(stored)), stored)
    assert torch.equal(medium.stored(stored), stored)
    assert torch.equal(medium.from_array(medium.as_array(stored)), stored)
    assert torch.equal(
        medium.blank(), medium.stored(medium.played(torch.zeros_like(stored[:1]))) * 0 + medium.blank()
    )
    assert medium.played(stored).shape[1:] == medium.shape


@pytest.mark.parametrize("medium", MEDIA, ids=lambda medium: f"{type(medium).__name__}{medium.shape}")
def test_plain_data_rebuild_it(medium: Medium) -> None:
    plain = medium.plain()
    again = ALLOWED[plain["class_path"]](**plain["init_args"])
    assert again.plain() == plain
    assert torch.equal(again.played(items(medium)), medium.played(items(medium)))


@pytest.mark.parametrize("fill", ["mean", "diffusion"])
def test_holes_are_plain_data_too(fill: Any) -> None:
    holed = PicturesWithHoles((4, 8, 8), fill)
    again = ALLOWED[holed.plain()["class_path"]](**holed.plain()["init_args"])
    played = holed.played(items(holed))
    assert torch.equal(again.played(holed.stored(played)), played)


def test_bytes_are_played_between_minus_one_and_one_and_numbers_as_they_are() -> None:
    levels = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    assert GREY.played(levels).flatten().tolist() == [-1.0, 1.0]
    assert GREY.played(levels, torch.float64).dtype == torch.float64
    assert torch.equal(GREY.played(torch.tensor([0.25])), torch.tensor([0.25]))


def test_pictures_of_one_or_three_channels_are_drawn_and_written(tmp_path: Path) -> None:
    for medium in (GREY, COLOUR):
        stored = items(medium)
        medium.write(tmp_path / f"one{medium.suffix}", stored[0])
        read = torch.from_numpy(np.array(Image.open(tmp_path / "one.png"))).view(4, 6, -1).movedim(-1, 0)
        assert torch.equal(read, stored[0])
        assert medium.sheet(stored, columns=7).height == 4 * 10
        assert medium.sheet(stored, columns=1).height == 7 * (4 * 10 + 2) - 2
        assert np.array_equal(medium.sheet(stored), medium.sheet(medium.played(stored)))
    for medium in (MANY, Points((9,)), Points((2,)), Labels(3)):
        assert not medium.drawable
        with pytest.raises(Refused, match=r"no pictures|npz"):
            medium.sheet(items(medium))
        with pytest.raises(Refused, match="npz"):
            medium.write(tmp_path / "no.png", items(medium)[0])


def test_points_are_drawn_over_reals() -> None:
    medium = Gaussians().media[0]
    assert medium.drawable
    assert medium.sheet(torch.zeros(4, 2)).size == (600, 600)


def test_labels_have_captions_and_numbers() -> None:
    labels = Labels(3, NAMES)
    assert labels.captions(torch.tensor([2, 0])) == ["cat", "ant"]
    assert [labels.number_of(each) for each in ("bee", 1, "1")] == [1, 1, 1]
    assert Labels(12).captions(torch.tensor([11])) == ["11"]
    several = Labels(3, NAMES, several=True)
    assert several.captions(torch.tensor([[1, 0, 1], [0, 0, 0]])) == ["ant, cat", ""]
    assert several.blank().tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (lambda: Digits(), [Pictures, Labels]),
        (lambda: Gaussians(), [Points, Labels]),
        (lambda: Gaussians(layout="normal"), [Points]),
        (lambda: CelebA(root="none"), [Pictures]),
        (lambda: CelebA(root="none", attributes=["Male"]), [Pictures, Labels]),
        (lambda: CelebA(root="none", attributes=["Male", "Smiling"]), [Pictures, Labels]),
    ],
)
def test_data_name_their_media_without_a_file(data: Any, expected: list[type]) -> None:
    media = data().media
    assert [type(medium) for medium in media] == expected
    assert data().condition is None or data().condition.plain() == media[1].plain()


def test_attributes_have_their_names() -> None:
    one = CelebA(root="none", attributes=["Male"]).condition
    several = CelebA(root="none", attributes=["Male", "Smiling"]).condition
    assert isinstance(one, Labels)
    assert isinstance(several, Labels)
    assert one.captions(torch.tensor([0, 1])) == ["not Male", "Male"]
    assert several.captions(torch.tensor([[0, 1]])) == ["Smiling"]


def test_columns_of_no_known_medium_are_played_as_they_are() -> None:
    image, label, more = items(GREY), items(MEDIA[-1]), torch.arange(7)
    batch = played((GREY, MEDIA[-1]), (image, label, more), torch.float32)
    assert torch.equal(batch[2], more)
    assert played((GREY, MEDIA[-1]), (None, label), torch.float32)[0] is None


def test_a_shape_alone_tells_pictures_from_points() -> None:
    assert [type(medium_of(shape)) for shape in ((3, 8, 8), (1, 4, 4, 4), (2,), (1, 9))] == [
        Pictures,
        Pictures,
        Points,
        Points,
    ]


def test_a_medium_says_what_it_is() -> None:
    assert repr(GREY) == "Pictures(shape=[1, 4, 6])"
    assert repr(Labels(3, NAMES)) == "Labels(classes=3, names=['ant', 'bee', 'cat'], several=False)"
