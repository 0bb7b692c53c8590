"""`ganlab fit` and `ganlab validate`."""

import errno
import gc
import re
import sys
from pathlib import Path

from ganlab import resume, runs, user_code
from ganlab.callbacks import Preempted
from ganlab.callbacks.preemption import before_training
from ganlab.command import answered, quieten, refusal
from ganlab.experiment import GanCLI, leads
from ganlab.hardware import keep_freed_memory
from ganlab.refused import Failed
from ganlab.suggestions import config_files

# What the backends of torch.distributed say when a peer is gone.
LOST = re.compile(r"Connection (closed|reset) by peer|Broken pipe|Timed out waiting|NCCL|ProcessGroup")


def main(arguments: list[str]) -> int:
    keep_freed_memory()
    quieten()
    if GanCLI.opened:
        gc.collect()  # What was trained here before is held by circles only: it makes room for the next.
    GanCLI.opened = GanCLI.folder = GanCLI.resumed = None
    GanCLI.began = 0
    arguments = resume.with_its_config(arguments)
    GanCLI.folders = user_code.find(Path(path) for path in config_files(arguments))
    try:
        with before_training():
            return answered(lambda: _play(arguments))
    except KeyboardInterrupt:
        return 130
    except Preempted as stopped:
        # A code from any other process would have what started them kill the first one, which may be
        # putting its job back into the queue.
        return stopped.code if leads() else 0
    except (OSError, RuntimeError) as error:
        if not (told := _failure(error)):
            raise
        print(f"ganlab: {told}", file=sys.stderr)
        return 1


def _failure(error: OSError | RuntimeError) -> str:
    """What ends a run under way and is no defect, in a sentence."""
    goes_on = f"ganlab fit --resume {GanCLI.folder or 'RUN'}"
    if isinstance(error, Failed):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = error.filename or "What the run records"
        return f"{what} could not be written: {error.strerror}.\nMake room and resume the run: {goes_on}"
    if isinstance(error, RuntimeError) and LOST.search(str(error)):
        died = "Another process of this run died, or cannot be reached any more."
        return f"{died}\nNothing that was saved is lost: {goes_on}"
    return ""


def _play(arguments: list[str]) -> None:
    try:
        GanCLI.read(arguments)
    except Exception as error:
        # Where nothing was trained, a folder opened for this run would only be in the way.
        if refusal(error) and GanCLI.opened and not (GanCLI.opened / "checkpoints").exists():
            runs.discard(GanCLI.opened)
        raise
