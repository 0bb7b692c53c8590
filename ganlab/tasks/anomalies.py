"""Which pictures are not normal: by how far each is from what a game makes of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import label as regions_of
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.tasks.inversion import Inverted, Search, as_played, invert

SMOOTHED = 3  # a heat map is the mean over so many pixels each way
MOST_FALSE = 0.3  # of normal pixels, up to which AUPRO counts: Bergmann et al. 2021, IJCV 129, section 5.3


class Scored(NamedTuple):
    """Of each picture how far it is from what is made of it, where, and what that is.

    Attributes:
        scores: In float64; the higher, the less normal.
        heat: The absolute difference at each pixel, the mean over channels and some pixels around it.
    """

    scores: Tensor
    heat: Tensor
    made: Tensor


def scored(game: GAN, pictures: Tensor, search: Search | None = None) -> Scored:
    """Of pictures as data store them, each by itself: neither their number nor their order matters."""
    found: Inverted = invert(game, pictures, search)
    apart = (as_played(game, pictures) - found.pictures).abs().mean(1, keepdim=True)
    around = avg_pool2d(apart, SMOOTHED, stride=1, padding=SMOOTHED // 2, count_include_pad=False)
    return Scored(found.distances.cpu(), around.squeeze(1).cpu(), found.pictures.cpu())


def threshold_of(normal: Tensor, share: float) -> float:
    """The score that this share of normal pictures, which were held out, does not exceed."""
    if not 0 <= share <= 1:
        raise Refused(f"share is {share}; it is that of normal pictures below the threshold, from 0 to 1.")
    if not len(normal):
        raise Refused("There are no normal pictures that were held out: a threshold is a quantile of theirs.")
    return float(normal.double().quantile(share, interpolation="higher"))


def quality(scores: Tensor, abnormal: Tensor, threshold: float) -> dict[str, float]:
    """How well scores tell abnormal pictures from normal ones, by ranks and at the threshold.

    `f1_of_all` is what calling every picture abnormal has: an F1 says something only beside it.
    """
    values, truth = scores.double().numpy(), abnormal.numpy()
    if truth.all() or not truth.any():
        kind = "abnormal" if truth.all() else "normal"
        raise Refused(f"All {len(truth):,} pictures that are tested are {kind}: nothing can be told apart.")
    share = float(truth.mean())
    return {
        "auroc": float(roc_auc_score(truth, values)),
        "average_precision": float(average_precision_score(truth, values)),
        "f1": float(f1_score(truth, values > threshold)),
        "f1_of_all": 2 * share / (1 + share),
    }


def quality_of_pixels(heat: Tensor, masks: Tensor) -> dict[str, float]:
    """How well heat maps tell abnormal pixels: each pixel alike (AUROC), and each region alike (AUPRO).

    AUPRO: Bergmann et al. 2021, IJCV 129, section 5.3: the mean share of each region that is found, over the
    share of normal pixels that are called abnormal, from 0 to 0.3.

    Args:
        masks: Of the same pictures, true where they are abnormal.
    """
    if heat.shape != masks.shape:
        raise Refused(
            f"Masks are of {tuple(masks.shape[1:])} pixels, and pictures of {tuple(heat.shape[1:])}:\n"
            "make them alike."
        )
    values, truth = heat.double().numpy(), masks.numpy()
    if not truth.any():
        raise Refused("No mask marks a pixel.")
    return {
        "pixel_auroc": float(roc_auc_score(truth.ravel(), values.ravel())),
        "pixel_aupro": _aupro(values, truth),
    }


def _aupro(values: np.ndarray, truth: np.ndarray) -> float:
    """By what each pixel adds, from the hottest on: to its region's share, or to that of normal pixels."""
    weights = np.zeros(values.shape)
    regions = 0
    for weight, mask in zip(weights, truth, strict=True):
        numbered, count = regions_of(mask, structure=np.ones((3, 3)))
        sizes = np.bincount(numbered.ravel(), minlength=count + 1)
        weight[mask] = 1 / sizes[numbered[mask]]
        regions += count
    order = np.argsort(-values.ravel(), kind="stable")
    found = np.cumsum(weights.ravel()[order]) / regions
    false = np.cumsum(~truth.ravel()[order]) / max(int((~truth).sum()), 1)
    # Equal values are called abnormal together.
    last = np.r_[np.diff(values.ravel()[order]) != 0, True]
    false, found = np.r_[0.0, false[last]], np.r_[0.0, found[last]]
    end = np.interp(MOST_FALSE, false, found)
    inside = false < MOST_FALSE
    x, y = np.r_[false[inside], MOST_FALSE], np.r_[found[inside], end]
    return float(np.trapezoid(y, x) / MOST_FALSE)


def normal_and_tested(abnormal: Tensor) -> tuple[Tensor, Tensor]:
    """Of held-out pictures the numbers of those that a threshold is taken from, and of those that are tested.

    That is every second of the normal ones, and all others.
    """
    normal = (~abnormal).nonzero().squeeze(1)[::2]
    others = torch.ones(len(abnormal), dtype=torch.bool)
    others[normal] = False
    return normal, others.nonzero().squeeze(1)
