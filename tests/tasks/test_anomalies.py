"""How well scores and heat maps tell what is not normal: known answers."""

import pytest
import torch

from ganlab.errors import Refused
from ganlab.tasks.anomalies import normal_and_tested, quality, quality_of_pixels, threshold_of


def test_ranks_beyond_any_range_count() -> None:
    """Of four pairs of a normal and an abnormal picture three are in order; values are far from 0 to 1."""
    scores = torch.tensor([-3e9, 5.0, 4.0, 1e12], dtype=torch.float64)
    abnormal = torch.tensor([False, False, True, True])
    found = quality(scores, abnormal, threshold=4.5)
    assert found["auroc"] == pytest.approx(0.75)
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["f1"] == pytest.approx(2 * 1 / (2 * 1 + 1 + 1))
    assert found["f1_of_all"] == pytest.approx(2 / 3)


def test_scores_that_differ_in_the_last_bit_of_float64_are_ranked() -> None:
    scores = torch.tensor([1.0, 1.0 + 2**-52], dtype=torch.float64)
    assert quality(scores, torch.tensor([False, True]), 2.0)["auroc"] == 1
    assert quality(scores.float(), torch.tensor([False, True]), 2.0)["auroc"] == 0.5


def test_a_threshold_is_not_exceeded_by_its_share_of_normal_pictures() -> None:
    normal = torch.arange(100.0)
    assert (normal <= threshold_of(normal, 0.95)).float().mean() >= 0.95
    assert threshold_of(normal, 1.0) == 99
    with pytest.raises(Refused, match=r"share is 1\.5"):
        threshold_of(normal, 1.5)
    with pytest.raises(Refused, match="no normal pictures"):
        threshold_of(torch.empty(0), 0.95)


@pytest.mark.parametrize("abnormal", [True, False])
def test_pictures_of_one_kind_are_refused(abnormal: bool) -> None:
    with pytest.raises(Refused, match="nothing can be told apart"):
        quality(torch.rand(5), torch.full((5,), abnormal), 0.5)


def squares() -> torch.Tensor:
    """A large region and a small one."""
    masks = torch.zeros(2, 20, 20, dtype=torch.bool)
    masks[0, 2:12, 2:12] = True
    masks[0, 15:17, 15:17] = True
    return masks


def test_a_perfect_heat_map_has_one_and_a_constant_one_what_chance_has() -> None:
    masks = squares()
    perfect = quality_of_pixels(masks.float(), masks)
    assert perfect["pixel_auroc"] == 1
    assert perfect["pixel_aupro"] == pytest.approx(1)
    constant = quality_of_pixels(torch.ones(2, 20, 20), masks)
    assert constant["pixel_auroc"] == pytest.approx(0.5)
    assert constant["pixel_aupro"] == pytest.approx(0.15)  # along the diagonal up to 0.3


def test_each_region_counts_alike_however_small() -> None:
    """Where the small region is missed, half of the regions are found, and 96 % of the pixels."""
    masks = squares()
    heat = masks.float()
    heat[0, 15:17, 15:17] = -1
    found = quality_of_pixels(heat, masks)
    assert found["pixel_auroc"] == pytest.approx(100 / 104)
    assert found["pixel_aupro"] == pytest.approx(0.5, abs=0.001)


def test_masks_of_another_size_are_refused() -> None:
    with pytest.raises(Refused, match=r"Masks are of \(20, 20\) pixels"):
        quality_of_pixels(torch.ones(2, 10, 10), squares())


def test_every_second_normal_picture_is_kept_for_the_threshold() -> None:
    abnormal = torch.tensor([False, True, False, False, True, False])
    kept, tested = normal_and_tested(abnormal)
    assert kept.tolist() == [0, 3]
    assert tested.tolist() == [1, 2, 4, 5]
