"""Weights & Biases by one line: named, kept in the run's folder, no prompts, no row sent twice."""

import json
import math
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import yaml
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from ganlab.class_paths import public_path
from ganlab.loggers import wandb_files
from ganlab.metrics.registry import measured
from ganlab.system.records import Table

FILE = "wandb.json"


class SteadyWandbLogger(WandbLogger):
    """One W&B run for a run, however often it was killed and resumed; its x axis is images seen.

    It sends what W&B has not got, and all of that: a killed process takes rows with it that metrics.csv
    still has, and a resumed one comes by rows again that W&B has already.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Lightning passes it on even if nobody chose it, and W&B warns that it means nothing any more.
        if self._wandb_init["anonymous"] is None:
            del self._wandb_init["anonymous"]

    _sent: float | None = None  # images at the last row that W&B has
    _scores: frozenset[str] = frozenset()

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """The first are the game's own: the run's whole configuration is sent in their place."""
        if self._sent is not None:
            super().log_hyperparams(params)
            return
        folder = Path(str(self.save_dir))
        super().log_hyperparams(yaml.safe_load((folder / "config.yaml").read_text()))
        self.experiment.define_metric("images")
        self.experiment.define_metric("*", step_metric="images")
        self._catch_up(folder)

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        if metrics.get("images", math.inf) >= (self._sent or 0):
            for name in metrics.keys() - self._scores:
                self._define(name)
            super().log_metrics(metrics, step)

    def _define(self, name: str) -> None:
        """A score's summary is the best of the run, and the last."""
        score = measured(name)
        if score and score.value.better:
            self._scores |= {name}
            self.experiment.define_metric(name, step_metric="images", summary=f"{score.value.better},last")

    @rank_zero_only
    def finalize(self, status: str) -> None:
        super().finalize(status)
        if self._sent is not None and self.experiment.offline:
            print(f"Weights & Biases gets this run by: wandb sync {self.save_dir}/wandb/offline-run-*")

    def _catch_up(self, folder: Path) -> None:
        """W&B's server knows the last row that it has; offline, its files do."""
        rows = [row for _, start in wandb_files.starts(folder) for row in start]
        self._sent = max((row.get("images", 0) for row in [*rows, dict(self.experiment.summary)]), default=0)
        for step, values in sorted(_recorded(folder), key=lambda entry: entry[0]):
            self.log_metrics(values, step)


def _recorded(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """What a run has in its own files, with its steps."""
    import wandb

    step, images = 0, 0.0
    for row in Table(folder / "metrics.csv").read():
        step, images = row.pop("step"), row.get("images", 0.0)
        yield step, row
    for path in folder.glob("samples/step-*.png"):
        drawn = int(path.stem.removeprefix("step-"))
        if drawn <= step:
            yield drawn, {"samples": wandb.Image(str(path)), "images": images * drawn / step}


def remembered(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return {}


@rank_zero_only
def remember(folder: Path, what: dict[str, Any]) -> None:
    (folder / FILE).write_text(json.dumps(what))


def prepare(logger: Any, folder: Path, *, group: Callable[[], str], seed: int, tags: list[str]) -> None:
    """Fill in what a user left out; a resumed run stays what it was."""
    arguments, earlier = logger.init_args, remembered(folder)
    # A sweep's agent has chosen already.
    own = earlier.get("id") or os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
    arguments.project = arguments.project or os.environ.get("WANDB_PROJECT", "ganlab")
    arguments.group = arguments.get("group") or earlier.get("group") or group()
    arguments.name = arguments.name or f"{arguments.group}-seed{seed}"
    arguments.tags = arguments.get("tags") or tags
    if str(arguments.save_dir) in (".", "None"):
        arguments.save_dir = str(folder)
        arguments.id = arguments.id or own
        logger.class_path = public_path(SteadyWandbLogger)
        remember(folder, {"id": arguments.id, "group": arguments.group})
    if "WANDB_MODE" not in os.environ and not arguments.offline and (reason := unreachable()):
        os.environ["WANDB_MODE"] = "offline"
        print(f"Weights & Biases works offline: {reason}.")
    if arguments.offline or os.environ.get("WANDB_MODE") == "offline":
        # It would name how to sync but the last start of a run, where the logger names all.
        os.environ.setdefault("WANDB_SILENT", "true")


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
