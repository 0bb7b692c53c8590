import json
import os
import shutil
from collections.abc import Iterator, Sized
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from ganlab.callbacks.checkpoints import Checkpoints
from ganlab.callbacks.evaluation import Evaluation
from ganlab.data.stream import StreamData
from ganlab.errors import Refused

EXACT = ("ganlab", "torch", "lightning", "numpy")  # other versions may compute other last bits


class Preflight(Callback):
    """Before the first step say what a run stands on, and refuse what would stop it later."""

    def on_fit_start(self, trainer: Trainer, model: LightningModule) -> None:
        if trainer.is_global_zero and not cast(Any, trainer).fast_dev_run:
            folder, begun = trainer.default_root_dir, trainer.ckpt_path
            print(_beginning(Path(folder), Path(begun)) if begun else f"training in {folder}")
            parts = [*_data(trainer), *_weights(trainer), _room(trainer, model), *_wandb(trainer)]
            print("pre-flight: " + " · ".join([*parts, *_versions(trainer)]), flush=True)


def _beginning(folder: Path, checkpoint: Path) -> str:
    own = checkpoint.resolve().parent.parent == folder.resolve()
    return (
        f"resuming {folder} from {checkpoint.name}" if own else f"training in {folder}, from {checkpoint} on"
    )


def _data(trainer: Trainer) -> Iterator[str]:
    data = cast(Any, trainer).datamodule
    if isinstance(data, StreamData):
        sizes = [f"{len(cast(Sized, split)):,}" for split in data.splits if isinstance(split, Sized)]
        yield f"{type(data).__name__} {' + '.join(sizes) or 'without end'}"


def _weights(trainer: Trainer) -> Iterator[str]:
    for callback in cast(Any, trainer).callbacks:
        if isinstance(callback, Evaluation) and callback.panel:
            seen = callback.panel.extractor.identity()
            yield f"scored by {seen['name']}" + (f" {seen['sha256'][:8]}" if seen["sha256"] else "")


def _room(trainer: Trainer, model: LightningModule) -> str:
    folder = Path(trainer.default_root_dir)
    keepers = [each for each in cast(Any, trainer).callbacks if isinstance(each, Checkpoints)]
    files = max((each.keep for each in keepers), default=1) + 2  # the best, and one that is being written
    # Adam keeps two numbers for each number that it moves.
    moments = 2 * sum(p.nbytes for p in model.parameters() if p.requires_grad)
    needed = files * (moments + sum(tensor.nbytes for tensor in model.state_dict().values()))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (probe := folder / f".writable.{os.getpid()}").touch()
        probe.unlink()
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
    if any(type(logger).__name__.endswith("WandbLogger") for logger in trainer.loggers):
        yield f"W&B {os.environ.get('WANDB_MODE', 'online')}"


def _versions(trainer: Trainer) -> Iterator[str]:
    now = {package: metadata.version(package) for package in EXACT}
    processes = f"{trainer.world_size} process{'es' if trainer.world_size > 1 else ''}"
    yield f"torch {now['torch']}, {trainer.precision}, {processes} on {trainer.strategy.root_device.type}"
    path = Path(trainer.default_root_dir) / "environment.json"
    began = json.loads(path.read_text()) if path.exists() else now
    if other := [
        f"{name} {began.get(name)} -> {now[name]}" for name in EXACT if began.get(name) != now[name]
    ]:
        yield f"not bit-for-bit from here: {', '.join(other)}"
