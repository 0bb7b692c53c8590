"""Pictures are cut out of larger ones: in training at random places, elsewhere from the middle."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sets import attached, encoded, folder, picture

from ganlab.data import Degraded, Downscaled, ImageFolder, Labelled, LeaveOut, StreamData, Unpaired
from ganlab.data.pictures.images import cut
from ganlab.errors import Refused

LARGE, SIZE, EACH = 12, 8, 4
CORNERS = [(y, x) for y in range(LARGE - SIZE + 1) for x in range(LARGE - SIZE + 1)]
MIDDLE = (2, 2)
SETS: dict[str, Callable[..., StreamData]] = {
    "itself": lambda of, **base: of(**base),
    "Unpaired": lambda of, **base: Unpaired(of=of(), **base),
    "LeaveOut": lambda of, **base: LeaveOut(of=of(), abnormal=["b"], **base),
    "Degraded": lambda of, **base: Degraded(of=of(), grey=True, **base),
    "Downscaled": lambda of, **base: Downscaled(of=of(), scale=2, **base),
}


@pytest.fixture
def of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ImageFolder]:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))
    files = {
        f"{split}/{kind}/{number}.png": encoded(picture(number + 100 * (kind == "b"), LARGE, LARGE), "PNG")
        for split, numbers in (("train", range(EACH)), ("test", range(EACH, EACH + 2)))
        for kind in "ab"
        for number in numbers
    }
    root = str(folder(tmp_path / "set", files))
    return lambda **base: ImageFolder(root=root, size=SIZE, load_size=LARGE, **base)


def wholes() -> list[np.ndarray]:
    numbers = [number + more for more in (0, 100) for number in range(EACH + 2)]
    return [np.asarray(picture(number, LARGE, LARGE)).transpose(2, 0, 1) for number in numbers]


def corner(image: torch.Tensor) -> tuple[int, int]:
    """Where in which picture it lies."""
    part = ((image + 1) * 127.5).round().numpy() if image.is_floating_point() else image.numpy()
    (found,) = [
        (y, x)
        for whole in wholes()
        for y, x in CORNERS
        if np.array_equal(whole[:, y : y + SIZE, x : x + SIZE], part)
    ]
    return found


def trained_on(data: StreamData) -> torch.Tensor:
    return data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)[0]


@pytest.mark.parametrize("name", SETS)
def test_training_sees_all_places_and_all_else_the_middle(name: str, of: Any) -> None:
    data = attached(SETS[name](of, batch_size=200))
    assert data.shape == (3, SIZE, SIZE)
    assert {corner(image) for image in trained_on(data)} == {*CORNERS}
    for items in data.splits:
        images = items[torch.arange(len(items))][0]
        assert {corner(image) for image in images} == {MIDDLE}


def test_two_domains_are_each_cut_by_itself(of: Any) -> None:
    data = attached(SETS["Unpaired"](of, batch_size=50))
    columns = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    targets, sources = ([corner(image) for image in column] for column in columns)
    assert targets != sources
    assert len({*targets}) > 15 < len({*sources})


@pytest.mark.parametrize("name", SETS)
def test_two_processes_cut_as_one_does(name: str, of: Any) -> None:
    one = trained_on(attached(SETS[name](of, batch_size=20)))
    two = [trained_on(attached(SETS[name](of, batch_size=10), world=2, rank=rank)) for rank in range(2)]
    parts = sorted(image.numpy().tobytes() for image in torch.cat(two))
    assert parts == sorted(image.numpy().tobytes() for image in one)


def test_a_square_is_cut_at_each_corner() -> None:
    images = torch.arange(2 * 3 * 5 * 6).view(2, 3, 5, 6)
    parts = cut(images, torch.tensor([[0, 3], [2, 1]]), 3)
    assert torch.equal(parts, torch.stack([images[0, :, :3, 3:], images[1, :, 2:, 1:4]]))


def test_labelled_items_are_shown_whole(of: Any) -> None:
    with pytest.raises(Refused, match="leave flip and load_size out"):
        Labelled(data=of(), labels=2)
