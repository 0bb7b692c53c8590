"""Start a new run from the best checkpoint of another, so that it can go on with other draws or settings."""

import shutil
from pathlib import Path

from ganlab.errors import Refused
from ganlab.loggers.looks import FOLDER, looks
from ganlab.runs.folder import rewind_records, run_of
from ganlab.runs.load import read_checkpoint, step_of
from ganlab.runs.status import CLOCK, METRICS, SCORES
from ganlab.system.row_files import Records

RECORDS = (METRICS, SCORES, CLOCK)


def chosen_checkpoint(target: str) -> Path:
    """The checkpoint that `--rollback` names: a run's best, or the file itself."""
    path = Path(target)
    if path.is_dir():
        path = path / "checkpoints" / "best.ckpt"
        if not path.is_file():
            raise Refused(
                f"{target} has no best checkpoint: it kept no score (rollback).\nName one of its own."
            )
    read_checkpoint(path)
    return path


def copy_records(checkpoint: Path, folder: Path) -> int:
    """Copy records and pictures of a checkpoint's run up to its step into a new folder; return the step."""
    step, old = step_of(checkpoint), run_of(checkpoint)
    if not old:
        return step
    nearest = [path for path in old.glob("nearest/step-*.*") if int(path.stem.removeprefix("step-")) <= step]
    kept = [path for look in looks(old / FOLDER) if look.step <= step for path in look.paths]
    best = ["checkpoints/best.ckpt"] if checkpoint.name == "best.ckpt" else []
    for path in [*(old / name for name in (*RECORDS, *best)), *kept, *nearest]:
        if path.is_file():
            (copy := folder / path.relative_to(old)).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
    # `rewind_records` would keep what `ganlab evaluate` added for later checkpoints, which are not copied.
    Records(folder / SCORES).rewind(step)
    rewind_records(folder, step)
    return step
