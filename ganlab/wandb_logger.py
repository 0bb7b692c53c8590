"""Weights & Biases by one line: named, kept in the run's folder, never prompting, never telling twice."""

import json
import math
import os
import secrets
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from ganlab import csv_logger, offline_wandb

FILE = "wandb.json"


class SteadyWandbLogger(WandbLogger):
    """One W&B run for a run, however often it was killed and resumed; its x axis is images seen.

    It tells what W&B has not been told, and of that everything: a killed process takes rows with it that
    metrics.csv still has, and a resumed one comes by rows again that W&B has already.
    """

    _told: float | None = None

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        super().log_hyperparams(params)
        if self._told is None:
            self.experiment.define_metric("images")
            self.experiment.define_metric("*", step_metric="images")
            self._catch_up(Path(str(self.save_dir)))

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        if metrics.get("images", math.inf) >= (self._told or 0):
            super().log_metrics(metrics, step)

    def _catch_up(self, folder: Path) -> None:
        """W&B's server tells the last row that it has; offline, its files do."""
        rows = [row for _, start in offline_wandb.starts(folder) for row in start]
        self._told = max((row.get("images", 0) for row in [*rows, dict(self.experiment.summary)]), default=0)
        for row in csv_logger.read(folder / "metrics.csv"):
            values = {name: float(value) for name, value in row.items() if value}
            self.log_metrics(values, int(values.pop("step")))


def remembered(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return {}


@rank_zero_only
def remember(folder: Path, what: dict[str, Any]) -> None:
    (folder / FILE).write_text(json.dumps(what))


def prepare(trainer: Any, *, name: str) -> None:
    """Fill in what a user of `trainer.logger: WandbLogger` left out."""
    chosen = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]
    for logger in chosen:
        arguments = getattr(logger, "init_args", None)
        if arguments is None or not logger.class_path.endswith("WandbLogger"):
            continue
        arguments.project = arguments.project or os.environ.get("WANDB_PROJECT", "ganlab")
        arguments.name = arguments.name or name
        if str(arguments.save_dir) in (".", "None"):
            arguments.save_dir = trainer.default_root_dir
            logger.class_path = f"{__name__}.{SteadyWandbLogger.__name__}"
            arguments.id = arguments.id or _id(Path(trainer.default_root_dir))
        if "WANDB_MODE" not in os.environ and (reason := unreachable()):
            os.environ["WANDB_MODE"] = "offline"
            later = f"wandb sync {trainer.default_root_dir}/wandb/offline-run-*"
            print(f"Weights & Biases works offline: {reason}. Later: {later}")


def _id(folder: Path) -> str:
    """The W&B run that this run began with, else a new one."""
    # A sweep's agent has chosen already.
    told = {"id": os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4), **remembered(folder)}
    remember(folder, told)
    return told["id"]


def unreachable() -> str | None:
    server = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
    host, port = server.hostname or "", server.port or (80 if server.scheme == "http" else 443)
    netrc = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    if "WANDB_API_KEY" not in os.environ and not (netrc.is_file() and host in netrc.read_text()):
        return "no account is set up here (wandb login)"
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return f"{host} cannot be reached from here"
    return None
