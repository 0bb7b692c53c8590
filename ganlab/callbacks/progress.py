import sys
import time
from typing import Any, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ganlab import bounds
from ganlab.game.gan import GAN

SHOWN = ("discriminator", "generator", "real_logit", "fake_logit")


class Progress(ProgressBar):
    """Losses, images per second and time left: a bar in a terminal, a line now and then in a log file.

    Args:
        refresh: Seconds between two updates of the bar.
        log_every: Seconds between two lines where there is no terminal.
    """

    def __init__(self, refresh: float = 0.5, log_every: float = 30.0) -> None:
        super().__init__()
        bounds.at_least(0, self, refresh=refresh, log_every=log_every)
        self.refresh, self.log_every = refresh, log_every
        self._bar: Bar | None = None
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: Trainer, model: LightningModule) -> None:
        self._shown_at = time.monotonic()
        first = self._last_step = trainer.global_step
        self._rate = 0.0
        if not self._enabled or not trainer.is_global_zero:
            return
        console = Console(file=sys.stderr)
        if console.is_terminal:
            columns = (
                TextColumn("step {task.completed:,}/{task.total:,}"),
                BarColumn(20),
                TextColumn("{task.fields[state]}"),
            )
            self._bar = Bar(
                *columns,
                TimeRemainingColumn(compact=True),
                TextColumn("left"),
                console=console,
                auto_refresh=False,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=trainer.max_steps, completed=first, state="")

    def on_train_batch_end(
        self, trainer: Trainer, model: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        waited = time.monotonic() - self._shown_at
        if waited >= (self.refresh if self._bar else self.log_every):
            self._show(trainer, model, waited)

    def on_train_end(self, trainer: Trainer, model: LightningModule) -> None:
        if trainer.global_step > self._last_step:
            self._show(trainer, model, time.monotonic() - self._shown_at)
        if self._bar:
            self._bar.stop()
            self._bar = None

    def on_exception(self, trainer: Trainer, model: LightningModule, exception: BaseException) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _show(self, trainer: Trainer, model: LightningModule, waited: float) -> None:
        step, images = trainer.global_step, int(model.images_per_step)  # type: ignore[arg-type]
        rate = (step - self._last_step) * images / max(waited, 1e-9)
        self._rate = rate if not self._rate else 0.7 * self._rate + 0.3 * rate
        self._shown_at, self._last_step = time.monotonic(), step
        if not self._enabled or not trainer.is_global_zero:
            return
        logged = cast(GAN, model).current(trainer.callback_metrics)
        terms = "  ".join(f"{k} {float(v):.3g}" for k in SHOWN if (v := logged.get(k)) is not None)
        state = f"{terms}  {self._rate:,.0f} images/s"
        if self._bar:
            self._bar.update(self._task, completed=step, state=state)
            self._bar.refresh()
        else:
            left = (trainer.max_steps - step) * images / max(self._rate, 1e-9)
            print(
                f"step {step:,}/{trainer.max_steps:,}  {state}  {_clock(left)} left",
                file=sys.stderr,
                flush=True,
            )


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
