"""The order of the stream against plain loops, and each data set against what is known about it."""

import gzip
import pickle
from itertools import islice, permutations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.fabric.utilities.distributed import DistributedSamplerWrapper
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from sets import write_idx
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

from ganlab.data import MNIST, Blocks, Digits, FashionMNIST, Gaussians, Shuffled, Stream, StreamData
from ganlab.errors import Refused
from ganlab.media.pictures import grid, quantise
from ganlab.media.points import scatter

CASES = [(10, 1, 1, 4), (10, 3, 1, 4), (3, 2, 2, 5), (1, 1, 3, 2), (7, 2, 3, 1), (64, 1, 2, 8), (5, 1, 1, 5)]


class Numbers(StreamData):
    """The numbers 0 to n - 1 as images of one pixel; the label is the number."""

    def __init__(self, *, n: int = 10, held_out: int = 0, **base):
        super().__init__(**base)
        self.shape = (1, 1, 1)
        self.n, self.out = n, held_out

    def load(self):
        images = torch.arange(self.n, dtype=torch.uint8).reshape(-1, 1, 1, 1)
        train = TensorDataset(images, images.flatten().long())
        return train, TensorDataset(*train[: self.out]) if self.out else None


class Player(LightningModule):
    """Records the batches that it is trained and validated on."""

    critic_steps = 2

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.shown: list[list[int]] = []
        self.dtypes: set[torch.dtype] = set()
        self.validated: list[int] = []

    def training_step(self, batch, batch_idx):
        self.dtypes.add(batch[0].dtype)
        self.shown.append(batch[1].tolist())
        return self.weight * batch[0].sum()

    def validation_step(self, batch, batch_idx):
        self.validated.append(len(batch[0]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def trainer(folder: Path, **settings) -> Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", default_root_dir=folder, max_epochs=-1, **quiet, **settings)


def attached(data: StreamData, *, world=1, rank=0, turns=1, step=0, dtype=torch.float32) -> StreamData:
    data.trainer = SimpleNamespace(
        world_size=world,
        global_rank=rank,
        global_step=step,
        lightning_module=SimpleNamespace(critic_steps=turns, dtype=dtype),
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )
    return data


def pass_order(n: int, seed: int, number: int) -> list[int]:
    order = Shuffled(TensorDataset(torch.arange(n)), seed)
    return order.indices(torch.arange(number * n, (number + 1) * n)).tolist()


def expected_stream(n: int, seed: int, length: int) -> list[int]:
    stream: list[int] = []
    number = 0
    while len(stream) < length:
        stream += pass_order(n, seed, number)
        number += 1
    return stream[:length]


def labels(data: StreamData, batches: int) -> list[list[int]]:
    return [batch[-1].tolist() for batch in islice(data.train_dataloader(), batches)]


@pytest.mark.parametrize(("n", "turns", "world", "size"), CASES)
def test_each_rank_and_turn_gets_its_run_of_the_one_stream(n, turns, world, size):
    steps = 6
    expected = expected_stream(n, 5, steps * turns * world * size)
    ranks = [
        labels(attached(Numbers(n=n, batch_size=size, seed=5), world=world, rank=rank, turns=turns), steps)
        for rank in range(world)
    ]
    interleaved = []
    for step in range(steps):
        for turn in range(turns):
            for rank in range(world):
                chunks = torch.tensor(ranks[rank][step]).chunk(turns)
                interleaved += chunks[turn].tolist()
    assert interleaved == expected


@pytest.mark.parametrize(("n", "turns", "world", "size"), CASES)
def test_starting_at_a_step_equals_skipping_to_it(n, turns, world, size):
    settings = {"world": world, "rank": world - 1, "turns": turns}
    from_the_start = labels(attached(Numbers(n=n, batch_size=size), **settings), 9)
    assert labels(attached(Numbers(n=n, batch_size=size), **settings, step=4), 5) == from_the_start[4:]


def test_without_a_trainer_there_is_one_process_and_one_turn():
    assert labels(Numbers(batch_size=4), 5) == torch.tensor(expected_stream(10, 0, 20)).reshape(5, 4).tolist()


def test_each_pass_is_a_permutation_of_its_own():
    passes = [tuple(pass_order(20, seed, number)) for seed in (0, 1, 2) for number in range(5)]
    assert all(sorted(order) == list(range(20)) for order in passes)
    assert len(set(passes)) == 15


def test_all_permutations_are_equally_likely():
    drawn = [tuple(pass_order(3, 0, number)) for number in range(600)]
    counts = [drawn.count(order) for order in permutations(range(3))]
    # Binomial with mean 100 and standard deviation 9.1.
    assert sum(counts) == 600
    assert all(60 < count < 140 for count in counts)


def test_positions_may_come_in_any_order():
    computed = []

    def block(number):
        computed.append(number)
        return torch.arange(4) + 4 * number, -torch.arange(4) - 4 * number

    blocks = Blocks(4, block)
    positions = torch.tensor([13, 2, 7, 2, 12, 0, 5])
    for _ in range(2):
        same, negative = blocks[positions]
        assert same.tolist() == positions.tolist()
        assert negative.tolist() == (-positions).tolist()
    blocks[torch.tensor([4, 12])]
    assert computed == [
        0,
        1,
        3,
        0,
        1,
        3,
    ]  # two blocks are cached: none of the three at the start of a pass, blocks 1 and 3 at the end


@pytest.mark.parametrize("data", [Numbers, Digits, Gaussians])
def test_workers_change_nothing(data):
    batches = [
        list(islice(attached(data(batch_size=7, workers=workers), turns=2, step=3).train_dataloader(), 6))
        for workers in (0, 1, 2)
    ]
    for with_workers in batches[1:]:
        assert all(
            torch.equal(a, b)
            for x, y in zip(batches[0], with_workers, strict=True)
            for a, b in zip(x, y, strict=True)
        )


@pytest.mark.parametrize("data", [Numbers, Digits, Gaussians])
def test_items_can_be_sent_to_a_spawned_worker(data):
    data = attached(data())
    data.trainer.unsendable = lambda: None
    items, positions = data.splits.train, torch.arange(9)
    assert torch.equal(pickle.loads(pickle.dumps(items))[positions][0], items[positions][0])


def test_loading_leaves_the_global_generator_alone():
    data = Numbers(held_out=3)
    before = torch.random.get_rng_state()
    labels(data, 3), list(data.val_dataloader()), next(iter(Gaussians().train_dataloader()))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_held_out_set_comes_in_order_and_once():
    batches = list(Numbers(n=10, held_out=7, batch_size=3).val_dataloader())
    assert [labels.tolist() for _, labels in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [images.shape[1:] for images, _ in batches] == [(1, 1, 1)] * 3


def test_a_distributed_sampler_cannot_take_the_streams_place():
    with pytest.raises(TypeError, match="use_distributed_sampler"):
        DistributedSamplerWrapper(Stream(4), num_replicas=2, rank=0)


@pytest.mark.parametrize(("size", "n", "word"), [(0, 10, "batch_size"), (4, 0, "empty")])
def test_impossible_streams_are_refused(size, n, word):
    with pytest.raises(Refused, match=word):
        Numbers(n=n, batch_size=size).setup("fit")


def expected_steps(first: int, last: int) -> list[list[int]]:
    return torch.tensor(expected_stream(10, 0, 8 * last)).reshape(last, 8)[first:].tolist()


@pytest.mark.parametrize("workers", [0, 1])
def test_the_stream_goes_on_through_epochs_and_resume(tmp_path, workers):
    game = Player()
    save = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=3, save_top_k=-1)
    first = trainer(tmp_path, max_steps=7, limit_train_batches=2, callbacks=save)
    first.fit(game, datamodule=Numbers(batch_size=4, workers=workers))
    assert game.shown == expected_steps(0, 7)
    resumed = Player()
    second = trainer(tmp_path, max_steps=7)
    second.fit(resumed, datamodule=Numbers(batch_size=4, workers=workers), ckpt_path=tmp_path / "step=3.ckpt")
    assert resumed.shown == expected_steps(3, 7)


@pytest.mark.parametrize(("precision", "dtype"), [("32-true", torch.float32), ("64-true", torch.float64)])
def test_a_trainer_sees_normalised_images_and_validates_without_held_out_data(tmp_path, precision, dtype):
    settings = {"precision": precision, "val_check_interval": 2, "check_val_every_n_epoch": None}
    for data, validated in (
        (Gaussians(batch_size=4), [0, 0]),
        (Numbers(held_out=3, batch_size=2), [2, 1, 2, 1]),
    ):
        game = Player()
        trainer(tmp_path, max_steps=4, num_sanity_val_steps=0, enable_checkpointing=False, **settings).fit(
            game, datamodule=data
        )
        assert game.dtypes == {dtype}
        assert game.validated == validated


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bytes_survive_normalising_and_quantising(dtype):
    data = attached(Digits(), dtype=dtype)
    all_bytes = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    images, labels = data.on_after_batch_transfer((all_bytes, torch.tensor([7])), 0)
    assert images.dtype == dtype
    assert images.flatten()[[0, 255]].tolist() == [-1, 1]
    assert torch.equal(quantise(images), all_bytes)
    assert labels.tolist() == [7]
    points = torch.tensor([[3.0, -7.0]])
    assert data.on_after_batch_transfer((points,), 0)[0].tolist() == [[3, -7]]


@pytest.fixture
def idx(tmp_path):
    """A root with 12 training and 5 test images; the pixels of image i are i + 1, but for the corner, 255."""
    for kind in ("MNIST", "FashionMNIST"):
        for part, n, packed in (("train", 12, True), ("t10k", 5, False)):
            images = np.arange(1, n + 1)[:, None, None] * np.ones((1, 28, 28))
            images[:, 0, 0] = 255
            write_idx(tmp_path / kind / "raw", f"{part}-images-idx3-ubyte", images, packed=packed)
            write_idx(tmp_path / kind / "raw", f"{part}-labels-idx1-ubyte", np.arange(n) % 10, packed=packed)
    return tmp_path


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_mnist_is_read_packed_or_not_and_nothing_is_unpacked(idx, kind, monkeypatch):
    monkeypatch.setenv("GANLAB_DATA", str(idx))
    before = sorted(idx.rglob("*"))
    data = attached(kind(batch_size=12), dtype=torch.float64)
    data.prepare_data()
    data.setup("fit")
    images, labels = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert (images.shape, images.dtype, data.shape) == ((12, 1, 28, 28), torch.float64, (1, 28, 28))
    levels = (images[:, 0, 5, 5] + 1) * 127.5
    assert sorted(levels.round().tolist()) == list(range(1, 13))
    assert torch.equal(levels.round().long() % 10, (labels + 1) % 10)
    assert (images[:, 0, 0, 0] == 1).all()
    held_out, labels = next(iter(data.val_dataloader()))
    assert held_out[:, 0, 9, 9].tolist() == [1, 2, 3, 4, 5]
    assert labels.tolist() == [0, 1, 2, 3, 4]
    assert sorted(idx.rglob("*")) == before


def test_padding_to_32_puts_background_around(idx):
    data = MNIST(root=str(idx), size=32, batch_size=3)
    images, _ = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert images.shape[1:] == data.shape == (1, 32, 32)
    inner = images[:, :, 2:-2, 2:-2]
    assert (inner > -1).all()
    assert (images == -1).sum() == 3 * (32 * 32 - 28 * 28)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def scribble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[20:40] = b"not what it once was"
    path.write_bytes(content)


def repack(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content))


DAMAGES = {
    "truncated": cut,
    "scribbled": scribble,
    "a web page": lambda path: path.write_text("<html>404</html>"),
    "empty": lambda path: path.write_bytes(b""),
    "too short": lambda path: repack(path, gzip.decompress(path.read_bytes())[:-9]),
    "too long": lambda path: repack(path, gzip.decompress(path.read_bytes()) + b"x"),
    "no header": lambda path: repack(path, b"\x00\x00\x08\x03\x00"),
    "other type": lambda path: repack(path, b"\x00\x00\x0d\x01\x00\x00\x00\x00"),
}


def sentence(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert len(text.splitlines()) <= 3
    return text


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_named(idx, damage):
    path = idx / "MNIST/raw/train-images-idx3-ubyte.gz"
    damage(path)
    with pytest.raises(Refused, match="damaged") as error:
        MNIST(root=str(idx)).setup("fit")
    assert str(path) in sentence(error)
    assert "--data.download" in sentence(error)


def test_files_that_do_not_belong_together_are_named(idx):
    write_idx(idx / "MNIST/raw", "train-labels-idx1-ubyte", np.zeros(11))
    with pytest.raises(Refused, match="do not belong together") as error:
        MNIST(root=str(idx)).setup("fit")
    assert "(12, 28, 28)" in sentence(error)
    assert "(11,)" in sentence(error)


def test_missing_files_say_what_where_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GANLAB_DATA", raising=False)
    with pytest.raises(Refused) as error:
        trainer(tmp_path, max_steps=1).fit(Player(), datamodule=FashionMNIST())
    for part in (
        "train-images-idx3-ubyte",
        str(tmp_path / "data/FashionMNIST/raw"),
        "--data.root",
        "--data.download",
    ):
        assert part in sentence(error)


def test_download_is_asked_of_torchvision_only_when_wanted_and_needed(idx, tmp_path, monkeypatch):
    calls = []

    def source(root, download):
        calls.append((root, download))
        raise RuntimeError("Error downloading:\nno network")

    source.__name__ = "MNIST"
    monkeypatch.setattr(MNIST, "source", staticmethod(source))
    MNIST(root=str(idx), download=True).prepare_data()
    MNIST(root=str(tmp_path / "none")).prepare_data()
    assert calls == []
    with pytest.raises(Refused, match="no network") as error:
        MNIST(root=str(tmp_path / "none"), download=True).prepare_data()
    assert str(tmp_path / "none/MNIST/raw") in sentence(error)
    assert calls == [(tmp_path / "none", True)]


@pytest.mark.parametrize("size", [8, 32])
def test_digits(size):
    data = Digits(size=size, batch_size=1497)
    images, labels = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert images.shape == (1497, *data.shape) == (1497, 1, size, size)
    assert images.dtype == torch.float32
    assert (images.min(), images.max()) == (-1, 1)
    held_out = [torch.cat(column) for column in zip(*data.val_dataloader(), strict=True)]
    assert held_out[0].shape == (300, 1, size, size)
    for part in (labels, held_out[1]):
        share = part.bincount() / len(part)
        assert len(share) == data.classes == 10
        assert ((share > 0.08) & (share < 0.12)).all()


def test_digits_are_the_originals_enlarged():
    originals = load_digits()
    indices = [index for index in range(1797) if index % 6]
    pixels = torch.from_numpy(originals.images[indices]) / 16 * 255
    small, large = Digits(size=8).load()[0], Digits(size=32).load()[0]
    assert (small.images[..., 0] - pixels).abs().max() <= 0.5
    assert small.labels.tolist() == large.labels.tolist() == originals.target[indices].tolist()
    shrunk = torch.nn.functional.avg_pool2d(large.images.movedim(-1, 1).float(), 4)[:, 0]
    assert (shrunk - pixels).abs().mean() < 20 < (shrunk.mT - pixels).abs().mean()


@pytest.mark.parametrize("seed", [1, 2**32 - 1])
def test_seeds_read_an_endless_set_at_other_places_and_are_scored_by_the_same(seed: int) -> None:
    first, other = (attached(Gaussians(seed=each, batch_size=100)) for each in (0, seed))
    assert first.fingerprint == other.fingerprint
    points, others = (next(iter(data.train_dataloader()))[0] for data in (first, other))
    assert torch.equal(points, first.splits.train[torch.arange(100)][0])
    assert not torch.isclose(points, others).all(1).any()
    assert torch.equal(others, next(iter(other.train_dataloader()))[0])


def test_gaussians_are_a_pure_function_of_the_position():
    positions = torch.tensor([4095, 0, 4096, 99_999, 4095])
    fresh = Gaussians().load()[0][positions]
    used = Gaussians().load()[0]
    used[torch.arange(0, 50_000, 7)]
    assert all(torch.equal(a, b) for a, b in zip(fresh, used[positions], strict=True))
    assert torch.equal(fresh[0][0], fresh[0][4])
    many = used[torch.arange(20_000)][0]
    assert len(many.unique(dim=0)) > 19_990  # no points are repeated, nor are blocks


def test_the_ring():
    data = Gaussians()
    points, labels = data.load()[0][torch.arange(40_000)]
    assert (data.shape, data.classes, data.sigma) == ((2,), 8, 0.01)
    assert torch.allclose(data.centres.norm(dim=1), torch.ones(8))
    assert torch.allclose(
        data.centres[[0, 2, 4, 6]], torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]]), atol=1e-6
    )
    assert torch.equal(torch.cdist(points, data.centres).argmin(1), labels)
    assert (labels.bincount() / 40_000 - 1 / 8).abs().max() < 0.008
    offsets = (points - data.centres[labels]).T.cov()
    assert torch.allclose(offsets, 1e-4 * torch.eye(2), atol=3e-6)


