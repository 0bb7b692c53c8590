"""Training data as one endless stream, the same for any number of processes, workers and restarts."""

from __future__ import annotations

import hashlib
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sized
from functools import cached_property
from math import prod
from typing import Any, Literal, NamedTuple, cast

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from ganlab import bounds
from ganlab.data.order import Batch, Endless, FiniteItems, Items, Shuffled, Stream
from ganlab.errors import Refused
from ganlab.media import Labels, Medium, medium_of, played
from ganlab.system.memory import refuse_beyond_memory

Completion = Callable[[Batch, Any], Batch]  # of a batch and a turn's draws
DIGEST_CHUNK = 4096  # items that are hashed at once
MOST_WORKERS = 1024
WORKER_GRACE = 30  # seconds that a worker lives on after SIGTERM


Split = Literal["train", "held_out"]


class Splits(NamedTuple):
    train: Items
    held_out: FiniteItems | None


class ModeIndices(NamedTuple):
    """Which mode of the data each sample belongs to.

    Attributes:
        nearest: Of each sample the number of its nearest mode; -1 where it has none.
        total: How many modes there are.
        near: Of each sample whether it is near enough to its mode to count; None: all count.
        enough: From so many samples on a mode is covered well.
    """

    nearest: Tensor
    total: int
    near: Tensor | None = None
    enough: int = 20


