from __future__ import annotations

import json
import sys
from collections.abc import Sized
from math import inf, isfinite
from pathlib import Path
from statistics import median
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from ganlab import bounds
from ganlab.callbacks.evaluation import Evaluation
from ganlab.data.stream import StreamData
from ganlab.game.gan import GAN
from ganlab.loggers import dispatch
from ganlab.seeds import seed_for
from ganlab.system.atomic_file import atomic_write
from ganlab.training.trainer import callbacks_of, data_of, is_trial_run

FILE = "verdict.json"
SAMPLES = 64
ALIKE = 0.1  # of the reals' mean distance: below it samples are nearly one image
LOST = 0.35  # of the greatest diversity so far
WON = 0.02  # of the loss of a discriminator that cannot tell fakes from reals
FAR = 0.2  # energy distance from the reals, in their mean distances: a trained game has 0, noise 1 to 2
EXPLODED, LARGE = 100.0, 1000.0  # times its own median; a term below LARGE has not exploded
COVERED = ("modes", "coverage")  # names of scores that measure how much is covered
NOT_COVERED = ("class_distance",)  # and of those that measure the share that is not
REMEMBERED = 200  # values of a term
RECENT, MOSTLY = 20, 0.8  # values of the discriminator's loss, and the share of them that it has won
# How many checks in a row, or for scores evaluations, make a symptom more than an accident.
PATIENCE = {"alike": 3, "lost": 3, "won": 1, "exploded": 3, "uncovered": 2, "worse": 2}
WORDS = {
    "alike": "the generator makes nearly one image",
    "lost": "samples differ less and less",
    "won": "the discriminator has won: its loss is near nothing, and samples are far from reals",
    "exploded": "a term has exploded",
    "uncovered": "fewer and fewer modes or classes are covered",
    "worse": "the score is far above its best",
}
AGAIN = "From its best on, with other draws or settings: ganlab fit --rollback {} --seed_everything 1"


