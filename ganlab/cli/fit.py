"""`ganlab fit` and `ganlab validate`."""

import errno
import gc
import re
import sys
from pathlib import Path

from ganlab.callbacks.preemption import Preempted, before_training
from ganlab.cli.arguments import config_files, with_its_config
from ganlab.cli.experiment import GanCLI
from ganlab.cli.parser import refusal, run_command, silence_warnings
from ganlab.cli.run_folder import RunFolder
from ganlab.errors import Failed
from ganlab.runs import user_code
from ganlab.system.hardware import keep_freed_memory
from ganlab.system.processes import is_first_process

# What the backends of torch.distributed say when a peer is gone.
LOST = re.compile(r"Connection (closed|reset) by peer|Broken pipe|Timed out waiting|NCCL|ProcessGroup")


def main(arguments: list[str]) -> int:
    keep_freed_memory()
    silence_warnings()
    gc.collect()  # What was trained here before is held by circles only: it makes room for the next.
    arguments = with_its_config(arguments)
    run = RunFolder(user_code.find(Path(path) for path in config_files(arguments)))
    try:
        with before_training():
            return run_command(lambda: _play(arguments, run))
    except KeyboardInterrupt:
        return 130
    except Preempted as stopped:
        # A code from any other process would have what started them kill the first one, which may be
        # putting its job back into the queue.
        return stopped.code if is_first_process() else 0
    except (OSError, RuntimeError) as error:
        if not (sentence := _failure(error, run)):
            raise
        print(f"ganlab: {sentence}", file=sys.stderr)
        return 1


def _failure(error: OSError | RuntimeError, run: RunFolder) -> str:
    """What ends a run under way and is no defect, in a sentence."""
    resume = f"ganlab fit --resume {run.path or 'RUN'}"
    if isinstance(error, Failed):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = error.filename or "What the run records"
        return f"{what} could not be written: {error.strerror}.\nMake room and resume the run: {resume}"
    if isinstance(error, RuntimeError) and LOST.search(str(error)):
        died = "Another process of this run died, or cannot be reached any more."
        return f"{died}\nNothing that was saved is lost: {resume}"
    return ""


def _play(arguments: list[str], run: RunFolder) -> None:
    try:
        GanCLI.read(arguments, run)
    except Exception as error:
        if refusal(error):
            run.discard_if_untrained()
        raise
