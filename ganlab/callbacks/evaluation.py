from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from math import nan
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from ganlab import bounds
from ganlab.callbacks import nearest_reals
from ganlab.callbacks.preemption import interruptible
from ganlab.callbacks.score_records import record, save_best
from ganlab.callbacks.watch.score_noise import fid_noise
from ganlab.data.stream import Split, StreamData
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.metrics.cautions import cautions
from ganlab.metrics.copied import refuse_unfit
from ganlab.metrics.extractors.extractor import Extractor, NoFeatures
from ganlab.metrics.names import measured
from ganlab.metrics.observed import Observed
from ganlab.metrics.reference import (
    against,
    beside_floor,
    contract_of,
    default_scores,
    numbers_of,
    part_of,
    prepare_reference,
)
from ganlab.metrics.score import Score
from ganlab.metrics.scorer import Batches, Reals, Scorer, described, needs_extractor, refuse_unknown
from ganlab.metrics.statistics import Gaussian
from ganlab.metrics.which_reals import refuse_unfit_extractor, refuse_without_sources
from ganlab.runs.status import SCORES
from ganlab.sampling.plan import (
    compared_split,
    fake_batches,
    fake_classes,
    first_process_buffers,
    given_choices,
    refuse_without_reals,
    scored_samples,
)
from ganlab.system.processes import broadcast, on_rank_zero
from ganlab.system.row_files import Records
from ganlab.training.trainer import is_trial_run

SAMPLES = 10_000  # where no number is asked for