def test_the_grid():
    data = Gaussians(layout="grid")
    points, labels = data.load()[0][torch.arange(50_000)]
    assert {tuple(centre) for centre in data.centres.tolist()} == {
        (x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)
    }
    assert (data.classes, len(labels.unique())) == (25, 25)
    assert (points - data.centres[labels]).std(0).tolist() == pytest.approx([0.05, 0.05], rel=0.03)


def test_the_normal():
    data = Gaussians(layout="normal")
    (points,) = data.load()[0][torch.arange(100_000)]
    assert data.classes is None
    assert points.mean(0).tolist() == pytest.approx([1, 2], abs=0.03)
    assert points.T.cov().flatten().tolist() == pytest.approx([1.01, 1.95, 1.95, 4.25], rel=0.03)


def test_layouts_can_be_changed_within_reason():
    assert Gaussians(modes=5).centres.shape == (5, 2)
    assert Gaussians(layout="grid", modes=9, sigma=0.1).sigma == 0.1
    wide = Gaussians(layout="ring", sigma=0.2).load()[0][torch.arange(20_000)]
    assert (wide[0] - Gaussians().centres[wide[1]]).std().item() == pytest.approx(0.2, rel=0.03)
    with pytest.raises(Refused, match="16 or 25, but not 24"):
        Gaussians(layout="grid", modes=24)
    with pytest.raises(Refused, match="at least 1"):
        Gaussians(layout="grid", modes=-4)
    with pytest.raises(Refused, match="1 mode, not 3"):
        Gaussians(layout="normal", modes=3)


