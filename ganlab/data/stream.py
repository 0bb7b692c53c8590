"""Training data as one endless stream, the same for any number of processes, workers and restarts."""

from __future__ import annotations

import hashlib
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import cached_property
from itertools import count
from typing import Any, Literal, NamedTuple, Protocol, cast

import torch
from lightning.pytorch import LightningDataModule
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, TensorDataset

from ganlab.data.grid import grid
from ganlab.errors import Refused
from ganlab.seeds import seed_for

Batch = tuple[Tensor, ...]
DIGESTED = 4096  # items at once
LAST = 30  # seconds that a worker outlives a signal to end


class Items(Protocol):
    """Anything that hands out many items at once: (images, labels), or (images,)."""

    def __getitem__(self, positions: Tensor, /) -> Batch: ...


class FiniteItems(Items, Protocol):
    def __len__(self) -> int: ...


class Stream(Sampler[Tensor]):
    """The positions of one process, a generator step at a time, turn after turn.

    A turn's global batch is `world * batch_size` consecutive positions, of which each rank takes its own run;
    a step's is `turns` of them. Without a length, Lightning's distributed sampler refuses to replace it.

    Args:
        start: Asked for the first step whenever a loader is restarted, as Lightning does after
            `limit_train_batches`.
    """

    def __init__(
        self,
        batch_size: int,
        *,
        turns: int = 1,
        world: int = 1,
        rank: int = 0,
        start: Callable[[], int] = lambda: 0,
    ) -> None:
        self.batch_size, self.turns, self.world, self.rank, self.start = batch_size, turns, world, rank, start
        turn = torch.arange(turns)[:, None] * (world * batch_size)
        self._first = (turn + rank * batch_size + torch.arange(batch_size)).flatten()

    def __iter__(self) -> Iterator[Tensor]:
        return map(self.positions, count(self.start()))

    def positions(self, step: int) -> Tensor:
        return self._first + step * self.turns * self.world * self.batch_size


class Blocks:
    """An endless run of items, made a block at a time; the blocks made last are kept.

    Args:
        make: From a block's number to its items; pure, so that a worker or a resumed run makes the same.
    """

    def __init__(self, size: int, make: Callable[[int], Batch], *, keep: int = 2) -> None:
        self.size, self.make, self.keep = size, make, keep
        self._kept: dict[int, Batch] = {}

    def __getitem__(self, positions: Tensor, /) -> Batch:
        numbers = positions // self.size
        first, last = (int(number) for number in numbers.aminmax()) if len(numbers) else (0, 0)
        if first == last:
            within = positions - first * self.size
            return tuple(column[within] for column in self._block(first))
        places, pieces = [], []
        for number in numbers.unique().tolist():
            place = (numbers == number).nonzero().squeeze(1)
            within = positions[place] - number * self.size
            places.append(place)
            pieces.append([column[within] for column in self._block(number)])
        back = torch.cat(places).argsort()
        return tuple(torch.cat(column)[back] for column in zip(*pieces, strict=True))

    def _block(self, number: int) -> Batch:
        if number not in self._kept:
            if len(self._kept) >= self.keep:
                del self._kept[next(iter(self._kept))]
            self._kept[number] = self.make(number)
        return self._kept[number]


class Shuffled:
    """A finite set without end: position p is item p mod n of permutation f(seed, p div n)."""

    def __init__(self, items: FiniteItems, seed: int) -> None:
        self.items, self.seed = items, seed
        self._order = Blocks(len(items), self._permutation)

    def __getitem__(self, positions: Tensor, /) -> Batch:
        return self.items[self.indices(positions)]

    def indices(self, positions: Tensor) -> Tensor:
        (indices,) = self._order[positions]
        return indices

    def _permutation(self, number: int) -> Batch:
        source = torch.Generator().manual_seed(seed_for("permutation", self.seed, number))
        return (torch.randperm(len(self.items), generator=source),)


Split = Literal["train", "held_out"]


class Splits(NamedTuple):
    train: Items
    held_out: FiniteItems | None


class ModeIndices(NamedTuple):
    """Which mode of the data each sample belongs to.

    Attributes:
        nearest: Of each sample the number of its nearest mode; -1 where it has none.
        total: How many modes there are.
        near: Whether a sample is so near to its mode that it counts; none: that is not asked.
        enough: Samples that cover a mode well.
    """

    nearest: Tensor
    total: int
    near: Tensor | None = None
    enough: int = 20


