"""Every set of images: what it reads, its order, the memory that it is kept in, and mirrored images."""

import io
import pickle
from itertools import islice

import pytest
import sets
import torch
from sets import attached

from ganlab.data import (
    CIFAR10,
    EMNIST,
    KMNIST,
    MNIST,
    CatsVsDogs,
    CelebA,
    Digits,
    FashionMNIST,
    ImageFolder,
    Pairs,
    Rows,
    StackedMNIST,
    StreamData,
)
from ganlab.data.pictures.images import mirrored
from ganlab.data.sets.mnist import read_idx
from ganlab.errors import Refused


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = sets.cifar10(sets.digits(tmp_path_factory.mktemp("data")))
    sets.folder(root / "cats_vs_dogs", sets.pets("kaggle"))
    sets.folder(root / "celeba", sets.faces())
    sets.folder(root / "mine", {f"{n}.png": sets.encoded(sets.picture(n), "PNG") for n in range(14)})
    sets.packed(root / "pairs.zip", {f"{n}.png": sets.encoded(sets.picture(n), "PNG") for n in range(14)})
    return root


@pytest.fixture(autouse=True)
def here(root, monkeypatch):
    monkeypatch.setenv("GANLAB_DATA", str(root))
    monkeypatch.setenv("GANLAB_CACHE", str(root / "cache"))


KINDS = {
    "MNIST": lambda **how: MNIST(**how),
    "MNIST at 32 in colour": lambda **how: MNIST(size=32, channels=3, **how),
    "FashionMNIST": lambda **how: FashionMNIST(**how),
    "KMNIST": lambda **how: KMNIST(**how),
    "EMNIST": lambda **how: EMNIST(**how),
    "CIFAR10": lambda **how: CIFAR10(**how),
    "StackedMNIST": lambda **how: StackedMNIST(count=15, **how),
    "CatsVsDogs": lambda **how: CatsVsDogs(size=8, **how),
    "CelebA": lambda **how: CelebA(size=8, crop=178, attributes=["Male"], **how),
    "ImageFolder": lambda **how: ImageFolder(root=f"{how.pop('folder', 'mine')}", size=8, **how),
    "Pairs": lambda **how: Pairs(root="pairs.zip", size=8, **how),
    "Digits": lambda **how: Digits(**how),
}


@pytest.fixture(params=KINDS)
def kind(request, root, monkeypatch):
    monkeypatch.chdir(root)
    return KINDS[request.param]


def image_bytes(data: StreamData, batches: int) -> list[bytes]:
    """The bytes of each image in some batches, in order."""
    return [
        image.numpy().tobytes()
        for images, *_ in islice(data.train_dataloader(), batches)
        for image in images.contiguous()
    ]


