"""`ganlab fit` and `ganlab validate`."""

import errno
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
    except Failed as error:
        print(f"ganlab: {error}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        if not LOST.search(str(error)):
            raise
        print(
            f"ganlab: Another process of this run died, or cannot be reached any more.\n"
            f"Nothing that was saved is lost: ganlab fit --resume {GanCLI.folder or 'RUN'}",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not GanCLI.folder:
            raise
        print(
            f"ganlab: {error.filename or 'What the run records'} could not be written: {error.strerror}.\n"
            f"Make room and resume the run: ganlab fit --resume {GanCLI.folder}",
            file=sys.stderr,
        )
        return 1


def _play(arguments: list[str]) -> None:
    try:
        GanCLI.read(arguments)
    except Exception as error:
        # Where nothing was trained, a folder opened for this run would only be in the way.
        if refusal(error) and GanCLI.opened and not (GanCLI.opened / "checkpoints").exists():
            runs.discard(GanCLI.opened)
        raise
