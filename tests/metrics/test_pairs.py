"""Scores of pairs of pictures against formulas by hand, another library, and known answers."""

from itertools import product
from math import inf, log10

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from ganlab.errors import Refused
from ganlab.metrics.pairs import L1, PSNR, SSIM, l1, psnr, ssim

SCORES = (psnr, ssim, l1)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def near(pictures: Tensor, levels: int = 20) -> Tensor:
    """The same pictures with some noise."""
    added = noise(*pictures.shape, seed=1).int() % (2 * levels + 1) - levels
    return (pictures.int() + added).clamp(0, 255).to(torch.uint8)


def plain(level: int, *shape: int) -> Tensor:
    return torch.full(shape, level, dtype=torch.uint8)


def luma(pictures: Tensor) -> np.ndarray:
    """As MATLAB's rgb2ycbcr: 16 + 65.481 R + 128.553 G + 24.966 B of numbers from 0 to 1."""
    red, green, blue = (pictures[:, channel].double().numpy() / 255 for channel in range(3))
    return (16 + 65.481 * red + 128.553 * green + 24.966 * blue)[:, None]


@pytest.mark.parametrize("channels", ["all", "y"])
@pytest.mark.parametrize("crop", [0, 3])
def test_psnr_and_l1_are_their_formulas(channels, crop):
    real = noise(19, 3, 12, 15)
    made = near(real)
    x, y = (luma(side) if channels == "y" else side.double().numpy() for side in (made, real))
    inside = (..., slice(crop, 12 - crop), slice(crop, 15 - crop))
    for number in range(19):
        difference = x[number][inside] - y[number][inside]
        expected = 10 * log10(255**2 / np.mean(difference**2))
        assert psnr(made, real, channels=channels, crop=crop)[number].item() == pytest.approx(expected)
        distance = l1(made, real, channels=channels, crop=crop)[number].item()
        assert distance == pytest.approx(np.abs(difference).mean())


def test_one_level_everywhere_is_48_decibels():
    real = noise(3, 3, 16, 16).clamp(max=254)
    assert psnr(real + 1, real).tolist() == pytest.approx([48.1308] * 3, abs=1e-4)
    assert l1(real + 1, real).tolist() == [1.0] * 3
    # A level of grey is 219 / 255 of luma.
    assert psnr(real + 1, real, channels="y").tolist() == pytest.approx([49.4527] * 3, abs=1e-4)


def test_equal_pictures():
    real = torch.cat([noise(2, 3, 16, 16), plain(255, 1, 3, 16, 16), plain(0, 1, 3, 16, 16)])
    for channels in ("all", "y"):
        assert psnr(real, real, channels=channels).tolist() == [inf] * 4
        assert ssim(real, real, channels=channels).tolist() == [1.0] * 4
        assert l1(real, real, channels=channels).tolist() == [0.0] * 4


def test_luma_has_219_levels():
    black = plain(0, 1, 3, 4, 4)
    for channel, weight in enumerate((65.481, 128.553, 24.966)):
        coloured = black.clone()
        coloured[:, channel] = 255
        assert l1(coloured, black, channels="y").item() == pytest.approx(weight)
    assert l1(plain(255, 1, 3, 4, 4), black, channels="y").item() == pytest.approx(219)


@pytest.mark.parametrize("shape", [(2, 1, 11, 11), (3, 3, 24, 17), (20, 3, 16, 16), (1, 4, 13, 30)])
def test_ssim_is_that_of_torchmetrics_within_the_pictures(shape):
    real = noise(*shape) // 3 + 80
    made = near(real)
    _, places = structural_similarity_index_measure(
        made.double(), real.double(), data_range=255.0, reduction="none", return_full_image=True
    )
    expected = places[..., 5:-5, 5:-5].mean((1, 2, 3))
    torch.testing.assert_close(ssim(made, real), expected, rtol=0, atol=1e-9)
    assert 0.2 < expected.min() <= expected.max() < 0.99


def test_ssim_is_its_formula():
    """Of luma and within a border, window by window."""
    real = noise(2, 3, 18, 19)
    made = near(real, 60)
    weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(weights, weights) / weights.sum() ** 2
    x, y = (luma(side)[:, 0, 2:-2, 2:-2] for side in (made, real))
    for number in range(2):
        values = []
        for top, left in product(range(14 - 10), range(15 - 10)):
            a, b = (side[number, top : top + 11, left : left + 11] for side in (x, y))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            both = (window * (a - mean_a) * (b - mean_b)).sum()
            c1, c2 = 2.55**2, 7.65**2
            luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
            values.append(luminance * (2 * both + c2) / (var_a + var_b + c2))
        actual = ssim(made, real, channels="y", crop=2)[number].item()
        assert actual == pytest.approx(np.mean(values), abs=1e-9)


def test_ssim_of_plain_pictures_is_that_of_their_levels():
    for a, b in ((0, 255), (100, 101), (254, 255), (30, 60)):
        expected = (2 * a * b + 2.55**2) / (a**2 + b**2 + 2.55**2)
        assert ssim(plain(a, 1, 1, 12, 12), plain(b, 1, 1, 12, 12)).item() == pytest.approx(
            expected, abs=1e-9
        )


