"""A set of few labels: which items are labelled, what stands beside what, and what is refused."""

from typing import Any

import pytest
import torch

from ganlab.data import Digits, Gaussians, Labelled
from ganlab.errors import Refused
from ganlab.media import Labels, Pictures


def digits(**more: Any) -> Labelled:
    data = more.pop("data", None) or Digits(size=8)
    return Labelled(**{"data": data, "labels": 20, **more})


def labelled_of(data: Labelled) -> tuple[torch.Tensor, torch.Tensor]:
    train = data.splits.train
    _, items, labels = train[torch.arange(data.labels)]
    return items, labels


@pytest.mark.parametrize("labels", [10, 20, 25])
def test_each_class_has_as_many_labels_or_one_more(labels: int) -> None:
    counts = labelled_of(digits(labels=labels))[1].bincount(minlength=10)
    assert int(counts.sum()) == labels
    assert int(counts.max() - counts.min()) == (labels % 10 > 0)


def test_labelled_items_are_items_of_the_set_with_their_own_labels() -> None:
    source = Digits(size=8)
    items, labels = source.splits.train[torch.arange(len(source.splits.train))]
    for item, label in zip(*labelled_of(digits()), strict=True):
        found = (items == item).flatten(1).all(1)
        assert found.any()
        assert label in labels[found]


def test_a_draw_decides_alone_which_items_are_labelled() -> None:
    first = labelled_of(digits())
    for others in ({"seed": 5}, {"batch_size": 3}, {"data": Digits(size=8, seed=9)}):
        for one, other in zip(first, labelled_of(digits(**others)), strict=True):
            assert torch.equal(one, other)
    assert not torch.equal(first[0], labelled_of(digits(draw=1))[0])


def test_what_stands_beside_an_item_follows_from_its_number() -> None:
    train = digits().splits.train
    whole = train[torch.arange(60)]
    order = torch.tensor([41, 1, 21, 7])
    for column, all_of in zip(train[order], whole, strict=True):
        assert torch.equal(column, all_of[order])
    _, items, labels = whole
    assert all(torch.equal(items[1], items[place]) for place in (21, 41))
    assert labels[1] == labels[21]


def test_held_out_items_stand_beside_themselves_with_all_their_labels() -> None:
    data = digits()
    held_out, source = data.splits.held_out, Digits(size=8).splits.held_out
    positions = torch.arange(len(source))
    item, same, label = held_out[positions]
    expected, labels = source[positions]
    assert all(torch.equal(each, expected) for each in (item, same))
    assert torch.equal(label, labels)
    assert len(held_out) == len(source)


def test_it_tells_the_facts_of_its_set_and_is_told_apart_by_its_labels() -> None:
    data = digits()
    assert (data.shape, data.classes) == ((1, 8, 8), 10)
    assert [type(medium) for medium in data.media] == [Pictures, Pictures, Labels]
    assert data.label_counts == Digits(size=8).label_counts
    prints = {digits(**more).fingerprint for more in ({}, {"labels": 30}, {"draw": 1})}
    assert len(prints) == 3
    assert digits().fingerprint_of("held_out") == digits(draw=1).fingerprint_of("held_out")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"labels": 0}, "labels is 0"),
        ({"labels": 10**6}, "Label fewer"),
        ({"data": Gaussians()}, "endless stream"),
        ({"data": Digits(size=8, flip=True)}, "flip"),
    ],
    ids=["none", "too many", "endless", "mirrored"],
)
def test_labels_that_cannot_be_had_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        _ = digits(**wrong).splits
