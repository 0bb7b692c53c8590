from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from math import nan
from pathlib import Path
from typing import Any, cast

import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer

from ganlab.callbacks import nearest
from ganlab.callbacks.preemption import Preemption
from ganlab.data.stream import Split, StreamData
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.metrics.extractors.extractor import Extractor
from ganlab.metrics.reference import contract_of, prepare_reference
from ganlab.metrics.scorer import Batches, Reals, Scorer, described
from ganlab.runs.status import SCORES
from ganlab.sampling.plan import BLOCK, fake_batches
from ganlab.system.processes import broadcast, on_rank_zero, rank_and_world
from ganlab.system.records import Records


class Evaluation(Callback):
    """Score samples of the generator's average every so many generator steps and at the end.

    A sample is a function of the evaluation's seed and its own number alone, so that neither the number of
    processes nor the run's seed changes what is scored. Training is left as it was, to the last bit.
    Of pictures, the training images nearest to some samples are drawn, which takes up to two seconds.

    Args:
        extractor: What sees the images: Inception, Classifier, Pixels, Module, Points; none: no evaluation.
        scores: fid, is, kid, precision_recall, density_coverage, fid_infinity, classes, modes.
        samples: How many.
        every_n_steps: Generator steps between two evaluations; none: at the end only.
        split: The reals that are compared with.
        seed: The samples follow from it alone, and never from the run's.
        raw: The generator's own weights instead of their average.
    """

    def __init__(
        self,
        extractor: Extractor | None = None,
        scores: Sequence[str] = ("fid",),
        samples: int = 10_000,
        every_n_steps: int | None = None,
        split: Split = "train",
        seed: int = 0,
        raw: bool = False,
    ) -> None:
        self.panel = Scorer(extractor, tuple(scores), samples) if extractor else None
        self.every_n_steps, self.split, self.seed, self.raw = every_n_steps, split, seed, raw
        self.best: float | None = None
        self._reals: Reals | None = None
        self._floor: dict[str, Any] = {}
        self.scored_at = -1
        self.values: dict[str, float | None] = {}
        self._spent, self._since = 0.0, None  # type: float, float | None

    def setup(self, trainer: Trainer, model: LightningModule, stage: str) -> None:
        if self.panel and not isinstance(_data(trainer), StreamData):
            raise Refused(
                "An evaluation needs data of ganlab (StreamData), whose fingerprint its scores carry."
            )

    def on_fit_start(self, trainer: Trainer, model: LightningModule) -> None:
        """What was scored after the checkpoint that the run goes on from need not be scored again."""
        if trainer.ckpt_path and self.panel:
            rows = Records(Path(trainer.default_root_dir) / SCORES).read() if trainer.is_global_zero else []
            # `ganlab evaluate` adds rows, too, under whatever protocol it was asked for.
            own = [row["step"] for row in rows if "checkpoint" not in row]
            self.scored_at = broadcast(max([self.scored_at, *own]))

    def on_train_start(self, trainer: Trainer, model: LightningModule) -> None:
        """What a run that was stopped after its step had not come to."""
        if trainer.global_step and self._due(trainer) and trainer.global_step != self.scored_at:
            self._evaluate(trainer, model)

    def on_train_batch_end(
        self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._due(trainer):
            self._evaluate(trainer, model)

    def _due(self, trainer: Trainer) -> bool:
        step = trainer.global_step
        return step == trainer.max_steps or bool(self.every_n_steps and step % self.every_n_steps == 0)

    def on_train_end(self, trainer: Trainer, model: LightningModule) -> None:
        """Where training was ended before its budget."""
        if trainer.global_step != self.scored_at:
            self._evaluate(trainer, model, logs=False)

    def on_fit_end(self, trainer: Trainer, model: LightningModule) -> None:
        """Where a run was stopped in its last evaluation: no step is left that would make up for it."""
        if trainer.global_step >= trainer.max_steps > 0 and trainer.global_step != self.scored_at:
            model.to(trainer.strategy.root_device)
            self._evaluate(trainer, model, logs=False)

    def on_validation_epoch_end(self, trainer: Trainer, model: LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._evaluate(trainer, model)

    @property
    def seconds(self) -> float:
        """Spent on scoring, up to now."""
        return self._spent + (time.monotonic() - self._since if self._since else 0.0)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._spent, self._since = self.seconds, None

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "scored_at": self.scored_at, "values": self.values}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.scored_at = state_dict["best"], state_dict["scored_at"]
        self.values = state_dict["values"]

    def _evaluate(self, trainer: Trainer, model: LightningModule, *, logs: bool = True) -> None:
        if not self.panel or cast(Any, trainer).fast_dev_run or not isinstance(model, GAN):
            return
        with self._timed():
            self._score(trainer, model, logs=logs)

    def _score(self, trainer: Trainer, model: GAN, *, logs: bool) -> None:
        assert self.panel
        data = _data(trainer)
        self.panel.extractor.to(model.device)
        reals = self._reals or self._prepare(trainer, data)
        with one_set_of_buffers(model):
            blocks = iter(fake_batches(model, self.panel.samples, self.seed, raw=self.raw))
            first = next(blocks)
            batches = interruptible(trainer, chain([first], blocks), self.panel.samples)
            fakes = self.panel.observe(batches, self.panel.samples)
        panel, self.scored_at = self.panel, trainer.global_step
        values, reasons = on_rank_zero(lambda: panel.score(reals, fakes))
        self.values = values
        validating = trainer.state.fn == "validate"  # Its own table shows the values.
        if logs:
            # For whoever monitors a score; the loggers get it below, whatever their cadence is.
            watched = {name: nan if value is None else value for name, value in values.items()}
            model.log_dict(watched, logger=validating)
        contract = contract_of(
            self.panel, data, self.split, fakes="raw" if self.raw else "ema", seed=self.seed
        )
        if trainer.is_global_zero:
            shown = "" if validating else f"step {trainer.global_step:,}  {described(values)}  "
            print(f"{shown}({contract})")
        if not validating:
            told = {"scores": values, "reasons": reasons, "floor": self._floor, "contract": contract.plain()}
            self._record(trainer, model, told)
            self._keep_best(trainer, values)
            if trainer.is_global_zero:
                name = f"step-{trainer.global_step:09d}.png"
                nearest.draw(first[1], data, Path(trainer.default_root_dir) / nearest.FOLDER / name)

    def _prepare(self, trainer: Trainer, data: StreamData) -> Reals:
        """The reals' statistics, and beside them what reals that were never trained on would score."""
        assert self.panel
        self._reals, self._floor = prepare_reference(self.panel, data, self.split)
        if trainer.is_global_zero and self._floor:
            shown = {name: value for name, value in self._floor.items() if name != "samples"}
            print(f"real floor ({self._floor['samples']:,} held-out images)  {described(shown)}")
        return self._reals

    def _record(self, trainer: Trainer, model: GAN, found: dict[str, Any]) -> None:
        at = {"step": trainer.global_step, "images": model.images_seen}
        known = {name: value for name, value in found["scores"].items() if value is not None}
        for logger in trainer.loggers:
            about = {"contract": found["contract"], "floor": found["floor"]}
            logger.log_hyperparams(about)  # type: ignore[call-arg]
            logger.log_metrics({**known, "images": float(model.images_seen)}, step=trainer.global_step)
            logger.save()
        if trainer.is_global_zero:
            folder = Path(trainer.default_root_dir)
            folder.mkdir(parents=True, exist_ok=True)
            Records(folder / SCORES).append(at | found)

    def _keep_best(self, trainer: Trainer, values: dict[str, float | None]) -> None:
        assert self.panel
        name, better = next(iter(self.panel.directions.items()))
        if (value := values[name]) is None:
            return
        if self.best is not None and (value >= self.best if better == "min" else value <= self.best):
            return
        self.best = value
        folder = Path(trainer.default_root_dir) / "checkpoints"
        unfinished = folder / "best.unfinished"
        trainer.save_checkpoint(unfinished)
        if trainer.is_global_zero:
            os.replace(unfinished, folder / "best.ckpt")


def _data(trainer: Trainer) -> Any:
    return trainer.datamodule  # type: ignore[attr-defined]


def interruptible(trainer: Trainer, batches: Batches, samples: int) -> Batches:
    """Leaves off when the run is asked to stop: when it goes on, it makes up for the evaluation."""
    preemptions = [each for each in cast(Any, trainer).callbacks if isinstance(each, Preemption)]
    everyones = -(-samples // BLOCK) // trainer.world_size
    for count, batch in enumerate(batches, 1):
        yield batch
        for preemption in preemptions if count <= everyones else ():
            preemption.obey(trainer)


@contextmanager
def one_set_of_buffers(model: GAN) -> Iterator[None]:
    """The first process's, whose checkpoints are written: normalisation counts on each process alone."""
    if rank_and_world()[1] == 1:
        yield
        return
    buffers = [*model.generator.buffers(), *model.ema.buffers()]
    own = [buffer.clone() for buffer in buffers]
    for buffer in buffers:
        dist.broadcast(buffer, 0)
    try:
        yield
    finally:
        for buffer, kept in zip(buffers, own, strict=True):
            buffer.copy_(kept)
