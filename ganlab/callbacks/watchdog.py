from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from ganlab import bounds
from ganlab.callbacks.evaluation import Evaluation
from ganlab.callbacks.watch.likeness import Reals, look, reals_of
from ganlab.callbacks.watch.samples import SampleHistory
from ganlab.callbacks.watch.scores import ScoreHistory, copies
from ganlab.callbacks.watch.symptoms import TABLE, Symptoms
from ganlab.callbacks.watch.terms import TermHistory
from ganlab.callbacks.watch.verdict import counted, verdict
from ganlab.game.gan import GAN
from ganlab.loggers import dispatch
from ganlab.system.atomic_file import atomic_write
from ganlab.training.trainer import callbacks_of, data_of, is_trial_run

FILE = "verdict.json"
LOOKS, SOONEST = 10, 10  # looks in a run at least, if so many steps lie between two
AGAIN = "From its best on, with other draws or settings: ganlab fit --rollback {} --seed_everything 1"


class Watchdog(Callback):
    """Report when a run goes wrong, while it still can be stopped, and write one verdict on each run.

    It reads logged terms and scores, and draws samples now and then, ten times a run at least: it compares
    their distance from the reals with that at the start, and the number of distinct ones with the reals' own.
    It compares values as networks see them, such as pixels.

    Args:
        every_n_steps: Generator steps between two looks at samples, at most.
        stop_ratio: A distance such as FID is far off at this many times its best and its real floor, if its
            noise does not explain that. Shares, and scores that may be near 0, stop no run.
        stop_after: The run is stopped after so many evaluations in a row that are far off; none: never.
    """

    def __init__(self, every_n_steps: int = 500, stop_ratio: float = 3.0, stop_after: int | None = 5) -> None:
        bounds.at_least(1, self, every_n_steps=every_n_steps, stop_ratio=stop_ratio, stop_after=stop_after)
        self.every_n_steps, self.stop_ratio, self.stop_after = every_n_steps, stop_ratio, stop_after
        self.symptoms, self.samples = Symptoms(), SampleHistory()
        self.scores, self.terms = ScoreHistory(), TermHistory()
        self.finished = False
        self._reals: Reals | None = None

    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("symptoms", "samples", "scores", "terms")}

    def state_dict(self) -> dict[str, Any]:
        return {name: asdict(part) for name, part in self._parts().items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """A checkpoint of before these parts were kept tells nothing."""
        for name, part in self._parts().items():
            for attribute, value in (state_dict[name] if "samples" in state_dict else {}).items():
                known = vars(part).get(attribute)
                # There may be symptoms now that were not looked for then.
                vars(part)[attribute] = known | value if isinstance(known, dict) else value

    def on_train_batch_end(
        self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Scores are read one step late, as are those that a resumed run computes before its first step."""
        game, step = cast(GAN, model), trainer.global_step
        self._judge_scores(trainer, moved=game.has_played("generator", after=self.scores.step))
        if trainer.is_global_zero:
            if game.logs_at(step):
                moved = game.has_played("generator", after=game.last_logged)
                self._judge_terms(game, game.current(trainer.callback_metrics), moved=moved)
            due = step == 1 or step % self._cadence(trainer) == 0
            # Samples of a generator that rests stand still, and are no sign of anything.
            if due and game.has_played("generator", after=self.samples.step):
                self._judge_samples(game, data_of(trainer))
            self._report(trainer)

    def on_train_end(self, trainer: Trainer, model: LightningModule) -> None:
        if trainer.is_global_zero and self.samples.step != trainer.global_step:
            self._look(cast(GAN, model), data_of(trainer))

    def on_fit_end(self, trainer: Trainer, model: LightningModule) -> None:
        moved = cast(GAN, model).has_played("generator", after=self.scores.step)
        self._judge_scores(trainer, moved=moved)
        self.finished = trainer.global_step >= trainer.max_steps > 0
        if trainer.is_global_zero and not is_trial_run(trainer):
            folder = Path(trainer.default_root_dir)
            self.symptoms.raise_alarms(trainer.global_step)
            self._write(folder / FILE)
            collapsed = bool(self.symptoms.present())
            dispatch.log_summary(trainer, verdict=self.verdict(), collapsed=collapsed)
            if collapsed and (folder / "checkpoints" / "best.ckpt").exists():
                print(f"watchdog: {self.verdict()}\n{AGAIN.format(folder)}", file=sys.stderr, flush=True)

    def _cadence(self, trainer: Trainer) -> int:
        longest = max(SOONEST, trainer.max_steps // LOOKS)
        return min(self.every_n_steps, longest) if trainer.max_steps > 0 else self.every_n_steps

    def _judge_scores(self, trainer: Trainer, *, moved: bool = True) -> None:
        """New scores are the same on all processes, which therefore stop together.

        Of a generator that has not `moved` since the last they are no further sign.
        """
        fresh = [e for e in callbacks_of(trainer, Evaluation) if e.scorer and e.scored_at > self.scores.step]
        if not fresh or not moved:
            return
        self.scores.step = max(evaluation.scored_at for evaluation in fresh)
        images = max(evaluation.scored_images for evaluation in fresh)
        found = [self._judge_evaluation(evaluation, images) for evaluation in fresh]
        for symptom in found[0]:
            self.symptoms.count(symptom, any(each[symptom] for each in found), images)
        if self.stop_after and self.symptoms.counts["worse"] >= self.stop_after:
            trainer.should_stop = True

    def _judge_evaluation(self, evaluation: Evaluation, images: int) -> dict[str, bool]:
        """Whether each symptom holds by these scores."""
        assert evaluation.scorer
        scores, worse, uncovered = self.scores, False, False
        scores.now |= evaluation.values
        scores.floor |= evaluation.floor
        scores.comparable |= evaluation.comparable
        scores.parameters |= evaluation.scorer.parameters
        for name, value in evaluation.values.items():
            if value is not None and scores.keep_best(name, value, images):
                worse |= scores.is_far(name, value, ratio=self.stop_ratio, noise=evaluation.noise)
                uncovered |= scores.is_uncovered(name, value)
        copied = copies(evaluation.values, evaluation.floor, evaluation.scorer.samples)
        return {"uncovered": uncovered, "worse": worse, "copied": copied}

    def _judge_terms(self, game: GAN, logged: Any, *, moved: bool = True) -> None:
        """A discriminator always wins in the end against a generator that has not `moved` since the last."""
        before = self.symptoms.counts["exploded"] >= TABLE["exploded"].patience
        exploded = self.terms.explodes(logged, after_explosion=before, besides=self.scores.now)
        self.symptoms.count("exploded", exploded, game.images_seen)
        if moved and self.terms.add_loss(game, logged):
            # One of few reals, or a relativistic one, may tell all apart while the generator still learns.
            won = self.terms.tells_all_apart and not self.samples.learns
            self.symptoms.count("won", won, game.images_seen)
            self.symptoms.count("misled", self.terms.misleads, game.images_seen)

    def _judge_samples(self, game: GAN, data: Any) -> None:
        for symptom, holds in self._look(game, data).items():
            self.symptoms.count(symptom, holds, game.images_seen)

    def _look(self, game: GAN, data: Any) -> dict[str, bool]:
        reals = self._reals = self._reals or reals_of(game, data)
        if reals is None or (seen := look(game, reals)) is None:
            return {}
        symptoms = self.samples.add(seen, reals, game.global_step)
        # A generator that hardly learns comes nearer all the same.
        return symptoms | {"outplayed": self.terms.tells_all_apart and self.samples.lingers}

    def verdict(self) -> str:
        return verdict(self.symptoms, self.samples, self.scores, finished=self.finished)

    def _report(self, trainer: Trainer) -> None:
        """Print new symptoms, and write the verdict if they have changed."""
        before = [alarm["over"] for alarm in self.symptoms.alarms]
        for symptom in self.symptoms.raise_alarms(trainer.global_step):
            words = TABLE[symptom].words
            if TABLE[symptom].counted and self.samples.classes:
                words += f": {counted(self.samples)}"
            print(f"watchdog: step {trainer.global_step:,}: {words}", file=sys.stderr, flush=True)
        changed = before != [alarm["over"] for alarm in self.symptoms.alarms]
        if changed and not is_trial_run(trainer):
            self._write(Path(trainer.default_root_dir) / FILE)

    def _write(self, path: Path) -> None:
        collapsed = bool(self.symptoms.present())
        content = {"verdict": self.verdict(), "collapsed": collapsed, "alarms": self.symptoms.alarms}
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")
