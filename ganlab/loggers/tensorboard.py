"""TensorBoard with one line of configuration: in the run's folder, and without rows of undone steps."""

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from PIL.Image import Image

from ganlab.loggers.looks import FOLDER, by_key
from ganlab.media.shown import KINDS, Clip, Film, Lines, Shown


class TensorBoard(TensorBoardLogger):
    """Its x axis is generator steps; steps that a resumed run repeats replace those logged before.

    Args:
        save_dir: The folder in which TensorBoard's folder is created; None: the run's.
        purge_step: What was logged from this step on is hidden.
    """

    def __init__(
        self, save_dir: str | None = None, version: str = "tensorboard", purge_step: int | None = None
    ):
        super().__init__(save_dir or ".", "", version, default_hp_metric=False, purge_step=purge_step)


def log_samples(
    logger: TensorBoardLogger, picture: Image | None, files: Sequence[Path], step: int, images: float
) -> None:
    """Log a look: its sheet, and the files of single samples by the kind of each."""
    writer: Any = logger.experiment
    if picture:
        form = "HWC" if picture.mode == "RGB" else "HW"
        writer.add_image(FOLDER, np.asarray(picture), step, dataformats=form)
    for key, file in by_key(files).items():
        shown = KINDS[file.suffix].read(file.read_bytes())
        OF_KINDS[type(shown)](writer, key, shown, step)
    # A resumed run draws only those that are missing among its files.
    logger.save()


def _clip(writer: Any, tag: str, clip: Clip, step: int) -> None:
    """As the file that it is: the writer's own `add_audio` would round it and mix its channels."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    sound = Summary.Audio(
        sample_rate=clip.rate,
        num_channels=clip.channels,
        length_frames=len(clip.samples) // (clip.channels * clip.width),
        encoded_audio_string=clip.content(),
        content_type="audio/wav",
    )
    writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=tag, audio=sound)]), step)


def _lines(writer: Any, tag: str, lines: Lines, step: int) -> None:
    writer.add_text(tag, f"<pre>{html.escape(lines.text)}</pre>", step)


def _film(writer: Any, tag: str, film: Film, step: int) -> None:
    """As a GIF, which TensorBoard shows moving; the writer's own `add_video` needs moviepy to make one."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    width, height = film.frames[0].size
    moving = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=film.content())
    writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=tag, image=moving)]), step)


OF_KINDS: dict[type[Shown], Callable[..., None]] = {Clip: _clip, Lines: _lines, Film: _film}
