"""A run's metrics.csv, with which a resumed run goes on."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment

from ganlab.system.atomic_file import atomic_write

FLUSHED = 5  # rows


class MetricsCSV(CSVLogger):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder.parent, name="", version=folder.name)
        self.folder = folder

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        super().log_metrics(metrics, step)
        # Lightning waits for a step that a hundred divides.
        if self._experiment is not None and len(self._experiment.metrics) >= FLUSHED:
            self.save()

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = MetricsWriter(str(self.folder))
        return self._experiment


class MetricsWriter(ExperimentWriter):
    """Adds to the file that is there, where Lightning's deletes it."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        self.metrics_keys = [*(rows[0] if (rows := read_metrics(Path(self.metrics_file_path))) else ())]

    def _check_log_dir_exists(self) -> None:
        pass

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        write_metrics(path, read_metrics(path), fieldnames)


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The rows; one that was cut off by the end of its process is left out."""
    if not path.exists():
        return []
    text = path.read_text()
    with io.StringIO(text, newline="") as file:
        rows = [row for row in csv.DictReader(file) if None not in row.values()]
    return rows if text.endswith("\n") else rows[:-1]


def write_metrics(path: Path, rows: list[dict[str, str]], names: list[str]) -> None:
    with atomic_write(path) as made, made.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=names)
        writer.writeheader()
        writer.writerows(rows)


def rewind_metrics(path: Path, step: int) -> None:
    """Forget what a run logged after the step that it is resumed from: it will log it again."""
    rows = read_metrics(path)
    kept = [row for row in rows if int(row["step"]) <= step]
    if rows:
        write_metrics(path, kept, list(rows[0]))
