"""TensorBoard with one line of configuration: in the run's folder, and without rows of undone steps."""

from lightning.pytorch.loggers import TensorBoardLogger


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
