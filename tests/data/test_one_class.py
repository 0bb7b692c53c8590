"""Sets of what is normal alone: what is seen, what is tested, and that the two set-ups are not mixed up."""

from typing import Any

import pytest
import torch

from ganlab.data import Digits, LeaveOut, Lines, OneClass
from ganlab.data.stream import labels_of
from ganlab.errors import Refused

KINDS = {
    "one class": (OneClass, {"normal": [3]}, {3}),
    "left out": (LeaveOut, {"abnormal": [3]}, {*range(10)} - {3}),
}


@pytest.fixture(params=KINDS)
def case(request: pytest.FixtureRequest) -> tuple[Any, set[int]]:
    kind, chosen, normal = KINDS[request.param]
    return kind(of=Digits(size=8), **chosen), normal


def test_only_what_is_normal_is_seen(case: tuple[Any, set[int]]) -> None:
    data, normal = case
    for items in data.splits:
        assert {*labels_of(items).tolist()} == normal
    whole = Digits(size=8)
    expected = sum(whole.label_counts[number] for number in normal)
    assert len(data.splits.train) == expected


def test_items_are_those_of_the_set(case: tuple[Any, set[int]]) -> None:
    data, normal = case
    whole = Digits(size=8).splits.train
    wanted = torch.tensor([number in normal for number in labels_of(whole).tolist()]).nonzero().squeeze(1)
    for one, other in zip(data.splits.train[torch.arange(20)], whole[wanted[:20]], strict=True):
        assert torch.equal(one, other)


def test_all_held_out_items_are_tested(case: tuple[Any, set[int]]) -> None:
    data, normal = case
    items, abnormal = data.tested()
    assert len(items) == len(Digits(size=8).splits.held_out)
    assert [label not in normal for label in labels_of(items).tolist()] == abnormal.tolist()


def test_the_two_set_ups_have_other_names_and_other_fingerprints() -> None:
    one, other = (kind(of=Digits(size=8), **chosen) for kind, chosen, _ in KINDS.values())
    assert one.setup_name == "normal 3; abnormal 0, 1, 2, 4, 5, 6, 7, 8, 9"
    assert other.setup_name == "normal 0, 1, 2, 4, 5, 6, 7, 8, 9; abnormal 3"
    assert one.fingerprint != other.fingerprint
    assert one.fingerprint != OneClass(of=Digits(size=8), normal=[4]).fingerprint


@pytest.mark.parametrize(
    ("kind", "chosen", "words"),
    [
        (OneClass, {"normal": []}, "names 0 of 10 classes"),
        (LeaveOut, {"abnormal": [*range(10)]}, "names 10 of 10 classes"),
        (OneClass, {"normal": [10]}, "no class is 10"),
        (OneClass, {"normal": ["three"]}, "no class is three"),
    ],
)
def test_what_cannot_be_is_refused(kind: Any, chosen: Any, words: str) -> None:
    with pytest.raises(Refused, match=words):
        kind(of=Digits(size=8), **chosen)


def test_a_set_without_classes_is_refused() -> None:
    with pytest.raises(Refused, match="Lines has none"):
        OneClass(of=Lines(), normal=[0])
