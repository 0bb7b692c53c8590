"""From a run, a checkpoint or an export to the game that was trained: no flags to repeat, no pickled code."""

import sys
from collections.abc import Iterable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from ganlab.checkpoints import checksummed
from ganlab.checkpoints.checksummed import newest_first
from ganlab.checkpoints.export import is_export, load_export
from ganlab.checkpoints.rebuild import outdated, rebuild
from ganlab.checkpoints.weights import load_weights, mismatches
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.runs import user_code


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, left on disk until it is used."""
    if not path.is_file():
        raise Refused(f"There is no checkpoint {path}.")
    if reason := checksummed.damage(path):
        raise Refused(f"The checkpoint {path} is damaged: {reason}.\nTake another one beside it.")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        raise Refused(
            f"{path} holds more than plain values and tensors: code would be run to read it, and was not."
        ) from error
    except (RuntimeError, EOFError, ValueError) as error:
        raise Refused(f"{path} is no checkpoint: {str(error).splitlines()[0][:100]}") from error
    plain = isinstance(held, dict) and isinstance(held.get("state_dict"), dict)
    if not plain or not isinstance(held.get("global_step"), int):
        raise Refused(f"{path} is no checkpoint of a run: it holds no state_dict or no global_step.")
    told = held.get("hyper_parameters")
    if isinstance(told, dict) and "_class_path" in told and "ganlab" not in held:
        raise outdated(path)
    return held


def step_of(path: Path) -> int:
    return read_checkpoint(path)["global_step"]


def begin_with_weights(game: GAN, path: Path) -> None:
    """Take over the weights of a run (its newest) or of a checkpoint, and nothing else."""
    folder = path / "checkpoints"
    found = (
        [each for each in newest_first(folder) if not checksummed.damage(each)][:1]
        if path.is_dir()
        else [path]
    )
    if not found:
        raise Refused(f"{path} has no whole checkpoint to begin with (init_from).")
    weights = read_checkpoint(found[0])["state_dict"]
    refuse_unfit(game, weights, found[0], "init_from")
    game.load_state_dict(_taken(weights), strict=False)


def refuse_unfit(game: GAN, weights: dict[str, Any], path: Path, option: str) -> None:
    if wrong := mismatches(_taken(weights), _taken(game.state_dict())):
        raise Refused(
            f"The weights of {path} do not fit this game ({option}): {wrong}\n"
            "have another shape or are not there."
        )


def _taken(weights: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in weights.items() if name != "skipped_steps"}


def checkpoint_or_export(path: Path) -> Path:
    """The file or exported folder that is meant: of a run its best checkpoint by score, else its newest."""
    path = path.expanduser()
    if path.is_file() or is_export(path):
        return path
    if not path.exists():
        raise Refused(f"There is no {path}: give a run's folder, a checkpoint or an exported folder.")
    folder = path / "checkpoints"
    there = [each for each in (folder / "best.ckpt", *newest_first(folder)) if each.is_file()]
    for each in there:
        if not (reason := checksummed.damage(each)):
            return each
        print(f"ganlab: {each} is damaged: {reason}. Taking another one.", file=sys.stderr)
    what = "no whole checkpoint" if there else "neither checkpoints nor a generator.safetensors"
    raise Refused(f"{path} holds {what}: give a run's folder, a checkpoint or an exported folder.")


def load(path: str | Path, *, classes: Iterable[type] = (), trust_code: bool = False) -> GAN:
    """Rebuild the game on the CPU, from a run's folder, a checkpoint or an exported folder, and nothing else.

    Args:
        classes: Your own that it may name, built of plain arguments. Else it may name ganlab's, and torch's
            layers, optimizers and schedules.
        trust_code: Import and build whatever the file names, from the code that the run has kept or else
            from Python's path. Only for what you would run as a program.
    """
    source = checkpoint_or_export(Path(path))
    if source.is_dir():
        return load_export(source, classes=classes, trusted=trust_code)
    if Path(path).is_dir():
        print(f"ganlab: taking {source} (step {step_of(source):,})", file=sys.stderr)
    run = source.resolve().parent.parent
    kept = run / user_code.FOLDER
    if trust_code and (run / "config.yaml").is_file() and kept.is_dir() and str(kept) not in sys.path:
        sys.path.insert(0, str(kept))
    held = read_checkpoint(source)
    told = held.get("hyper_parameters")
    told = told if isinstance(told, dict) else {}
    game = rebuild(told, source, classes=classes, trusted=trust_code)
    load_weights(game, held["state_dict"], source)
    game.on_load_checkpoint(held)
    return game
