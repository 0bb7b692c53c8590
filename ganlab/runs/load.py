"""Load a trained game from a run, a checkpoint or an export, which hold its settings but no pickled code."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from ganlab.checkpoints import checksummed
from ganlab.checkpoints.export import is_export, load_export, read_config
from ganlab.checkpoints.rebuild import outdated, rebuild
from ganlab.checkpoints.weights import load_weights, mismatches
from ganlab.errors import Refused
from ganlab.game import per_process
from ganlab.game.gan import GAN
from ganlab.runs import user_code
from ganlab.runs.folder import CHECKPOINTS, checkpoints_in, run_of
from ganlab.runs.own import is_own_checkpoint
from ganlab.runs.status import SCORES
from ganlab.system.row_files import Records
from ganlab.system.untrusted import whole_number

Which = Literal["newest", "best"]
BEST = "best.ckpt"


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint of a run; its tensors stay on disk until they are used."""
    if not path.is_file():
        raise Refused(f"There is no checkpoint {path}.")
    with checksummed.reading(path):
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    has_state = isinstance(content, dict) and isinstance(content.get("state_dict"), dict)
    if not has_state or not isinstance(content.get("global_step"), int):
        raise Refused(f"{path} is no checkpoint of a run: it holds no state_dict or no global_step.")
    played = content.get("played", {})
    if not isinstance(played, dict) or not all(isinstance(value, int) for value in played.values()):
        raise Refused(f"{path} is no checkpoint of a run: it does not hold what a step was (played).")
    if not _fits_each_process(content.get(per_process.KEY, []), content["state_dict"]):
        raise Refused(
            f"{path} is no checkpoint of a run: what it holds of each process (per_process) does not fit\n"
            "its weights."
        )
    hyperparameters = content.get("hyper_parameters")
    if isinstance(hyperparameters, dict) and "_class_path" in hyperparameters and "ganlab" not in content:
        raise outdated(path)
    return content


def _fits_each_process(saved: Any, weights: dict[str, Any]) -> bool:
    """Whether these are tensors of all processes, each in the place of one of the weights."""
    if not isinstance(saved, list) or not all(isinstance(kept, dict) for kept in saved):
        return False
    places = {name: weights.get(name) for name in (saved[0] if saved else ())}
    return not any(mismatches(kept, places) for kept in saved)


def step_of(path: Path) -> int:
    return read_checkpoint(path)["global_step"]


def newest_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a run that is not damaged, whatever its name; None if there is none.

    Damaged ones are reported and skipped.
    """
    found, unreadable = {}, []
    for path in checkpoints_in(folder):
        try:
            # The best is named for no step.
            step = path.stem.removeprefix("step-") if checksummed.NAME.fullmatch(path.name) else step_of(path)
            found[path] = int(step)
        except Refused as refusal:
            unreadable.append(str(refusal).splitlines()[0])
    newest_first = sorted(found, key=lambda path: (found[path], path.name), reverse=True)
    for path in newest_first:
        if not (reason := checksummed.damage(path)):
            return path
        instead = "There is none before it" if path == newest_first[-1] else "Taking the one before it"
        print(f"ganlab: {path} is damaged: {reason}. {instead}.", file=sys.stderr)
    for reason in unreadable:
        print(f"ganlab: {reason}", file=sys.stderr)
    return None


def begin_with_weights(game: GAN, path: Path) -> None:
    """Take over the weights of a run (its newest) or of a checkpoint, and nothing else."""
    checkpoint = newest_whole_checkpoint(path) if path.is_dir() else path
    if not checkpoint:
        raise Refused(f"{path} has no whole checkpoint to begin with (init_from).")
    weights = read_checkpoint(checkpoint)["state_dict"]
    refuse_unfit(game, weights, checkpoint, "init_from")
    game.load_state_dict(_without_counters(weights), strict=False)


def refuse_unfit(game: GAN, weights: dict[str, Any], path: Path, option: str) -> None:
    """Refuse weights that do not match the game's; `option` is the one that named the file."""
    if wrong := mismatches(_without_counters(weights), _without_counters(game.state_dict())):
        raise Refused(
            f"The weights of {path} do not fit this game ({option}): {wrong}\n"
            "have another shape or are not there."
        )


