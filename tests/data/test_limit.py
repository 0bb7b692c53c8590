"""A limited training set: how many images, which, and that everything else knows of it."""

import pytest
import sets
import torch

from ganlab.data import Digits, ImageFolder, StackedMNIST
from ganlab.data.pictures.images import Images
from ganlab.errors import Refused


def images_of(data: Images) -> set[bytes]:
    train = data.splits.train
    return {image.numpy().tobytes() for image in train[torch.arange(len(train))][0]}


def test_each_class_keeps_its_share() -> None:
    whole, some = Digits(size=8), Digits(size=8, limit=150)
    counts = torch.tensor(whole.label_counts) * 150 / sum(whole.label_counts)
    assert sum(some.label_counts) == len(some.splits.train) == 150
    assert float((torch.tensor(some.label_counts) - counts).abs().max()) < 1
    assert images_of(some) < images_of(whole)
    assert len(some.splits.held_out) == len(whole.splits.held_out)


def test_labels_stay_with_their_images() -> None:
    whole, some = (Digits(size=8, limit=limit).splits.train for limit in (None, 40))
    known = {
        image.numpy().tobytes(): int(label)
        for image, label in zip(*whole[torch.arange(len(whole))], strict=True)
    }
    for image, label in zip(*some[torch.arange(40)], strict=True):
        assert known[image.numpy().tobytes()] == label


def test_the_draw_alone_says_which_images_these_are() -> None:
    first, again, other = (Digits(size=8, limit=100, draw=draw, seed=draw) for draw in (0, 0, 1))
    reseeded = Digits(size=8, limit=100, seed=5)
    assert images_of(first) == images_of(again) == images_of(reseeded) != images_of(other)
    assert first.fingerprint == reseeded.fingerprint != other.fingerprint
    assert first.fingerprint != Digits(size=8).fingerprint
    assert first.fingerprint_of("held_out") == Digits(size=8).fingerprint_of("held_out")


def test_pictures_from_files(tmp_path) -> None:
    root = sets.folder(tmp_path / "pictures", sets.pets("kaggle"))
    whole, some = (ImageFolder(root=str(root), size=16, limit=limit) for limit in (None, 3))
    assert len(some.splits.train) == 3
    assert images_of(some) <= images_of(whole)
    assert some.fingerprint != whole.fingerprint


def test_stacks_of_digits(tmp_path) -> None:
    data = StackedMNIST(root=str(sets.digits(tmp_path)), count=50, limit=20)
    images, labels = data.splits.train[torch.arange(20)]
    assert images.shape == (20, 3, 28, 28)
    assert len(labels) == 20


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"limit": 0}, "limit is 0"),
        ({"limit": 10_000}, "limit is 10,000, but Digits has"),
        ({"draw": 1}, r"draw is 1, but without data\.limit Digits trains on all"),
    ],
)
def test_refusals(arguments: dict[str, int], words: str) -> None:
    with pytest.raises(Refused, match=words):
        _ = Digits(size=8, **arguments).splits
