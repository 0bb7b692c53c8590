"""Digits that move: by a law that is known, the same everywhere, and held-out ones apart."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ganlab.data import MovingDigits
from ganlab.data.order import Endless
from ganlab.data.sets.moving_digits import drawn, thrown_back
from ganlab.errors import Refused
from ganlab.media import Labels, Video


def held_out(data: MovingDigits, count: int = 200) -> tuple[Tensor, Tensor]:
    items: Any = data.splits.held_out
    return items[torch.arange(count)]


def corners(clips: Tensor) -> Tensor:
    """The first and the last row and column in which anything is seen: (clips, frames, 4)."""
    seen = clips[:, :, 0] > 0
    ends = []
    for axis in (3, 2):
        along = seen.any(axis).int()
        ends += [along.argmax(2), along.shape[2] - 1 - along.flip(2).argmax(2)]
    return torch.stack(ends, 2)


@pytest.fixture(scope="module")
def data() -> MovingDigits:
    made = MovingDigits(size=28, digit=12, frames=10)
    made.setup("fit")
    return made


def test_clips_are_bytes_and_digits_their_labels(data: MovingDigits) -> None:
    clips, labels = held_out(data)
    assert (clips.dtype, clips.shape, data.shape) == (torch.uint8, (200, 10, 1, 28, 28), (10, 1, 28, 28))
    assert labels.unique().tolist() == list(range(10))
    medium, of_labels = data.media
    assert isinstance(medium, Video)
    assert isinstance(of_labels, Labels)
    assert (medium.rate, of_labels.classes) == (10, 10)


def test_a_digit_is_the_same_all_along_and_goes_nowhere_beyond_the_walls(data: MovingDigits) -> None:
    clips = held_out(data)[0]
    light = clips.double().sum((2, 3, 4))
    # Each pixel is rounded.
    assert ((light - light.mean(1, keepdim=True)).abs() < 60).all()
    ends = corners(clips)
    assert (ends[..., 1] - ends[..., 0] <= 12).all()
    assert (ends[..., 3] - ends[..., 2] <= 12).all()


def test_places_are_those_of_uniform_motion_between_mirrors() -> None:
    assert thrown_back(torch.arange(-3, 12), 4).tolist() == [3, 2, 1, 0, 1, 2, 3, 4, 3, 2, 1, 0, 1, 2, 3]
    free = torch.randint(-1000, 1000, (50,))
    within = thrown_back(free, 70)
    assert within.min() >= 0
    assert within.max() <= 70
    assert torch.equal(thrown_back(free + 140, 70), within)


def test_what_is_drawn_lies_at_its_place() -> None:
    digit = torch.randint(256, (1, 1, 3, 3), dtype=torch.uint8)
    at = torch.tensor([[[16, 32], [0, 0], [64, 80]]])  # sixteenths of a pixel: rows, columns
    frames = drawn(digit, at, 8)[0, :, 0]
    for frame, (row, column) in zip(frames, [(1, 2), (0, 0), (4, 5)], strict=True):
        assert torch.equal(frame[row : row + 3, column : column + 3], digit[0, 0])
        assert frame.int().sum() == digit.int().sum()
    point = torch.tensor([[[[160]]]], dtype=torch.uint8)
    between = drawn(point, torch.tensor([[[4, 24]]]), 4)[0, 0, 0]
    assert between[:2].tolist() == [[0, 60, 60, 0], [0, 20, 20, 0]], "3/4 and 1/4 of a half each"


def test_clips_follow_from_their_position_alone(data: MovingDigits) -> None:
    again = MovingDigits(size=28, digit=12, frames=10, seed=5, batch_size=3)
    positions = torch.tensor([256, 3, 255, 260, 3])
    one, other = data.splits.train[positions], again.splits.train[positions]
    assert all(map(torch.equal, one, other))
    assert torch.equal(one[0][1], one[0][4])
    seeds = [Endless(data.splits.train, seed)[positions][0] for seed in (0, 1)]
    assert torch.equal(seeds[0], one[0])
    assert not torch.equal(seeds[0], seeds[1])


def test_fingerprints_tell_splits_and_settings_apart(data: MovingDigits) -> None:
    others = [
        MovingDigits(size=28, digit=12, frames=10, fastest=2.0),
        MovingDigits(size=28, digit=11, frames=10),
    ]
    known = {each.fingerprint for each in (data, *others)} | {data.fingerprint_of("held_out")}
    assert len(known) == 4
    assert MovingDigits(size=28, digit=12, frames=10, rate=3, seed=1).fingerprint == data.fingerprint


def test_speeds_are_within_their_bounds() -> None:
    data = MovingDigits(size=64, digit=8, slowest=2, fastest=3, frames=3)
    ends = corners(held_out(data)[0])[..., [0, 2]].double()
    steps = ends.diff(dim=1).norm(dim=2)
    assert (steps[:, 0].median() > 1.5) & (steps.max() < 4.5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"frames": 1}, "frames"),
        ({"size": 16, "digit": 16}, "digit"),
        ({"slowest": 3.0}, "above fastest"),
        ({"fastest": 17.0}, "fastest"),
        ({"slowest": -1.0}, "slowest"),
    ],
)
def test_what_cannot_move_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        MovingDigits(**arguments)
