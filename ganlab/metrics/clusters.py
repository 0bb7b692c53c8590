"""How well clusters, which have numbers and no names, tell classes apart."""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from torch import Tensor


class ClusterScores(NamedTuple):
    """Each 1 where clusters are the classes.

    Attributes:
        accuracy: The share of items whose cluster is matched to their class.
        nmi: Normalised mutual information (arithmetic mean of the entropies), 0 for clusters by chance.
        ari: The Rand index, adjusted for chance.
    """

    accuracy: float
    nmi: float
    ari: float


def matching(clusters: Tensor, classes: Tensor) -> Tensor:
    """The class of each cluster, by the matching one to one with the most items (Kuhn 1955).

    -1 for clusters that are left over, where there are more of them than classes.
    """
    values, kinds = int(clusters.max()) + 1, int(classes.max()) + 1
    counts = torch.bincount(clusters * kinds + classes, minlength=values * kinds).view(values, kinds)
    rows, columns = linear_sum_assignment(counts.numpy(), maximize=True)
    matched = torch.full((values,), -1)
    matched[torch.from_numpy(rows)] = torch.from_numpy(columns)
    return matched


def cluster_scores(clusters: Tensor, classes: Tensor, matched: Tensor) -> ClusterScores:
    """Scores of items by a matching that was found on others."""
    known = clusters < len(matched)
    guessed = torch.where(known, matched[clusters.clamp(max=len(matched) - 1)], -1)
    numbers = classes.numpy(), clusters.numpy()
    nmi, ari = normalized_mutual_info_score(*numbers), adjusted_rand_score(*numbers)
    return ClusterScores(float((guessed == classes).double().mean()), float(nmi), float(ari))
