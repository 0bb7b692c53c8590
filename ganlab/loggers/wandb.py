"""Weights & Biases with one line of configuration: in the run's folder, no prompts, no row sent twice."""

import html
import json
import math
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import yaml
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL.Image import Image

from ganlab.class_paths import public_path
from ganlab.loggers import wandb_files
from ganlab.loggers.looks import FOLDER, by_key, looks
from ganlab.media.shown import KINDS, Clip, Film, Lines, Shown
from ganlab.metrics.names import measured
from ganlab.system.row_files import Table
from ganlab.system.untrusted import number

FILE = "wandb.json"


class SteadyWandbLogger(WandbLogger):
    """One W&B run for a run, however often it was killed and resumed; its x axis is images seen.

    It sends exactly the rows that W&B lacks: a killed process may lose rows that metrics.csv has, and a
    resumed one repeats steps that W&B has already.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Lightning always passes it on, and W&B warns that it is deprecated.
        if self._wandb_init["anonymous"] is None:
            del self._wandb_init["anonymous"]

    _sent_images: float | None = None  # at the last row that W&B has
    _scores: frozenset[str] = frozenset()
    _contract: dict[str, Any] | None = None  # of the last scores

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """Send settings; in place of the first, the game's own, the run's whole configuration is sent."""
        if self._sent_images is not None:
            self._contract = params.get("contract")
            super().log_hyperparams(params)
            return
        folder = Path(str(self.save_dir))
        remember(folder, {"id": self._wandb_init["id"], "group": self._wandb_init["group"]})
        super().log_hyperparams(yaml.safe_load((folder / "config.yaml").read_text()))
        self.experiment.define_metric("images")
        self.experiment.define_metric("*", step_metric="images")
        self._catch_up(folder)

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        if metrics.get("images", math.inf) >= (self._sent_images or 0):
            for name in metrics.keys() - self._scores:
                self._define(name)
            super().log_metrics(metrics, step)

    def _define(self, name: str) -> None:
        """Let W&B summarise a score by the run's best and its last value."""
        score = measured(name, self._contract)
        if score and score.value.better:
            self._scores |= {name}
            self.experiment.define_metric(name, step_metric="images", summary=f"{score.value.better},last")

    @rank_zero_only
    def finalize(self, status: str) -> None:
        super().finalize(status)
        if self._sent_images is not None and self.experiment.offline:
            print(f"Weights & Biases gets this run by: wandb sync {self.save_dir}/wandb/offline-run-*")

    def _catch_up(self, folder: Path) -> None:
        """Send the recorded rows that W&B lacks: after the last in its summary and in its offline files."""
        rows = [row for _, rows_of_start in wandb_files.starts(folder) for row in rows_of_start]
        sent = [number(row.get("images")) for row in [*rows, dict(self.experiment.summary)]]
        self._sent_images = max((images for images in sent if images is not None), default=0)
        for step, values in sorted(_recorded_rows(folder), key=lambda entry: entry[0]):
            self.log_metrics(values, step)


def _recorded_rows(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Step and values of each row of the run's metrics, and of each look at its samples."""
    import wandb

    step, images = 0, 0.0
    for row in Table(folder / "metrics.csv").read():
        step, images = row.pop("step"), row.get("images", 0.0)
        yield step, row
    for look in looks(folder / FOLDER):
        if look.step <= step:
            sheet = {FOLDER: wandb.Image(str(look.sheet))} if look.sheet else {}
            yield look.step, {**sheet, **_played(look.files), "images": images * look.step / step}


def log_samples(
    logger: WandbLogger, picture: Image | None, files: Sequence[Path], step: int, images: float
) -> None:
    """Log a look: its sheet, and the files of single samples by the kind of each."""
    import wandb

    sheet: Any = {FOLDER: wandb.Image(picture)} if picture else {}
    logger.log_metrics({**sheet, **_played(files), "images": images}, step)


def _played(files: Sequence[Path]) -> dict[str, Any]:
    """What W&B plays or shows of each file, by what it is logged as."""
    return {key: OF_KINDS[KINDS[file.suffix]](file) for key, file in by_key(files).items()}


def _sound(file: Path) -> Any:
    """Of the file, and alone: of numbers, and in a list, W&B takes sounds only where soundfile is."""
    import wandb

    return wandb.Audio(str(file))


def _text(file: Path) -> Any:
    import wandb

    text = html.escape(Lines.read(file.read_bytes()).text)
    return wandb.Html(f"<pre>{text}</pre>", data_is_not_path=True)


def _film(file: Path) -> Any:
    import wandb

    return wandb.Video(str(file))


OF_KINDS: dict[type[Shown], Callable[[Path], Any]] = {Clip: _sound, Lines: _text, Film: _film}


def remembered(folder: Path) -> dict[str, Any]:
    """The run's id and group at W&B, as an earlier start saved them in its folder; else empty."""
    try:
        return json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return {}


@rank_zero_only
def remember(folder: Path, names: dict[str, Any]) -> None:
    """Save the run's id and group at W&B in its folder, for its next start."""
    (folder / FILE).write_text(json.dumps(names))


def prepare(logger: Any, folder: Path, *, group: Callable[[], str], seed: int, tags: list[str]) -> None:
    """Fill in the settings that the user left out; a resumed run keeps its id and group."""
    arguments, earlier = logger.init_args, remembered(folder)
    # The agent of a W&B sweep sets WANDB_RUN_ID.
    run_id = earlier.get("id") or os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
    arguments.project = arguments.project or os.environ.get("WANDB_PROJECT", "ganlab")
    arguments.group = arguments.get("group") or earlier.get("group") or group()
    arguments.name = arguments.name or f"{arguments.group}-seed{seed}"
    arguments.tags = arguments.get("tags") or tags
    if str(arguments.save_dir) in (".", "None"):
        arguments.save_dir = str(folder)
        arguments.id = arguments.id or run_id
        logger.class_path = public_path(SteadyWandbLogger)
    if "WANDB_MODE" not in os.environ and not arguments.offline and (reason := unreachable()):
        os.environ["WANDB_MODE"] = "offline"
        print(f"Weights & Biases works offline: {reason}.")
    if arguments.offline or os.environ.get("WANDB_MODE") == "offline":
        # W&B would print how to sync the last start alone; the logger prints how to sync all.
        os.environ.setdefault("WANDB_SILENT", "true")


def unreachable() -> str | None:
    """Why W&B cannot be used from here, or None; it tries to connect, for at most three seconds."""
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