def test_a_grid_of_grey_images():
    images = torch.linspace(-1, 1, 5)[:, None, None, None].expand(5, 1, 28, 28)
    sheet = np.asarray(grid(images))
    assert sheet.shape == (2 * 56 + 2, 3 * 56 + 2 * 2)
    for index, level in enumerate((0, 64, 128, 191, 255)):
        top, left = index // 3 * 58, index % 3 * 58
        assert (sheet[top : top + 56, left : left + 56] == level).all()
    assert (sheet[56:58] == 255).all()
    assert (sheet[:, 56:58] == 255).all()


def test_a_grid_of_colour_images_keeps_channels_and_clamps():
    image = torch.zeros(1, 3, 64, 80)
    image[0, 0, 0, 1], image[0, 1, 2, 0], image[0, 2, 3, 3] = 7, -7, 0.5
    sheet = grid(image.bfloat16().requires_grad_())
    assert (sheet.mode, sheet.size) == ("RGB", (80, 64))
    assert [sheet.getpixel(at) for at in ((0, 0), (1, 0), (0, 2), (3, 3))] == [
        (128, 128, 128),
        (255, 128, 128),
        (128, 0, 128),
        (128, 128, 191),
    ]


def pixels_of(picture) -> np.ndarray:
    return np.asarray(picture).astype(int)[40:]  # below the title, which counts the fakes outside