class StreamData(LightningDataModule, ABC):
    """The base class of all data.

    A subclass returns its items from `load`. It sets `shape` (and `classes`) in `__init__`, without
    touching files, because the networks are built from them. The columns of its items are pictures, if
    `shape` has three entries or more, else points, and labels, if it has classes; else it overrides `media`.

    Args:
        batch_size: Images for each turn of the discriminator, on each process.
        seed: Determines the order of the training data.
        workers: Processes that prepare batches ahead; 0 is best for data in memory.
    """

    shape: tuple[int, ...]
    classes: int | None = None
    class_names: tuple[str, ...] | None = None  # in the order of their numbers, if they have any
    alphabet: str | None = None  # the characters of text, in the order of its channels
    completion: Completion | None = None  # makes the columns of a batch that training does not read

    def __init__(self, *, batch_size: int = 64, seed: int = 0, workers: int = 0) -> None:
        super().__init__()
        bounds.at_least(1, self, batch_size=batch_size)
        bounds.between(0, MOST_WORKERS, self, workers=workers)
        bounds.seed(self, seed=seed)
        self.batch_size, self.seed, self.workers = batch_size, seed, workers
        self._fingerprints: dict[str, str] = {}

    @abstractmethod
    def load(self) -> tuple[Items, FiniteItems | None]:
        """The items to train on, and the held-out ones if there are any; called once.

        They are the same for every seed. A training set with a length is shuffled and repeated; one without
        is endless, and each seed reads it from a place of its own.
        """

    @cached_property
    def media(self) -> tuple[Medium, ...]:
        """What the columns of a batch hold; the first is what a game makes."""
        made = medium_of(self.shape)
        return (made,) if self.classes is None else (made, Labels(self.classes, self.class_names))

    def turned(self) -> StreamData:
        """The same set for the way back: what is made there is what is told here."""
        raise Refused(f"{type(self).__name__} goes one way: it has no data for the way back (--direction).")

    def belong_together(self, split: Split) -> bool:
        """Whether the columns of an item of this split have to do with one another."""
        return True

    @property
    def condition(self) -> Medium | None:
        """What a batch's second column holds, which a conditional game tells its networks."""
        return self.media[1] if len(self.media) > 1 else None

    @cached_property
    def label_counts(self) -> list[int]:
        """How often each class is among the training items; of an endless stream among its first."""
        return labels_of(self.splits.train).bincount(minlength=self.classes or 0).tolist()

    @cached_property
    def splits(self) -> Splits:
        train, held_out = self.load()
        if isinstance(train, Sized) and not len(train):
            raise Refused("The training set is empty.")
        return Splits(train, held_out)

    @property
    def fingerprint(self) -> str:
        """A hash of the training data, wherever its files lie; it differs if any item does."""
        return self.fingerprint_of("train")

    def fingerprint_of(self, split: Split) -> str:
        if split not in self._fingerprints:
            identity = [type(self).__name__, split, self.shape, *self.identity(split)]
            self._fingerprints[split] = hashlib.sha256(repr(identity).encode()).hexdigest()
        return self._fingerprints[split]

    def identity(self, split: Split) -> tuple[Any, ...]:
        """What goes into a split's fingerprint besides class and shape; never a path or a date."""
        items: Any = getattr(self.splits, split)
        digest = hashlib.sha256()
        # Of an endless stream its first items are enough.
        total = len(items) if isinstance(items, Sized) else DIGEST_CHUNK
        for positions in torch.arange(total).split(DIGEST_CHUNK):
            for column in items[positions]:
                digest.update(column.cpu().contiguous().numpy().tobytes())
        return total, digest.hexdigest()

    def setup(self, stage: str) -> None:
        """Load the data now, so that missing files are refused before step 0."""
        _ = self.splits

    def train_dataloader(self) -> DataLoader[Batch]:
        numbers = self._turns * self.batch_size * sum(prod(medium.shape) for medium in self.media)
        refuse_beyond_memory(numbers, f"A step of {self._turns} x batch_size {self.batch_size} images")
        train = self._streamed
        finite = isinstance(train, Sized)
        items = Shuffled(cast(FiniteItems, train), self.seed) if finite else Endless(train, self.seed)
        return self._loader(items, self._stream())

    @property
    def _streamed(self) -> Items:
        """What training reads: the training items, or those of their columns that `completion` needs."""
        return self.splits.train

    def val_dataloader(self) -> DataLoader[Batch]:
        held_out = self.splits.held_out
        if held_out is None:
            # One batch of no images: without a loader Lightning skips the hooks in which fakes are scored.
            held_out = TensorDataset(torch.empty(0, *self.shape))
        return self._loader(held_out, torch.arange(len(held_out)).split(self.batch_size))

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        return self.played(batch)

    def played(self, batch: Batch) -> Batch:
        """A batch as networks play with it; columns of no known medium stay as they are."""
        model = None if self.trainer is None else self.trainer.lightning_module
        dtype = cast(torch.dtype, torch.float32 if model is None else model.dtype)
        return played(self.media, batch, dtype)

    def modes(self, features: Tensor, logits: Tensor | None) -> ModeIndices:
        """The modes of samples, from an extractor's outputs; refused where the data have no known modes."""
        raise Refused(
            f"Nobody knows the modes of {type(self).__name__}: the score is for Gaussians and StackedMNIST."
        )

    def valid(self, line: str) -> bool:
        """Whether a line follows the rules of the data's language; refused where these are not known."""
        raise Refused(
            f"Nobody knows which lines {type(self).__name__} would hold: the score valid is for Lines\n"
            "without a root, whose language has rules."
        )

    @property
    def _turns(self) -> int:
        return cast(Any, self.trainer.lightning_module).critic_steps if self.trainer else 1

    def _stream(self) -> Stream:
        if (trainer := self.trainer) is None:
            return Stream(self.batch_size)
        return Stream(
            self.batch_size,
            turns=self._turns,
            world=trainer.world_size,
            rank=trainer.global_rank,
            start=lambda: trainer.global_step,
        )

    @property
    def _pin_memory(self) -> bool:
        """Whether batches are put into pinned memory, from which a GPU copies fastest."""
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"

    def _loader(self, items: Items, batches: Iterable[Tensor]) -> DataLoader[Batch]:
        return DataLoader(
            cast(Any, items),
            sampler=batches,
            batch_size=None,
            num_workers=self.workers,
            collate_fn=tuple,
            pin_memory=self._pin_memory,
            # Each iter() draws a seed for the workers. From the default generator it would change what
            # training draws.
            generator=torch.Generator(),
            worker_init_fn=_ignore_signals,
        )


def splits_of(outer: StreamData, inner: StreamData) -> tuple[FiniteItems, FiniteItems | None]:
    """The splits of a set that another one is made of, which needs an end."""
    inner.trainer = outer.trainer
    inner.setup("fit")
    train, held_out = inner.splits
    if not isinstance(train, Sized):
        raise Refused(
            f"{type(outer).__name__} needs a set with an end: {type(inner).__name__} is an endless stream."
        )
    return cast(FiniteItems, train), held_out


def labels_of(items: Items) -> Tensor:
    """The second column of all items; of an endless stream, of its first."""
    if (known := getattr(items, "labels", None)) is not None:
        return cast(Tensor, known).cpu()
    total = len(items) if isinstance(items, Sized) else DIGEST_CHUNK
    return torch.cat([items[positions][1].cpu() for positions in torch.arange(total).split(DIGEST_CHUNK)])


def _ignore_signals(worker: int) -> None:
    """Ignore the signals of a cluster or a terminal, and end some time after SIGTERM.

    They are meant for the process that trains: it needs its workers' last batch, and ends them itself.
    """
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(WORKER_GRACE))