def test_two_passes_are_the_same_for_any_workers_and_over_any_ranks(kind):
    items, world_sizes = len(kind().splits.train), (2, 3)
    size = max(3, items // 100)
    batches = -(-2 * items // (6 * size)) * 6
    one_process = image_bytes(attached(kind(batch_size=size, seed=1)), batches)
    # Two passes: each item comes at least twice, and the second one in another order.
    assert {one_process.count(item) for item in one_process} != {1}
    assert one_process[:items] != one_process[items : 2 * items]
    assert sorted(one_process[:items]) == sorted(one_process[items : 2 * items])
    for workers in (1, 2):
        assert image_bytes(attached(kind(batch_size=size, seed=1, workers=workers)), batches) == one_process
    for ranks in world_sizes:
        parts = [
            image_bytes(attached(kind(batch_size=size, seed=1), world=ranks, rank=rank), batches // ranks)
            for rank in range(ranks)
        ]
        interleaved = [
            item
            for batch in range(batches // ranks)
            for part in parts
            for item in part[batch * size : (batch + 1) * size]
        ]
        assert interleaved == one_process
    last_step = (items // size) - 1
    resumed = image_bytes(attached(kind(batch_size=size, seed=1), step=last_step), batches - last_step)
    assert resumed == one_process[last_step * size :]


def test_what_a_set_says_of_itself_is_true(kind):
    data = attached(kind(batch_size=4))
    images, *_ = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert images.shape == (4, *data.shape)
    assert images.dtype == torch.float32
    assert -1 <= images.min() < images.max() <= 1
    if data.classes:
        labels = torch.cat([batch[1] for batch in islice(data.train_dataloader(), 10)])
        assert labels.dtype == torch.long
        assert 0 <= labels.min() <= labels.max() < data.classes
    assert len(data.splits.held_out) > 0
    assert data.fingerprint == kind().fingerprint != data.fingerprint_of("held_out")


@pytest.mark.parametrize("placement", ["auto", "device", "memory", "disk"])
def test_where_images_are_kept_changes_none(kind, placement):
    expected = image_bytes(attached(kind(batch_size=5)), 4)
    data = attached(kind(batch_size=5, placement=placement))
    assert image_bytes(data, 4) == expected
    assert (data.splits.train.path is not None) == (placement == "disk")
    data.setup("validate")
    assert image_bytes(data, 4) == expected


def test_on_disk_workers_share_one_file(kind):
    data = attached(kind(batch_size=5, placement="disk", workers=1))
    size = len(pickle.dumps(data.splits.train))
    assert size < data.splits.train.images.nbytes + 9_000
    unpickled = pickle.loads(pickle.dumps(data.splits.train))
    assert torch.equal(unpickled[torch.tensor([3])][0], data.splits.train[torch.tensor([3])][0])


def test_images_on_the_device_need_no_workers():
    with pytest.raises(Refused, match="workers"):
        MNIST(placement="device", workers=2)


# Mirrored images


def flipped(data: StreamData, step: int = 0) -> list[bool]:
    """For each image of a step whether it is mirrored."""
    batch = next(iter(data.train_dataloader()))
    plain = data.played((batch[0],))[0]
    images = data.on_after_batch_transfer(batch, 0)[0]
    is_mirrored = [
        torch.equal(image, original.flip(-1)) for image, original in zip(images, plain, strict=True)
    ]
    same = [torch.equal(image, original) for image, original in zip(images, plain, strict=True)]
    assert all(a != b for a, b in zip(is_mirrored, same, strict=True))
    return is_mirrored


def test_half_of_the_training_images_are_mirrored():
    flips = flipped(attached(MNIST(batch_size=400, flip=True)))
    assert 150 < sum(flips) < 250
    assert flips != flipped(attached(MNIST(batch_size=400, flip=True), step=1))
    assert flips == flipped(attached(MNIST(batch_size=400, flip=True)))
    assert not any(flipped(attached(MNIST(batch_size=400))))
    assert not any(flipped(attached(MNIST(batch_size=400, flip=True), training=False)))


@pytest.mark.parametrize("turns", [1, 2])
def test_two_processes_mirror_what_one_does(turns):
    one_process = flipped(attached(MNIST(batch_size=20, flip=True), turns=turns))
    parts = [
        flipped(attached(MNIST(batch_size=10, flip=True), world=2, rank=rank, turns=turns)) for rank in (0, 1)
    ]
    joined = [flip for turn in range(turns) for part in parts for flip in part[turn * 10 : (turn + 1) * 10]]
    assert joined == one_process


def test_mirrored_is_left_to_right():
    images = torch.arange(4.0).reshape(2, 1, 1, 2)
    assert mirrored(images, torch.tensor([True, False])).flatten().tolist() == [1, 0, 2, 3]


# Each set's own


def test_stacked_digits_are_three_digits():
    digits, stacked = MNIST().splits.train, StackedMNIST(count=2000)
    images, labels = stacked.splits.train[torch.arange(2000)]
    assert images.shape == (2000, 3, 28, 28)
    for channel, power in enumerate((100, 10, 1)):
        numbers = images[:, channel, 0, 0].long()
        assert torch.equal(images[:, channel], digits[numbers][0][:, 0])
        assert torch.equal(labels // power % 10, digits[numbers][1])
    assert len(labels.unique()) > 800
    assert stacked.classes == 1000
    fewer = StackedMNIST(count=50, seed=7).splits.train[torch.arange(50)]
    assert torch.equal(fewer[0], images[:50]), "item i depends on neither the count nor the run's seed"
    assert not torch.equal(
        StackedMNIST(count=50, stacking_seed=1).splits.train[torch.arange(50)][0], images[:50]
    )
    assert StackedMNIST(count=50).fingerprint != StackedMNIST(count=50, stacking_seed=1).fingerprint


def test_emnist_stands_upright_and_counts_letters_from_0(root):
    raw = read_idx(root / "EMNIST/raw/emnist-balanced-train-images-idx3-ubyte.gz")
    assert torch.equal(EMNIST().splits.train[torch.arange(20)][0][:, 0], raw.mT)
    letters = EMNIST(split="letters")
    assert letters.classes == 26
    assert letters.splits.train[torch.arange(10)][1].tolist() == list(range(10))
    assert letters.fingerprint != EMNIST().fingerprint


@pytest.mark.parametrize("packed", [False, True])
def test_cifar10_is_read_packed_or_not(packed, tmp_path):
    root = sets.cifar10(tmp_path, packed=packed)
    before = sorted(tmp_path.rglob("*"))
    data = CIFAR10(root=str(root))
    images, labels = data.splits.train[torch.arange(20)]
    assert images.shape == (20, 3, 32, 32)
    assert labels.tolist() == [0, 1, 2, 3] * 5
    assert images[:, :, 5, 6].tolist() == [[number, 100, 200] for number in labels.tolist()]
    assert len(data.splits.held_out) == 4
    grey = CIFAR10(root=str(root), channels=1).splits.train[torch.arange(4)][0]
    assert grey[:, 0, 0, 0].tolist() == [round(0.299 * n + 58.7 + 22.8) for n in range(4)]
    assert sorted(tmp_path.rglob("*")) == before


class Hostile:
    def __reduce__(self):
        return print, ("the file ran code",)


def test_cifar10_runs_no_code_and_names_what_is_damaged(tmp_path, capsys):
    root = sets.cifar10(tmp_path)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_2"
    original = path.read_bytes()
    hostile = (pickle.dumps(Hostile()), pickle.dumps({b"data": Hostile()}))
    for content in (*hostile, original[:500], b"", b"<html>"):
        path.write_bytes(content)
        with pytest.raises(Refused, match="damaged"):
            CIFAR10(root=str(root)).setup("fit")
    path.unlink()
    with pytest.raises(Refused, match="whole"):
        CIFAR10(root=str(root)).setup("fit")
    assert capsys.readouterr().out == ""
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "cifar-10-python.tar.gz").write_bytes(io.BytesIO(b"no archive").getvalue())
    with pytest.raises(Refused, match="damaged"):
        CIFAR10(root=str(tmp_path / "packed")).setup("fit")


def test_missing_cifar10_says_what_where_and_what_to_do(tmp_path):
    with pytest.raises(Refused) as error:
        CIFAR10(root=str(tmp_path)).setup("fit")
    for word in ("cifar-10-batches-py", str(tmp_path), "--data.root", "--data.download"):
        assert word in str(error.value)


def test_rows_hand_out_any_positions_in_any_order():
    images = torch.arange(24, dtype=torch.uint8).reshape(4, 2, 1, 3)
    rows = Rows(images, torch.arange(4))
    selected, labels = rows[torch.tensor([3, 0, 3])]
    assert selected.shape == (3, 3, 2, 1)
    assert selected[:, :, 0, 0].tolist() == [[18, 19, 20], [0, 1, 2], [18, 19, 20]]
    assert labels.tolist() == [3, 0, 3]
