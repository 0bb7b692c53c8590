"""TensorBoard by one line: in the run's folder, and never going back."""

from lightning.pytorch.loggers import TensorBoardLogger


class TensorBoard(TensorBoardLogger):
    """Its x axis is generator steps; what a resumed run comes by again replaces what was told before.

    Args:
        save_dir: Where its folder lies; none: in the run's.
        purge_step: What was told from this step on is forgotten.
    """

    def __init__(
        self, save_dir: str | None = None, version: str = "tensorboard", purge_step: int | None = None
    ):
        super().__init__(save_dir or ".", "", version, default_hp_metric=False, purge_step=purge_step)
