"""How well clusters tell classes: known answers."""

from itertools import permutations

import pytest
import torch

from ganlab.metrics.clusters import cluster_scores, matching


def test_the_matching_has_the_most_items_of_all_permutations() -> None:
    source = torch.Generator().manual_seed(0)
    for _ in range(5):
        clusters, classes = torch.randint(4, (2, 60), generator=source)
        best = max(
            float((torch.tensor(order)[clusters] == classes).double().mean())
            for order in permutations(range(4))
        )
        assert cluster_scores(clusters, classes, matching(clusters, classes)).accuracy == pytest.approx(best)


def test_renamed_classes_are_told_without_an_error_and_chance_by_none() -> None:
    classes = torch.arange(600) % 3
    renamed = torch.tensor([2, 0, 1])[classes]
    assert cluster_scores(renamed, classes, matching(renamed, classes)) == pytest.approx((1, 1, 1))
    by_chance = torch.randint(3, (600,), generator=torch.Generator().manual_seed(0))
    accuracy, nmi, ari = cluster_scores(by_chance, classes, matching(by_chance, classes))
    assert accuracy < 0.42
    assert nmi < 0.02
    assert abs(ari) < 0.02


def test_clusters_that_are_left_over_or_were_not_seen_are_wrong() -> None:
    matched = matching(torch.tensor([0, 0, 1, 1, 2]), torch.tensor([1, 1, 0, 0, 0]))
    assert matched.tolist() == [1, 0, -1]
    assert cluster_scores(
        torch.tensor([2, 3, 0]), torch.tensor([0, 0, 1]), matched
    ).accuracy == pytest.approx(1 / 3)
