"""Which counts go on while a side rests: the table in ganlab/game/README.md, played."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

import ganlab.game
from ganlab.game.gan import GAN
from ganlab.game.stages import Stage
from ganlab.testing import new, play
from ganlab.variants import HingeGAN

README = Path(ganlab.game.__file__).with_name("README.md")
STEPS, EVERY = 400, 50
FIRST = Stage(100)
GENERATOR_RESTS, CRITIC_RESTS = Stage(100, "discriminator"), Stage(100, "generator", adversarial=True)
PLAYED = {
    "nobody": [],
    "the generator, 100 steps": [FIRST, GENERATOR_RESTS],
    "the discriminator, 100 steps": [FIRST, CRITIC_RESTS],
    "both in turn, 100 steps each": [FIRST, GENERATOR_RESTS, CRITIC_RESTS],
}
COLUMNS = (
    "who rests",
    "ends at step",
    "images seen",
    "steps of D's optimizer and schedule",
    "of G's",
    "updates of the average",
    "lines of the log with D's terms",
    "with G's",
)


def counted(stages: list[Stage], folder: Path) -> list[Any]:
    """A row of the table, from a run with log lines each 50 steps."""

    def falling(optimizer: Any) -> Any:
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.999**step)

    schedules = {"generator_scheduler": falling, "discriminator_scheduler": falling}
    game: GAN = new(HingeGAN, stages=stages, **schedules)
    averaged = []
    original = game.ema.update
    game.ema.update = lambda *arguments: averaged.append(original(*arguments))  # type: ignore[method-assign]
    logger = CSVLogger(folder, name="", version="log")
    trainer = play(game, steps=STEPS, logger=logger, log_every_n_steps=EVERY)
    header, *lines = (folder / "log" / "metrics.csv").read_text().splitlines()
    rows = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    assert len(rows) == STEPS // EVERY
    steps = [int(next(iter(optimizer.state.values()))["step"]) for optimizer in trainer.optimizers]
    assert [each.scheduler.last_epoch for each in trainer.lr_scheduler_configs] == steps
    assert float(trainer.callback_metrics["images"]) == game.images_seen
    logged = [sum(bool(row[name]) for row in rows) for name in ("discriminator", "generator")]
    return [trainer.global_step, game.images_seen, *steps, len(averaged), *logged]


def table_row(*cells: Any) -> str:
    return f"| {' | '.join(f'{cell:,}' if isinstance(cell, int) else cell for cell in cells)} |"


def test_the_table_names_its_columns() -> None:
    assert table_row(*COLUMNS) in README.read_text()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name.startswith("the ") else ()) for name in PLAYED]
)
def test_the_table_says_what_a_run_counts(name: str, tmp_path: Path) -> None:
    assert table_row(name, *counted(PLAYED[name], tmp_path)) in README.read_text()
