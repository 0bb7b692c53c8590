import os
import shutil
from collections.abc import Iterator, Sized
from importlib import metadata
from pathlib import Path
from typing import cast

from lightning.pytorch import Callback, LightningModule, Trainer

from ganlab.callbacks.beginning import Beginning
from ganlab.callbacks.checkpoints import Checkpoints
from ganlab.callbacks.evaluation import Evaluation
from ganlab.callbacks.trial import try_all_ways
from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.runs.folder import run_of
from ganlab.system.untrusted import json_object, open_regular
from ganlab.training.trainer import callbacks_of, data_of, is_trial_run
from ganlab.version import VERSION

FOLDERS = ("checkpoints", "samples", "nearest")
FILES = ("metrics.csv", "scores.jsonl", "clock.jsonl", "verdict.json", "status.json", "hparams.yaml")
EXACT = ("ganlab", "torch", "lightning", "numpy")  # other versions may compute other last bits


class Preflight(Callback):
    """Before the first step print what a run depends on, and refuse what would stop it later."""

    def on_fit_start(self, trainer: Trainer, model: LightningModule) -> None:
        if trainer.is_global_zero and not is_trial_run(trainer):
            folder, checkpoint = trainer.default_root_dir, trainer.ckpt_path
            refuse_odd_folders(Path(folder))
            print(_start(Path(folder), Path(checkpoint)) if checkpoint else f"training in {folder}")
            parts = [*_data(trainer), *_extractors(trainer), _disk_space(trainer, model), *_wandb(trainer)]
            print("pre-flight: " + " · ".join([*parts, *_versions(trainer)]), flush=True)
        if isinstance(model, GAN) and not is_trial_run(trainer):
            try_all_ways(trainer, model)


def refuse_odd_folders(run: Path) -> None:
    """Refuse a run in whose folder something else lies where its own folders and files are to be written."""
    for name in FOLDERS:
        if os.path.lexists(run / name) and not (run / name).is_dir():
            raise Refused(f"{run / name} is no folder, but the run is to write into it: move it away.")
    for path in (run / name for name in FILES if os.path.lexists(run / name)):
        try:
            open_regular(path).close()
        except OSError as error:
            raise Refused(f"The run cannot go on with its {path}: {error.strerror}. Move it away.") from error


def _start(folder: Path, checkpoint: Path) -> str:
    run = run_of(checkpoint)
    resumes = run is not None and run.samefile(folder)
    return (
        f"resuming {folder} from {checkpoint.name}"
        if resumes
        else f"training in {folder}, from {checkpoint} on"
    )


def _data(trainer: Trainer) -> Iterator[str]:
    data = data_of(trainer)
    if isinstance(data, StreamData):
        sizes = [f"{len(cast(Sized, split)):,}" for split in data.splits if isinstance(split, Sized)]
        yield f"{type(data).__name__} {' + '.join(sizes) or 'without end'}"


def _extractors(trainer: Trainer) -> Iterator[str]:
    for evaluation in callbacks_of(trainer, Evaluation):
        if evaluation.scorer:
            identity = evaluation.scorer.extractor.identity()
            sha256 = f" {identity['sha256'][:8]}" if identity["sha256"] else ""
            yield f"scored by {identity['name']}{sha256}"


def _disk_space(trainer: Trainer, model: LightningModule) -> str:
    folder = Path(trainer.default_root_dir)
    kept = max((checkpoints.keep for checkpoints in callbacks_of(trainer, Checkpoints)), default=1)
    files = kept + 2  # the best, and one that is being written
    # Adam stores two numbers for each number that it trains.
    moments = 2 * sum(p.nbytes for p in model.parameters() if p.requires_grad)
    needed = files * (moments + sum(tensor.nbytes for tensor in model.state_dict().values()))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (trial := folder / f".writable.{os.getpid()}").touch()
        trial.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise Refused(f"Nothing can be written in the run's folder {folder}: {error.strerror}.") from error
    if free < needed:
        raise Refused(
            f"{folder} has {free / 1e6:,.0f} MB left, but {files} checkpoints take {needed / 1e6:,.0f} MB.\n"
            "Make room, choose another folder (--runs), or keep fewer (--checkpoints.keep)."
        )
    return f"{files} checkpoints take {needed / 1e6:,.0f} MB of {free / 1e9:,.0f} GB free"


def _wandb(trainer: Trainer) -> Iterator[str]:
    held = (logger for beginning in callbacks_of(trainer, Beginning) for logger in beginning.loggers)
    if any(type(logger).__name__.endswith("WandbLogger") for logger in (*trainer.loggers, *held)):
        yield f"W&B {os.environ.get('WANDB_MODE', 'online')}"


def _versions(trainer: Trainer) -> Iterator[str]:
    now = {package: metadata.version(package) for package in EXACT} | {"ganlab": VERSION}
    processes = f"{trainer.world_size} process{'es' if trainer.world_size > 1 else ''}"
    yield f"torch {now['torch']}, {trainer.precision}, {processes} on {trainer.strategy.root_device.type}"
    begun = json_object(Path(trainer.default_root_dir) / "environment.json", []) or now
    if changed := [name for name in EXACT if begun.get(name) != now[name]]:
        versions = ", ".join(f"{name} {begun.get(name)} -> {now[name]}" for name in changed)
        yield f"not bit-for-bit from here: {versions}"