class Watchdog(Callback):
    """Report when a run goes wrong, while it still can be stopped, and write one verdict on each run.

    It reads logged terms and scores and draws a few samples now and then, whose distances from one another
    and from reals are compared with the distances among reals.

    Args:
        every_n_steps: Generator steps between two checks of samples.
        stop_ratio: A score is far off at this many times its best, or its best divided by it for shares.
        stop_after: The run is stopped after so many evaluations in a row that are far off; none: never.
    """

    def __init__(self, every_n_steps: int = 500, stop_ratio: float = 3.0, stop_after: int | None = 5) -> None:
        bounds.at_least(1, self, every_n_steps=every_n_steps, stop_ratio=stop_ratio, stop_after=stop_after)
        self.every_n_steps, self.stop_ratio, self.stop_after = every_n_steps, stop_ratio, stop_after
        self.counts = dict.fromkeys(PATIENCE, 0)
        self.since = dict.fromkeys(PATIENCE, 0)
        self.terms: dict[str, list[float]] = {}
        self.bests: dict[str, tuple[float, int]] = {}  # and after how many images
        self.now: dict[str, float] = {}
        self.wins: list[bool] = []
        self.diversity, self.apart = 0.0, inf
        self._reals: Tensor | None = None
        self.alarms: list[dict[str, Any]] = []
        self.scored_at = -1

    def state_dict(self) -> dict[str, Any]:
        bests = {name: list(best) for name, best in self.bests.items()}
        return {name: getattr(self, name) for name in STATE} | {"bests": bests}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        bests = {name: (best[0], best[1]) for name, best in state_dict["bests"].items()}
        vars(self).update({**state_dict, "bests": bests})

    def on_train_batch_end(
        self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Scores are read one step late, as are those that a resumed run computes before its first step."""
        game, step = cast(GAN, model), trainer.global_step
        fresh = self._judge_scores(trainer, game)
        if trainer.is_global_zero:
            if game.logs_at(step):
                self._judge_terms(game, trainer.callback_metrics)
            if fresh or step % self.every_n_steps == 0:
                self._judge_samples(game, data_of(trainer))
            self._report(trainer)

    def on_fit_end(self, trainer: Trainer, model: LightningModule) -> None:
        self._judge_scores(trainer, cast(GAN, model))
        if trainer.is_global_zero and not is_trial_run(trainer):
            folder = Path(trainer.default_root_dir)
            self._write(folder / FILE)
            dispatch.log_summary(trainer, verdict=self.verdict())
            if self.symptoms() and (folder / "checkpoints" / "best.ckpt").exists():
                print(f"watchdog: {self.verdict()}\n{AGAIN.format(folder)}", file=sys.stderr, flush=True)

    # Symptoms

    def _judge_scores(self, trainer: Trainer, game: GAN) -> bool:
        """Whether there are new scores; they are the same on all processes, which therefore stop together."""
        worse = uncovered = fresh = False
        for evaluation in callbacks_of(trainer, Evaluation):
            if not evaluation.scorer or evaluation.scored_at <= self.scored_at:
                continue
            self.scored_at, fresh = evaluation.scored_at, True
            images = self.scored_at * game.images_per_step
            for name, better in evaluation.scorer.directions.items():
                if (value := evaluation.values.get(name)) is not None:
                    far, few = self._compare(name, value, better, images)
                    worse, uncovered = worse or far, uncovered or few
        if fresh:
            self._count("worse", worse, self.scored_at * game.images_per_step)
            self._count("uncovered", uncovered, self.scored_at * game.images_per_step)
            if self.stop_after and self.counts["worse"] >= self.stop_after:
                trainer.should_stop = True
        return fresh

    def _compare(self, name: str, value: float, better: str, images: int) -> tuple[bool, bool]:
        """Whether a score is far off its best, and whether it shows that far fewer modes are covered."""
        self.now[name] = value
        best = self.bests.get(name, (value, images))[0]
        if name not in self.bests or (value < best if better == "min" else value > best):
            self.bests[name] = value, images
        far = value > self.stop_ratio * best if better == "min" else value < best / self.stop_ratio
        covered, most = (1 - value, 1 - best) if name.startswith(NOT_COVERED) else (value, best)
        return far and best > 0, name.startswith((*COVERED, *NOT_COVERED)) and covered < most / 2

    def _judge_terms(self, game: GAN, logged: Any) -> None:
        exploded, before = False, self.counts["exploded"] >= PATIENCE["exploded"]
        for name, value in ((name, float(value)) for name, value in logged.items()):
            if name in ("images", *self.now) or not isfinite(value):
                continue
            past = self.terms.setdefault(name, [])
            # After an explosion its own past is no measure any more: only LARGE counts.
            usual = 0.0 if before or not past else median(map(abs, past))
            exploded |= abs(value) > max(LARGE, EXPLODED * usual)
            past.append(value)
            del past[:-REMEMBERED]
        self._count("exploded", exploded, game.images_seen)
        loss, chance = logged.get("discriminator"), _chance(game)
        if loss is not None and chance > 0:
            self.wins = [*self.wins[1 - RECENT :], float(loss) < WON * chance]
            # One of few reals, or a relativistic one, may tell all apart while the generator still learns.
            won = sum(self.wins) >= MOSTLY * RECENT and self.apart > FAR
            self._count("won", won, game.images_seen)

    def _judge_samples(self, game: GAN, data: Any) -> None:
        if self._reals is None:
            self._reals = _reals(game, data)
        if not (usual := _mean_distance(self._reals)):
            return
        fakes = game.sample(SAMPLES, seed=seed_for("watchdog")).detach().flatten(1).float()
        reals, distance = self._reals.to(fakes.device), _mean_distance(fakes)
        self.apart = (2 * float(torch.cdist(fakes, reals).mean()) - distance - usual) / usual
        diversity = distance / usual
        self._count("alike", diversity < ALIKE, game.images_seen)
        self._count("lost", diversity < LOST * self.diversity, game.images_seen)
        self.diversity = max(self.diversity, min(diversity, 1.0))

    def _count(self, symptom: str, holds: bool, images: int) -> None:
        self.counts[symptom] = self.counts[symptom] + 1 if holds else 0
        if self.counts[symptom] == 1:
            self.since[symptom] = images

    # Reports

    def symptoms(self) -> list[str]:
        return [name for name, patience in PATIENCE.items() if self.counts[name] >= patience]

    def verdict(self) -> str:
        if not (symptoms := self.symptoms()):
            past = [f"{WORDS[alarm['symptom']]}, at {_short(alarm['images'])}" for alarm in self.alarms]
            return f"healthy in the end, after {len(past)} alarms ({past[-1]})" if past else "healthy"
        first = min(symptoms, key=self.since.__getitem__)
        name = next(iter(self.bests), None)
        score = ""
        if name is not None:
            best, at = self.bests[name]
            score = f"; best {name} {best:.3g} at {_short(at)}, now {self.now[name]:.3g}"
        return f"collapsed at {_short(self.since[first])} images ({WORDS[first]}){score}"

    def _report(self, trainer: Trainer) -> None:
        """Print new symptoms, and write the verdict if they have changed."""
        before, now = {alarm["symptom"] for alarm in self.alarms if not alarm["over"]}, set(self.symptoms())
        for symptom in [name for name in PATIENCE if name in now - before]:
            at = {"step": trainer.global_step, "images": self.since[symptom]}
            self.alarms.append({"symptom": symptom, **at, "over": False})
            print(f"watchdog: step {trainer.global_step:,}: {WORDS[symptom]}", file=sys.stderr, flush=True)
        for alarm in self.alarms:
            alarm["over"] |= alarm["symptom"] not in now
        if now != before and not is_trial_run(trainer):
            self._write(Path(trainer.default_root_dir) / FILE)

    def _write(self, path: Path) -> None:
        content = {"verdict": self.verdict(), "collapsed": bool(self.symptoms()), "alarms": self.alarms}
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")


STATE = ("counts", "since", "terms", "wins", "now", "apart", "diversity", "alarms", "scored_at")


def _chance(game: GAN) -> float:
    """The loss of a discriminator that cannot tell fakes from reals; of a critic it is 0."""
    if not getattr(game, "loss", None):
        return 0.0
    undecided = torch.zeros(2)
    return float(game.loss.discriminator(undecided, undecided))


def _reals(game: GAN, data: Any) -> Tensor:
    """Some training samples, evenly spaced in their set and flattened; empty if they are no single tensor."""
    empty = torch.zeros(0, 1)
    if not isinstance(data, StreamData):
        return empty
    train = data.splits.train
    indices = torch.arange(SAMPLES)
    if isinstance(train, Sized):
        indices = (indices * len(train) // SAMPLES).unique()
    images, *others = train[indices]
    reals = game.real((data.normalise(images), *others))
    return reals.detach().flatten(1).float() if isinstance(reals, Tensor) else empty


def _mean_distance(images: Tensor) -> float:
    return float(torch.pdist(images).mean()) if len(images) > 1 else 0.0


def _short(images: int) -> str:
    """1,200,000: 1.2 M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if images >= size:
            return f"{images / size:.3g} {unit}"
    return str(images)
