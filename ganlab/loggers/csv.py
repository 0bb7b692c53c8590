"""A run's metrics.csv, to which a resumed run adds its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment

from ganlab.system.row_files import Table

ROWS = 5  # that are collected before they are written


class MetricsCSV(CSVLogger):
    """Lightning's CSV logger for the run's own folder, which writes every few rows."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder.parent, name="", version=folder.name)
        self.folder = folder

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        super().log_metrics(metrics, step)
        # Lightning writes only every hundred steps.
        if self._experiment is not None and len(self._experiment.metrics) >= ROWS:
            self.save()

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = MetricsWriter(str(self.folder))
        return self._experiment


class MetricsWriter(ExperimentWriter):
    """Adds to an existing file, which Lightning's writer would delete."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        self.table, self.hparams_written = Table(Path(self.metrics_file_path)), True

    def log_hparams(self, params: dict[str, Any]) -> None:
        """Kept until rows are written, which is when the run has begun."""
        self.hparams.update(params)
        self.hparams_written = False

    def save(self) -> None:
        if not self.hparams_written:
            super().log_hparams({})
            self.hparams_written = True
        if self.metrics:
            self.table.append(*self.metrics)
        self.metrics = []

    def _check_log_dir_exists(self) -> None:
        pass