@pytest.mark.parametrize("score", SCORES)
def test_a_pairs_value_depends_on_that_pair_alone(score):
    real = noise(21, 3, 14, 14)
    made = near(real, 50)
    values = score(made, real)
    assert values.shape == (21,)
    assert len(values.unique()) == 21
    assert torch.equal(score(made[7:8], real[7:8]), values[7:8])
    assert torch.equal(score(made.flip(0), real.flip(0)).flip(0), values)
    channels_last = (side.to(memory_format=torch.channels_last) for side in (made, real))
    torch.testing.assert_close(score(*channels_last), values)
    assert score(made[:0], real[:0]).shape == (0,)


@pytest.mark.parametrize("score", SCORES)
def test_a_border_that_is_left_out_does_not_count(score):
    real = noise(2, 1, 20, 20)
    made = plain(7, 2, 1, 20, 20)
    made[..., 4:-4, 4:-4] = real[..., 4:-4, 4:-4]
    assert score(made, real, crop=4).tolist() == score(real, real).tolist()
    assert score(made, real, crop=3).tolist() != score(real, real).tolist()


@pytest.mark.parametrize("score", SCORES)
def test_what_cannot_be_compared_is_refused(score):
    real = noise(2, 3, 16, 16)
    refusals = [
        ((real, real[:1]), {}, "beside"),
        ((real.float(), real), {}, "torch.float32"),
        ((real[0], real[0]), {}, "bytes of shape"),
        ((real[:, :1], real[:, :1]), {"channels": "y"}, "channels all"),
        ((real, real), {"crop": 8}, "crop 8"),
        ((real, real), {"crop": -1}, "crop -1"),
    ]
    for pair, options, words in refusals:
        with pytest.raises(Refused, match=words):
            score(*pair, **options)


def test_ssim_needs_a_whole_window():
    with pytest.raises(Refused, match="crop 3 leaves too little of 16 x 16 pixels: 11 x 11 are needed"):
        ssim(noise(1, 3, 16, 16), noise(1, 3, 16, 16), crop=3)
    with pytest.raises(Refused, match="crop 0 leaves too little of 8 x 8"):
        ssim(noise(1, 1, 8, 8), noise(1, 1, 8, 8))


def with_hole(pictures: Tensor, hole: Tensor) -> Tensor:
    """Bytes of pictures with a transparent hole, whose colours are 9 there."""
    return torch.cat([torch.where(hole, 9, pictures), torch.where(hole, 0, 255).to(torch.uint8)], 1)


def test_within_a_hole_only_its_pixels_count():
    real, hole = noise(20, 3, 12, 14), noise(20, 1, 12, 14, seed=2) < 80
    made = torch.where(hole, near(real), plain(7, *real.shape))
    batch = (real, with_hole(real, hole))
    difference = (made.double() - real.double()).numpy()
    for number in (0, 17, 19):
        inside = difference[number][:, hole[number, 0].numpy()]
        expected = 10 * log10(255**2 / np.mean(inside**2))
        assert PSNR(within="hole").compare(made, batch)[number].item() == pytest.approx(expected)
        assert L1(within="hole").compare(made, batch)[number].item() == pytest.approx(np.abs(inside).mean())
    source = L1(within="hole", of="source").compare(made, batch)
    assert source[3].item() == pytest.approx((9 - real[3].double())[:, hole[3, 0]].abs().mean().item())
    assert not torch.equal(L1(within="hole", crop=2).compare(made, batch), source)
    nowhere = L1(within="hole").compare(made, (real, with_hole(real, torch.zeros_like(hole))))
    assert nowhere.isnan().all(), "no number where there is no hole"


def test_a_source_is_compared_as_nobody_restored_it():
    real = plain(80, 2, 3, 16, 16)
    for source in (plain(70, 2, 3, 4, 4), plain(70, 2, 1, 16, 16), plain(70, 2, 3, 16, 16)):
        assert L1(of="source").compare(noise(2, 3, 16, 16), (real, source)).tolist() == [10.0, 10.0]
        assert SSIM(of="source").compare(noise(2, 3, 16, 16), (real, source)).min() > 0.9


def test_names_and_parameters_of_scores_as_they_were_stand():
    names = [score.name for score in (L1(), L1("y", 4), L1(of="source"), L1("y", 4, "source", "hole"))]
    assert names == ["l1", "l1_y_crop4", "l1_source", "l1_hole_y_crop4_source"]
    assert PSNR().parameters() == {"channels": "all", "crop": 0, "range": 255}
    told = [score.parameters() for score in (PSNR(of="source"), PSNR(within="hole"))]
    assert [each.keys() - PSNR().parameters().keys() for each in told] == [{"of"}, {"within"}]


@pytest.mark.parametrize("score", [PSNR(of="source"), L1(within="hole")])
@pytest.mark.parametrize("others", [(), (torch.arange(2),), (noise(2, 5, 16, 16),)], ids=len)
def test_a_score_of_sources_needs_some(score, others):
    real = noise(2, 3, 16, 16)
    with pytest.raises(Refused, match="second column"):
        score.compare(real, (real, *others))