class StreamData(LightningDataModule, ABC):
    """What all data share.

    A kind of data says in `load` what its items are. It sets `image_shape` (and `classes`) in `__init__`,
    without touching files, because the networks are built from them.

    Args:
        batch_size: Images for each turn of the discriminator, on each process.
        seed: The order of the training data follows from it.
        workers: Processes that fetch batches ahead; 0 is best for data in memory.
    """

    image_shape: tuple[int, ...]
    classes: int | None = None

    def __init__(self, *, batch_size: int = 64, seed: int = 0, workers: int = 0) -> None:
        super().__init__()
        if batch_size < 1:
            raise Refused(f"batch_size is {batch_size}; it counts images, so it is at least 1.")
        self.batch_size, self.seed, self.workers = batch_size, seed, workers
        self._fingerprints: dict[str, str] = {}

    @abstractmethod
    def load(self) -> tuple[Items, FiniteItems | None]:
        """The items to train on, and the held-out ones if there are any; called once.

        A training set with a length is streamed in random order; one without is an endless stream already.
        """

    @cached_property
    def splits(self) -> Splits:
        train, held_out = self.load()
        if isinstance(train, Sized) and not len(train):
            raise Refused("The training set is empty.")
        return Splits(train, held_out)

    @property
    def fingerprint(self) -> str:
        """What the images are that are trained on: the same wherever they lie, another if any differs."""
        return self.fingerprint_of("train")

    def fingerprint_of(self, split: Split) -> str:
        if split not in self._fingerprints:
            identity = [type(self).__name__, split, self.image_shape, *self.identity(split)]
            self._fingerprints[split] = hashlib.sha256(repr(identity).encode()).hexdigest()
        return self._fingerprints[split]

    def identity(self, split: Split) -> tuple[Any, ...]:
        """What besides class and shape tells a split from any other; never a path or a date."""
        items: Any = getattr(self.splits, split)
        digest = hashlib.sha256()
        # Of an endless stream the beginning tells enough.
        total = len(items) if isinstance(items, Sized) else DIGESTED
        for positions in torch.arange(total).split(DIGESTED):
            for column in items[positions]:
                digest.update(column.cpu().contiguous().numpy().tobytes())
        return total, digest.hexdigest()

    def setup(self, stage: str) -> None:
        """Load now, so that missing files are found before step 0."""
        _ = self.splits

    def train_dataloader(self) -> DataLoader[Batch]:
        train = self.splits.train
        if isinstance(train, Sized):
            train = Shuffled(cast(FiniteItems, train), self.seed)
        return self._loader(train, self._stream())

    def val_dataloader(self) -> DataLoader[Batch]:
        held_out = self.splits.held_out
        if held_out is None:
            # One batch of no images: without a loader Lightning skips the hooks in which fakes are scored.
            held_out = TensorDataset(torch.empty(0, *self.image_shape))
        return self._loader(held_out, torch.arange(len(held_out)).split(self.batch_size))

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        images, *others = batch
        return self.normalise(images), *others

    def normalise(self, images: Tensor) -> Tensor:
        """Bytes become numbers in [-1, 1]; other numbers stay what they are. Called on the device."""
        dtype = torch.float32 if self.trainer is None else self.trainer.lightning_module.dtype
        if images.is_floating_point():
            return images.to(dtype)
        return images.to(dtype).div_(127.5).sub_(1)

    def picture(self, samples: Tensor) -> Image:
        """Draw samples the way these data want to be seen."""
        return grid(samples)

    def modes(self, features: Tensor, logits: Tensor | None) -> ModeIndices:
        """The modes of samples as an extractor sees them, where the modes are known."""
        raise Refused(
            f"Nobody knows the modes of {type(self).__name__}: the score is for Gaussians and StackedMNIST."
        )

    def _stream(self) -> Stream:
        trainer = self.trainer
        if trainer is None:
            return Stream(self.batch_size)
        return Stream(
            self.batch_size,
            turns=cast(Any, trainer.lightning_module).critic_steps,
            world=trainer.world_size,
            rank=trainer.global_rank,
            start=lambda: trainer.global_step,
        )

    @property
    def _pinned(self) -> bool:
        """Whether batches lie where an accelerator fetches them fastest."""
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"

    def _loader(self, items: Items, batches: Iterable[Tensor]) -> DataLoader[Batch]:
        return DataLoader(
            cast(Any, items),
            sampler=batches,
            batch_size=None,
            num_workers=self.workers,
            collate_fn=tuple,
            pin_memory=self._pinned,
            # Each iter() draws a seed for workers; the default generator is the one that training draws from.
            generator=torch.Generator(),
            worker_init_fn=_ignore_signals,
        )


def _ignore_signals(worker: int) -> None:
    """What a cluster or a terminal signals is for the process that trains, which ends its workers itself and
    needs their batch to finish its step. None outlives the signal to end by much.
    """
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(LAST))
