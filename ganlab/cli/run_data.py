"""The data of a run, for games that tell their samples what data hold."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import LightningDataModule

# Imported, a class is known by its bare name.
from ganlab import data  # noqa: F401
from ganlab.cli.parser import instantiated
from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.runs.own import CONFIG
from ganlab.system.untrusted import yaml_config


def data_of_run(run: Path) -> StreamData | None:
    """The data that a run's settings name; None: they name none that is a stream."""
    config = yaml_config(run / CONFIG, []).get("data")
    stream = instantiated("data", LightningDataModule, config) if config else None
    if not isinstance(stream, StreamData):
        return None
    stream.prepare_data()
    return stream


def meet_data(game: GAN, run: Path | None, *, back: bool = False) -> None:
    """Let a game that knows nothing to tell meet the data of its run; None: nothing is known of its run.

    Args:
        back: Those for the way back.
    """
    if not run or game.conditions or not game.is_conditional:
        return
    try:
        if stream := data_of_run(run):
            game.meet(stream.turned() if back else stream)
    except Refused as refusal:
        reason = str(refusal).splitlines()[0]
        raise Refused(
            f"Samples are told what the run's data hold, and these are not at hand:\n{reason}"
        ) from refusal
