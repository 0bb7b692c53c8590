"""The training images nearest to samples: a copy is found, and what was drawn says how near it is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scored_games import digits, game

from ganlab.callbacks import Evaluation, nearest_reals
from ganlab.data import Digits, Gaussians, StackedMNIST
from ganlab.data.stream import StreamData
from ganlab.media import Pictures
from ganlab.metrics import Pixels, Points
from ganlab.networks import MLPDiscriminator, MLPGenerator
from ganlab.testing import play
from ganlab.variants import NonSaturatingGAN

DATA = Digits(size=16)
TRAIN: Any = DATA.splits.train
PICTURES = Pictures(DATA.shape)


def noise(count: int = 64, size: int = 16) -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 1, size, size), generator=source, dtype=torch.uint8)


def copies(count: int = 64) -> torch.Tensor:
    return TRAIN[torch.arange(count) * 3][0]


def drawn(samples: torch.Tensor, folder: Path, data: StreamData = DATA) -> dict[str, Any]:
    path = folder / "nearest" / "step-000000060.png"
    nearest_reals.draw(samples, data, path)
    assert Image.open(path).format == "PNG"
    return json.loads(path.with_suffix(".json").read_text())


def test_copies_are_nearer_than_unseen_images_and_noise_is_farther(tmp_path: Path) -> None:
    copied, other = drawn(copies(), tmp_path / "a"), drawn(noise(), tmp_path / "b")
    assert copied["distance"] == 0
    assert copied["nearer"] == copied["samples"] == 64
    assert other["nearer"] == 0
    assert other["distance"] > other["unseen"] == copied["unseen"] > 0
    assert copied["searched"] == copied["total"] == len(TRAIN) == 1497


def test_the_picture_shows_the_nearest_below_their_samples(tmp_path: Path) -> None:
    drawn(copies(), tmp_path)
    sheet = np.array(Image.open(next(tmp_path.rglob("*.png"))))
    # Tiles of 16 pixels are enlarged to 64, and lie 2 apart.
    assert sheet.shape == (64 + nearest_reals.APART + 3 * 66 - 2, nearest_reals.COLUMNS * 66 - 2)
    assert (sheet[:64] == sheet[72:136]).all()
    assert (sheet[64:72] == 255).all()


def test_the_nearest_are_those_of_a_plain_search() -> None:
    queries = noise(10)
    found, index, searched = nearest_reals.search(PICTURES, TRAIN, queries, seconds=60)
    images = TRAIN[torch.arange(len(TRAIN))][0].float().flatten(1)
    expected = (queries.float().flatten(1)[:, None] - images).square().mean(2).sqrt()
    value, place = expected.topk(nearest_reals.NEIGHBOURS, largest=False)
    torch.testing.assert_close(found, value.double(), rtol=1e-5, atol=1e-5)
    assert torch.equal(index, place)
    assert searched == len(TRAIN)


def test_a_search_ends_in_time_and_is_spread_over_the_set(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(nearest_reals, "BLOCK", 100)
    monkeypatch.setattr(nearest_reals, "SECONDS", 0.0)
    numbers = drawn(noise(), tmp_path)
    assert (numbers["searched"], numbers["total"]) == (100, 1497)
    _, index, _ = nearest_reals.search(PICTURES, TRAIN, noise(), seconds=0.0)
    assert (index % 15 == 0).all()


def test_large_images_are_compared_smaller(tmp_path: Path) -> None:
    data = Digits(size=64)
    train: Any = data.splits.train
    samples = train[torch.arange(64)][0]
    assert drawn(samples, tmp_path, data)["distance"] == 0


@pytest.mark.parametrize(
    ("samples", "data"),
    [(torch.zeros(8, 2), Gaussians()), (noise(size=8), DATA), (noise(), StackedMNIST(root="nowhere"))],
)
def test_what_is_no_picture_of_the_data_is_not_drawn(
    samples: torch.Tensor, data: StreamData, tmp_path: Path
) -> None:
    nearest_reals.draw(samples, data, tmp_path / "nearest" / "step-000000001.png")
    assert not [*tmp_path.iterdir()]


def test_each_evaluation_draws_and_points_draw_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))
    scored = Evaluation(Pixels(), ("fid",), 60, 2)
    play(game(), digits(), steps=5, callbacks=[scored], default_root_dir=tmp_path / "images")
    files = sorted(path.name for path in (tmp_path / "images" / "nearest").iterdir())
    assert files == [f"step-{step:09d}.{suffix}" for step in (2, 4, 5) for suffix in ("json", "png")]
    numbers = json.loads((tmp_path / "images" / "nearest" / "step-000000005.json").read_text())
    assert numbers["samples"] == 60

    shape = {"shape": (2,)}
    ring = NonSaturatingGAN(
        generator=MLPGenerator(**shape, latent_size=8, hidden=[8], bounded=False),
        discriminator=MLPDiscriminator(**shape, hidden=[8]),
        latent_size=8,
    )
    scored = Evaluation(Points(), ("fid",), 60, 2)
    play(ring, Gaussians(batch_size=8), steps=2, callbacks=[scored], default_root_dir=tmp_path / "points")
    assert (tmp_path / "points" / "scores.jsonl").exists()
    assert not (tmp_path / "points" / "nearest").exists()
