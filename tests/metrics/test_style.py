"""Style and content without a network: known answers of spoiled, moved and recoloured pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from ganlab.errors import Refused
from ganlab.metrics import Content, Style


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Smooth random pictures from 40 to 200, so that edges are at some places and not at others."""
    source = torch.Generator().manual_seed(seed)
    coarse = torch.rand(shape[0], shape[1], 4, 4, generator=source)
    grown = torch.nn.functional.interpolate(coarse, shape[2:], mode="nearest")
    return (40 + 160 * grown).to(torch.uint8)


def style(one: Tensor, other: Tensor) -> float:
    score = Style()
    (distance,) = score.compare(score.count(one), score.count(other))
    return distance


def content(made: Tensor, source: Tensor, **arguments: Any) -> list[float]:
    return Content(**arguments).compare(made, (made, source)).tolist()


def test_style_is_the_distance_of_two_gaussians_of_pixels() -> None:
    sides = drawn(19, 3, 12, 10), drawn(7, 3, 12, 10, seed=1) // 2
    gaussians = []
    for side in sides:
        pixels = [
            np.concatenate(
                [
                    picture[:, y, x],
                    picture[:, y, x + 1] - picture[:, y, x],
                    picture[:, y + 1, x] - picture[:, y, x],
                ]
            )
            for picture in side.double().numpy()
            for y in range(11)
            for x in range(9)
        ]
        gaussians.append((np.mean(pixels, 0), np.cov(np.transpose(pixels))))
    (mean, covariance), (other, of_other) = gaussians
    root = np.trace(sqrtm(covariance @ of_other)).real
    squared = ((mean - other) ** 2).sum() + np.trace(covariance) + np.trace(of_other) - 2 * root
    assert style(*sides) == pytest.approx((squared / 3) ** 0.5, rel=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_ten_levels_brighter_are_a_style_of_ten(channels: int) -> None:
    pictures = drawn(20, channels, 16, 16)
    assert style(pictures, pictures + 10) == pytest.approx(10)
    assert style(pictures, pictures.flip(0)) == pytest.approx(0, abs=1e-3)


def test_style_sees_texture_and_not_what_pictures_show() -> None:
    """The same colours in other places: whole blocks, which keep most edges, or single pixels."""
    pictures = drawn(40, 1, 32, 32)
    blocks = pictures.unflatten(3, (4, 8)).unflatten(2, (4, 8))[:, :, [2, 0, 3, 1]]
    moved = blocks.flatten(2, 3).flatten(3)
    order = torch.randperm(32 * 32, generator=torch.Generator().manual_seed(0))
    scattered = pictures.flatten(2)[..., order].view_as(pictures)
    assert style(pictures, moved) < 1 < 20 < style(pictures, scattered)


def test_content_heeds_edges_and_no_colours() -> None:
    source = drawn(5, 3, 24, 24)
    for recoloured in (source, source // 2, 255 - source, source.flip(1), source + 30):
        assert content(recoloured, source) == pytest.approx([1.0] * 5, abs=0.01)
    assert content(source.roll(1, 3), source) < content(source, source)
    for flat in (torch.full_like(source, 9), source):
        assert content(flat, torch.full_like(source, 70)) == [0.0] * 5


def test_content_is_the_correlation_of_edges() -> None:
    numbers = torch.Generator().manual_seed(0)
    made, source = torch.randint(256, (2, 3, 2, 24, 24), generator=numbers, dtype=torch.uint8)
    expected = []
    for pair in zip(made.double().numpy(), source.double().numpy(), strict=True):
        strengths = [
            np.sqrt((np.diff(each, axis=2)[:, :-1] ** 2 + np.diff(each, axis=1)[:, :, :-1] ** 2).sum(0))
            for each in pair
        ]
        expected.append(np.corrcoef(*(each.ravel() for each in strengths))[0, 1])
    assert content(made, source) == pytest.approx(expected)
    assert max(map(abs, expected)) < 0.2, "unrelated pictures have none in common"


def test_a_grey_or_small_source_is_brought_to_the_shape_of_what_is_made() -> None:
    source = drawn(3, 1, 16, 16)
    assert content(source.expand(-1, 3, -1, -1), source) == pytest.approx([1.0] * 3)
    assert min(content(drawn(3, 1, 32, 32), source)) > 0.4


def test_what_has_no_style_or_content_is_refused() -> None:
    with pytest.raises(Refused, match="style takes bytes"):
        Style().count(torch.zeros(4, 2))
    with pytest.raises(Refused, match="second column is a picture"):
        Content().compare(drawn(2, 1, 8, 8), (drawn(2, 1, 8, 8), torch.arange(2)))
    assert Content("y", 2).name == "content_y_crop2"
