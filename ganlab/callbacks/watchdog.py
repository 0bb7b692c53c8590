from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from ganlab.callbacks.evaluation import Evaluation
from ganlab.draws import seed_for
from ganlab.durable import whole
from ganlab.gan import GAN

FILE = "verdict.json"
SAMPLES = 64
ALIKE = 0.1  # of the reals' mean distance: nearly one image
LOST = 0.35  # of the greatest diversity so far
WON = 0.02  # of the discriminator's loss where it knows nothing
EXPLODED, LARGE = 100.0, 1000.0  # times its own median; below the latter no term has exploded
COVERING = ("modes", "coverage")  # scores that count what is not lost yet
REMEMBERED = 200  # values of a term
# Looks, or for scores evaluations, after which a symptom is no accident.
PATIENCE = {"alike": 3, "lost": 3, "won": 20, "exploded": 3, "uncovered": 2, "worse": 2}
WORDS = {
    "alike": "the generator makes nearly one image",
    "lost": "samples differ less and less",
    "won": "the discriminator has won: its loss is near nothing",
    "exploded": "a term has exploded",
    "uncovered": "fewer and fewer modes are covered",
    "worse": "the score is far above its best",
}


class Watchdog(Callback):
    """Say when a game goes wrong, while it still can be stopped, and give each run one verdict.

    It looks at what is there anyway: logged terms, scores, and every so often a few samples, whose mean
    distance is held against that of reals.

    Args:
        every_n_steps: Generator steps between two looks at samples.
        stop_ratio: A score this many times its best, or for shares its best divided by it, is far off.
        stop_after: Evaluations in a row that are far off, after which the run is stopped; none: never.
    """

    def __init__(self, every_n_steps: int = 500, stop_ratio: float = 3.0, stop_after: int | None = 5) -> None:
        self.every_n_steps, self.stop_ratio, self.stop_after = every_n_steps, stop_ratio, stop_after
        self.counts = dict.fromkeys(PATIENCE, 0)
        self.since = dict.fromkeys(PATIENCE, 0)
        self.terms: dict[str, list[float]] = {}
        self.bests: dict[str, tuple[float, int]] = {}  # with the images they were seen at
        self.now: dict[str, float] = {}
        self.distance = self.diversity = 0.0
        self.alarms: list[dict[str, Any]] = []
        self.scored_at = -1

    def state_dict(self) -> dict[str, Any]:
        kept = {name: value for name, value in vars(self).items() if name not in SETTINGS}
        return {**kept, "bests": {name: list(best) for name, best in self.bests.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        bests = {name: (best[0], best[1]) for name, best in state_dict["bests"].items()}
        vars(self).update({**state_dict, "bests": bests})

    def on_train_batch_end(
        self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        game, step = cast(GAN, model), trainer.global_step
        scores = self._new_scores(trainer)
        if scores:
            self._judge_scores(scores, game.images_seen)
            if self.stop_after and self.counts["worse"] >= self.stop_after:
                trainer.should_stop = True
        if not trainer.is_global_zero:
            return
        if step % cast(Any, trainer).log_every_n_steps == 0:
            self._judge_terms(game, trainer.callback_metrics)
        if scores or step % self.every_n_steps == 0:
            self._judge_samples(game, game.real(batch))
        self._tell(trainer, game)

    def on_train_end(self, trainer: Trainer, model: LightningModule) -> None:
        if trainer.is_global_zero and not cast(Any, trainer).fast_dev_run:
            self._write(Path(trainer.default_root_dir) / FILE)

    # What it sees

    def _new_scores(self, trainer: Trainer) -> dict[str, tuple[float, str]]:
        """With where better lies; the same on all processes."""
        found: dict[str, tuple[float, str]] = {}
        for each in cast(Any, trainer).callbacks:
            if isinstance(each, Evaluation) and each.panel and each.scored_at > self.scored_at:
                values = {name: each.values.get(name) for name in each.panel.directions}
                found |= {n: (v, each.panel.directions[n]) for n, v in values.items() if v is not None}
                self.scored_at = each.scored_at
        return found

    def _judge_scores(self, scores: dict[str, tuple[float, str]], images: int) -> None:
        worse = uncovered = False
        for name, (value, better) in scores.items():
            self.now[name] = value
            best = self.bests.get(name, (value, images))[0]
            off = value > self.stop_ratio * best if better == "min" else value < best / self.stop_ratio
            worse |= off and best > 0
            uncovered |= name.startswith(COVERING) and value < best / 2
            if name not in self.bests or (value < best if better == "min" else value > best):
                self.bests[name] = value, images
        self._see("worse", worse, images)
        self._see("uncovered", uncovered, images)

    def _judge_terms(self, game: GAN, logged: Any) -> None:
        exploded = False
        for name, value in ((name, float(value)) for name, value in logged.items()):
            if name in ("images", *self.now) or not isfinite(value):
                continue
            seen = self.terms.setdefault(name, [])
            exploded |= abs(value) > max(LARGE, EXPLODED * median(map(abs, seen)) if seen else LARGE)
            seen.append(value)
            del seen[:-REMEMBERED]
        self._see("exploded", exploded, game.images_seen)
        loss, chance = logged.get("discriminator"), _chance(game)
        won = loss is not None and chance > 0 and float(loss) < WON * chance
        self._see("won", won, game.images_seen)

    def _judge_samples(self, game: GAN, reals: Any) -> None:
        if not isinstance(reals, Tensor) or len(reals) < 2:
            return
        if not self.distance:
            self.distance = _mean_distance(reals[:SAMPLES])
        samples = game.sample(SAMPLES, seed=seed_for("watchdog"))
        diversity = _mean_distance(samples) / self.distance if self.distance else 1.0
        self._see("alike", diversity < ALIKE, game.images_seen)
        self._see("lost", diversity < LOST * self.diversity, game.images_seen)
        self.diversity = max(self.diversity, min(diversity, 1.0))

    def _see(self, symptom: str, holds: bool, images: int) -> None:
        self.counts[symptom] = self.counts[symptom] + 1 if holds else 0
        if self.counts[symptom] == 1:
            self.since[symptom] = images

    # What it says

    def symptoms(self) -> list[str]:
        return [name for name, patience in PATIENCE.items() if self.counts[name] >= patience]

    def verdict(self) -> str:
        if not (held := self.symptoms()):
            return "healthy"
        first = min(held, key=self.since.__getitem__)
        name = next(iter(self.bests), None)
        score = ""
        if name is not None:
            best, at = self.bests[name]
            score = f"; best {name} {best:.3g} at {_short(at)}, now {self.now[name]:.3g}"
        return f"collapsed at {_short(self.since[first])} images ({WORDS[first]}){score}"

    def _tell(self, trainer: Trainer, game: GAN) -> None:
        before, held = {alarm["symptom"] for alarm in self.alarms if not alarm["over"]}, set(self.symptoms())
        for symptom in [name for name in PATIENCE if name in held - before]:
            at = {"step": trainer.global_step, "images": self.since[symptom]}
            self.alarms.append({"symptom": symptom, **at, "over": False})
            print(f"watchdog: step {trainer.global_step:,}: {WORDS[symptom]}", file=sys.stderr, flush=True)
        for alarm in self.alarms:
            alarm["over"] |= alarm["symptom"] not in held
        if held != before and not cast(Any, trainer).fast_dev_run:
            self._write(Path(trainer.default_root_dir) / FILE)

    def _write(self, path: Path) -> None:
        found = {"verdict": self.verdict(), "collapsed": bool(self.symptoms()), "alarms": self.alarms}
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as made:
            made.write_text(json.dumps(found, indent=2) + "\n")


SETTINGS = ("every_n_steps", "stop_ratio", "stop_after")


def _chance(game: GAN) -> float:
    """The discriminator's loss where it tells nothing apart; for a critic, 0."""
    if not getattr(game, "loss", None):
        return 0.0
    nothing = torch.zeros(2)
    return float(game.loss.discriminator(nothing, nothing))


def _mean_distance(images: Tensor) -> float:
    return float(torch.pdist(images.detach().flatten(1).float()).mean())


def _short(images: int) -> str:
    """1,200,000: 1.2 M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if images >= size:
            return f"{images / size:.3g} {unit}"
    return str(images)


def verdict_of(folder: Path) -> Iterator[dict[str, Any]]:
    """What a run's watchdog said, if it did."""
    try:
        yield json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return