class Evaluation(Callback):
    """Score samples of the generator's average every so many generator steps and at the end.

    A sample is a function of the evaluation's seed and its own number alone, so that neither the number of
    processes nor the run's seed changes what is scored. Training is left as it was, to the last bit.
    Of pictures, the training images nearest to some samples are drawn, which takes up to two seconds.

    Args:
        extractor: Turns images into features: Inception, DINOv2, CLIP, Classifier, Pixels, Module, Points,
            SoundClassifier, MovingPixels;
            none: no evaluation, unless no score that is named needs features.
        scores: fid, sfid, cmmd, is, kid, precision_recall, density_coverage, fid_infinity, classes, copied,
            modes, style; of games that are told classes class_fid, class_agreement, class_variance, and items
            psnr, ssim, l1 (PSNR, SSIM, L1 with arguments), content, fid_source, kid_source, l1_cycle; of text
            ngram_js, self_bleu, distinct, valid, of blanks blank_accuracy; of clips motion_error; class paths
            (VGGStyle, VGGContent, SelfBLEU, FrameFID, Consistency, your own of ganlab.metrics.Score); none:
            fid, and of data that hold out 100 images copied.
        samples: How many samples are scored; where there are fewer held-out images, as many as these also;
            none: 10,000, or as many as there are items that samples are told of.
        every_n_steps: Generator steps between two evaluations; none: at the end only.
        split: The real images that samples are compared with; none: train, or the split of the items that
            samples are told of.
        seed: The samples follow from it alone, and never from the run's.
        raw: The generator's own weights instead of their average.
        choices: What samples are drawn with, of the choices that the game knows, such as truncation.
    """

    def __init__(
        self,
        extractor: Extractor | None = None,
        scores: Sequence[Score | str] | None = None,
        samples: int | None = None,
        every_n_steps: int | None = None,
        split: Split | None = None,
        seed: int = 0,
        raw: bool = False,
        choices: dict[str, Any] | None = None,
    ) -> None:
        bounds.at_least(1, self, every_n_steps=every_n_steps)
        bounds.seed(self, seed=seed)
        self.by_default = scores is None
        chosen = tuple(scores or ("fid",))
        refuse_unknown(chosen)
        self.scorer: Scorer | None = None
        if extractor or not needs_extractor(chosen):
            self.scorer = Scorer(extractor or NoFeatures(), chosen, SAMPLES if samples is None else samples)
        self._asked_samples, self._asked_split = samples, split
        self.split: Split = split or "train"
        self.every_n_steps, self.seed, self.raw = every_n_steps, seed, raw
        self.choices = given_choices(choices)
        self.best: float | None = None
        self._reals: Reals | None = None
        self._floor: dict[str, Any] = {}
        self.comparable: dict[str, float | None] = {}  # scores of as many samples as the floor
        self._moments: Gaussian | None = None
        self.scored_at, self.scored_images = -1, 0
        self.values: dict[str, float | None] = {}
        self._finished, self._since = 0.0, None  # type: float, float | None

    def setup(self, trainer: Trainer, model: LightningModule, stage: str) -> None:
        if not self.scorer:
            return
        if not isinstance(data := _data(trainer), StreamData):
            raise Refused(
                "An evaluation needs data of ganlab (StreamData), whose fingerprint its scores carry."
            )
        if isinstance(model, GAN):
            self._meet(model, data)
        if self.by_default:
            self.scorer = replace(self.scorer, chosen=default_scores(data))
        elif self.scorer.needs("training"):
            refuse_unfit(data)

    def _meet(self, model: GAN, data: StreamData) -> None:
        """Choose the reals, and how many samples, by what samples are told."""
        assert self.scorer
        model.meet(data)  # Lightning sets the game up only after its callbacks.
        refuse_without_reals(self.scorer, model)
        fake_classes(self.scorer.of(2), model, self.seed)
        self.split = compared_split(model.conditions, self._asked_split)
        samples = scored_samples(model, self._asked_samples, SAMPLES)
        self.scorer = replace(self.scorer, samples=samples)

    def on_fit_start(self, trainer: Trainer, model: LightningModule) -> None:
        """Show extractor and scores two samples now, so that what they refuse is refused before step 0."""
        if self.scorer and isinstance(model, GAN):
            self.scorer.extractor.to(model.device)
            self.scorer.look(self._batches(model, 2))
            refuse_unfit_extractor(self.scorer, _data(trainer), self.split)
            refuse_without_sources(self.scorer, _data(trainer), self.split)
            for score in self.scorer.rows.values():
                score.refuse_unfit(_data(trainer))

    def _batches(self, model: GAN, samples: int) -> Batches:
        assert self.scorer
        how = {"raw": self.raw, "scorer": self.scorer, **self.choices}
        return fake_batches(model, samples, self.seed, **how)

    def _find_scored(self, trainer: Trainer) -> None:
        """Find the last step that a resumed run scored, even after its checkpoint, to skip it."""
        if trainer.ckpt_path and self.scorer:
            rows = Records(Path(trainer.default_root_dir) / SCORES).read() if trainer.is_global_zero else []
            # `ganlab evaluate` adds rows, too, with a checkpoint, and under any protocol.
            scored = [(row["step"], row.get("images", 0)) for row in rows if "checkpoint" not in row]
            latest = max([(self.scored_at, self.scored_images), *scored])
            self.scored_at, self.scored_images = broadcast(latest)

    def on_train_start(self, trainer: Trainer, model: LightningModule) -> None:
        """Evaluate a resumed run that was stopped between a step and its evaluation."""
        self._find_scored(trainer)
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
        """Evaluate where training was ended before its last step."""
        if trainer.global_step != self.scored_at:
            self._evaluate(trainer, model, logs=False)

    def on_fit_end(self, trainer: Trainer, model: LightningModule) -> None:
        """Evaluate a resumed run that was stopped in its last evaluation: it has no step left to do so."""
        self._find_scored(trainer)
        if trainer.global_step >= trainer.max_steps > 0 and trainer.global_step != self.scored_at:
            model.to(trainer.strategy.root_device)
            self._evaluate(trainer, model, logs=False)

    def on_validation_epoch_end(self, trainer: Trainer, model: LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._evaluate(trainer, model)

    @property
    def floor(self) -> dict[str, Any]:
        """The scores of held-out reals, and how many they are; empty before the first evaluation."""
        return self._floor

    def noise(self, name: str) -> float | None:
        """The standard error of a score of the last evaluation here; None if it is not known.

        All processes must ask.
        """
        row, reals, moments = measured(name), self._reals, self._moments
        if row is None or row.score != "fid" or reals is None or moments is None:
            return None
        return on_rank_zero(lambda: fid_noise(reals, moments))

    @property
    def seconds(self) -> float:
        """Seconds spent on scoring, up to now."""
        return self._finished + (time.monotonic() - self._since if self._since else 0.0)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._finished, self._since = self.seconds, None

    def state_dict(self) -> dict[str, Any]:
        names = ("best", "scored_at", "scored_images", "values", "comparable")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.scored_at = state_dict["best"], state_dict["scored_at"]
        self.values = state_dict["values"]
        self.comparable = state_dict.get("comparable", {})
        self.scored_images = state_dict.get("scored_images", 0)

    def _evaluate(self, trainer: Trainer, model: LightningModule, *, logs: bool = True) -> None:
        if not self.scorer or is_trial_run(trainer) or not isinstance(model, GAN):
            return
        with self._timed():
            self._score(trainer, model, logs=logs)

    def _score(self, trainer: Trainer, model: GAN, *, logs: bool) -> None:
        assert self.scorer
        data = _data(trainer)
        self.scorer.extractor.to(model.device)
        reals = self._reals or self._prepare(trainer, data)
        scorer, floor = self.scorer, self._floor
        self.scored_at, self.scored_images = trainer.global_step, model.images_seen
        first, fakes = self._observe(trainer, model)
        self._moments = fakes.moments
        (values, reasons), beside = on_rank_zero(
            lambda: (scorer.score(reals, fakes), beside_floor(scorer, reals, fakes, floor))
        )
        self.values, self.comparable = values, numbers_of(beside) or values
        validating = trainer.state.fn == "validate"  # Lightning prints a table of the values then.
        if logs:
            # For callbacks that monitor a score; loggers get it below, however seldom they log.
            monitored = {name: nan if value is None else value for name, value in values.items()}
            model.log_dict(monitored, logger=validating)
        how: dict[str, Any] = {"fakes": "raw" if self.raw else "ema", "choices": self.choices}
        told = model.condition_rule
        contract = contract_of(scorer, data, self.split, seed=self.seed, conditions=told, **how)
        if trainer.is_global_zero:
            scores = "" if validating else f"step {trainer.global_step:,}  {described(values)}  "
            print(f"{scores}({contract})")
            if beside:
                print(f"  of {beside['samples']:,} samples, as the real floor:  {against(beside, floor)}")
            for caution in cautions(scorer, reals, values, floor):
                print(f"step {trainer.global_step:,}  {caution}", file=sys.stderr)
        if not validating:
            row = {"scores": values, "reasons": reasons, "floor": floor, "beside_floor": beside}
            record(trainer, model, row | {"contract": contract.plain()})
            self._keep_best(trainer, values)
            if trainer.is_global_zero:
                name = f"step-{trainer.global_step:09d}.png"
                nearest_reals.draw(first, data, Path(trainer.default_root_dir) / nearest_reals.FOLDER / name)

    def _prepare(self, trainer: Trainer, data: StreamData) -> Reals:
        """The reals' statistics; the real floor, the score of reals never trained on, is kept."""
        assert self.scorer
        self._reals, self._floor = prepare_reference(self.scorer, data, self.split)
        self.scorer = replace(self.scorer, reals=self._reals.moments.count)
        # One of fewer samples is printed with the scores of as many.
        if trainer.is_global_zero and self._floor and part_of(self._floor, self.scorer.samples) is None:
            count = self._floor["samples"]
            others = "held-out" if self.split == "train" else "training"
            print(f"real floor ({count:,} {others} images)  {described(numbers_of(self._floor))}")
        return self._reals

    def _observe(self, trainer: Trainer, model: GAN) -> tuple[Tensor, Observed]:
        """The first samples, and what is observed of all."""
        assert self.scorer
        samples = self.scorer.samples
        with first_process_buffers(model):
            blocks = iter(self._batches(model, samples))
            first = next(blocks)
            batches = interruptible(trainer, chain([first], blocks), samples)
            seen = self.scorer.observe(batches, samples, part=(part := part_of(self._floor, samples)))
        return first[1], seen.of_classes(fake_classes(self.scorer, model, self.seed), part)

    def _keep_best(self, trainer: Trainer, values: dict[str, float | None]) -> None:
        """Save a checkpoint as best.ckpt, if the first score is the run's best so far."""
        assert self.scorer
        name, better = next(iter(self.scorer.directions.items()))
        if (value := values[name]) is None:
            return
        if self.best is not None and (value >= self.best if better == "min" else value <= self.best):
            return
        self.best = value
        save_best(trainer)


def _data(trainer: Trainer) -> Any:
    return trainer.datamodule  # type: ignore[attr-defined]