def _without_counters(weights: dict[str, Any]) -> dict[str, Any]:
    """Without what steps have counted, or regularisers remember of them."""
    counters = "skipped_steps", "regularisers."
    return {name: value for name, value in weights.items() if not name.startswith(counters)}


def checkpoint_or_export(path: Path, which: Which = "newest") -> Path:
    """A run's newest whole checkpoint, or its best by score; a checkpoint or an exported folder itself."""
    path = path.expanduser()
    if which not in get_args(Which):
        raise Refused(f"A run has no {which!r} checkpoint: take newest or best (checkpoint).")
    if path.is_file() or is_export(path):
        if which != "newest":
            raise Refused(
                f"{path} is no run's folder, of whose checkpoints one is chosen (checkpoint: {which})."
            )
        return path
    if not path.exists():
        raise Refused(f"There is no {path}: give a run's folder, a checkpoint or an exported folder.")
    if which == "best":
        return _whole_best(path)
    if newest := newest_whole_checkpoint(path):
        return newest
    what = (
        "no whole checkpoint" if checkpoints_in(path) else "neither checkpoints nor a generator.safetensors"
    )
    raise Refused(f"{path} holds {what}: give a run's folder, a checkpoint or an exported folder.")


def _whole_best(run: Path) -> Path:
    best = run / CHECKPOINTS / BEST
    if not best.is_file():
        raise Refused(
            f"{run} has no best checkpoint: it kept no score. Take its newest (checkpoint: newest)."
        )
    if reason := checksummed.damage(best):
        raise Refused(f"{best} is damaged: {reason}. Take the run's newest (checkpoint: newest).")
    return best


def selected_among(source: Path) -> int | None:
    """Of a run's best checkpoint, or an export of it, the number of evaluations it was selected among.

    None of others, whose score nobody has looked at before choosing them.
    """
    if source.is_dir():
        return whole_number(read_config(source).get("selected_among"))
    run = run_of(source)
    if not run or source.name != BEST:
        return None
    # `ganlab evaluate` adds rows, too, with a checkpoint.
    return sum("checkpoint" not in row for row in Records(run / SCORES).read())


def selection_note(source: Path) -> str:
    """A sentence on a checkpoint or an export that was selected by its score; empty for others."""
    count = selected_among(source)
    if count is None:
        return ""
    return f"It was selected by its score among {count} evaluations, so that score flatters it."


def load(
    path: str | Path,
    *,
    checkpoint: Which = "newest",
    classes: Iterable[type] = (),
    trust_code: bool = False,
) -> GAN:
    """Rebuild the game on the CPU, from a run's folder, a checkpoint or an exported folder, and nothing else.

    Args:
        checkpoint: Of a run's folder the newest one, or the best by score, which that score flatters.
        classes: Your own classes that the file may name, besides ganlab's, and torch's layers, optimizers
            and schedules; they are built of plain arguments.
        trust_code: Import and build whatever the file names, from the run's copy of your code or else from
            Python's path. Only for files that you would run as a program. Runs of your own need it not,
            unless they were altered since.
    """
    source = checkpoint_or_export(Path(path), checkpoint)
    if source.is_dir():
        return load_export(source, classes=classes, trusted=trust_code)
    if Path(path).is_dir():
        taken = f"taking {source} (step {step_of(source):,}). {selection_note(source)}"
        print(f"ganlab: {taken.rstrip('. ')}", file=sys.stderr)
    content, run = read_checkpoint(source), run_of(source)
    classes = tuple(classes)
    trusted = trust_code or (not classes and is_own_checkpoint(run, content))
    if trusted and run:
        user_code.add_copy(run)
    hyperparameters = content.get("hyper_parameters")
    hyperparameters = hyperparameters if isinstance(hyperparameters, dict) else {}
    game = rebuild(hyperparameters, source, classes=classes, trusted=trusted)
    load_weights(game, content["state_dict"], source)
    game.on_load_checkpoint(content)
    return game
