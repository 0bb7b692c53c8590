"""`ganlab fit` and `ganlab validate`."""

import errno
import gc
import re
import sys
from pathlib import Path

from ganlab.callbacks import Preempted
from ganlab.callbacks.preemption import before_training
from ganlab.cli.arguments import config_files, with_its_config
from ganlab.cli.experiment import GanCLI, leads
from ganlab.cli.parser import refusal, run_command, silence_warnings
from ganlab.errors import Failed
from ganlab.runs import user_code
from ganlab.runs.folder import discard_folder
from ganlab.system.hardware import keep_freed_memory

# What the backends of torch.distributed say when a peer is gone.
LOST = re.compile(r"Connection (closed|reset) by peer|Broken pipe|Timed out waiting|NCCL|ProcessGroup")


def main(arguments: list[str]) -> int:
    keep_freed_memory()
    silence_warnings()
    if GanCLI.opened:
        gc.collect()  # What was trained here before is held by circles only: it makes room for the next.
    GanCLI.opened = GanCLI.folder = GanCLI.resumed = None
    GanCLI.began = 0
    arguments = with_its_config(arguments)
    GanCLI.folders = user_code.find(Path(path) for path in config_files(arguments))
    try:
        with before_training():
            return run_command(lambda: _play(arguments))
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
            discard_folder(GanCLI.opened)
        raise