def test_scattered_points_lie_where_they_should():
    reals = torch.tensor([[-1.0, -1], [1, 1]])
    nothing = scatter(torch.tensor([[99.0, 0], [0, float("nan")]]), reals)
    assert (nothing.mode, nothing.size) == ("RGB", (600, 600))

    def seen_at(x: float, y: float) -> np.ndarray:
        changed = np.abs(pixels_of(scatter(torch.tensor([[x, y]]), reals)) - pixels_of(nothing)).sum(2)
        rows, columns = changed.nonzero()
        assert 10 < len(rows) < 200
        return np.array([columns.mean(), -rows.mean()])

    middle, moved, corner = seen_at(0, 0), seen_at(0.5, 0.25), seen_at(-1, -1)
    scale = (moved[0] - middle[0]) / 0.5
    assert scale > 150
    assert moved - middle == pytest.approx(scale * np.array([0.5, 0.25]), abs=1)
    assert corner - middle == pytest.approx(scale * np.array([-1, -1]), abs=2)
    real = np.abs(pixels_of(nothing) - (0xB9, 0xC2, 0xCC)).sum(2)[300:, :300] < 12
    rows, columns = real.nonzero()
    assert corner == pytest.approx([columns.mean(), -rows.mean() - 300], abs=1)


def test_data_draw_their_own_pictures():
    assert Digits().media[0].sheet(torch.zeros(4, 1, 32, 32)).size == (130, 130)
    assert Gaussians().media[0].sheet(torch.zeros(4, 2)).size == (600, 600)


def test_every_argument_can_be_given_on_the_command_line():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(StreamData, "data")
    arguments = parser.parse_args(
        ["--data=ganlab.data.MNIST", "--data.root=x", "--data.size=32", "--data.batch_size=8"]
    )
    data = MNIST(**arguments.data.init_args.as_dict())
    assert (data.root, data.shape, data.batch_size, data.workers) == (Path("x"), (1, 32, 32), 8, 0)
