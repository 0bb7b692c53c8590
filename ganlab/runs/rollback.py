"""A new run that begins where another was best, so that what went wrong after it can be played otherwise."""

import shutil
from pathlib import Path

from ganlab.errors import Refused
from ganlab.runs.folder import rewind_records, run_of
from ganlab.runs.load import read_checkpoint, step_of
from ganlab.runs.status import CLOCK, METRICS, SCORES
from ganlab.system.records import Records

RECORDS = (METRICS, SCORES, CLOCK)


def source(target: str) -> Path:
    """The checkpoint that is meant: of a run its best."""
    path = Path(target)
    if path.is_dir():
        path = path / "checkpoints" / "best.ckpt"
        if not path.is_file():
            raise Refused(
                f"{target} has no best checkpoint: it kept no score (rollback).\nName one of its own."
            )
    read_checkpoint(path)
    return path


def carry(taken: Path, folder: Path) -> int:
    """Bring along what a run has recorded up to its checkpoint, whose step is returned."""
    step, old = step_of(taken), run_of(taken)
    if not old:
        return step
    drawn = [*old.glob("samples/step-*.png"), *old.glob("nearest/step-*.*")]
    pictures = [path for path in drawn if int(path.stem.removeprefix("step-")) <= step]
    best = ["checkpoints/best.ckpt"] if taken.name == "best.ckpt" else []
    for path in [*(old / name for name in (*RECORDS, *best)), *pictures]:
        if path.is_file():
            (copy := folder / path.relative_to(old)).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
    # Of checkpoints that stay behind, no score comes along.
    Records(folder / SCORES).rewind(step)
    rewind_records(folder, step)
    return step
