"""`ganlab fit` and `ganlab validate`."""

import errno
import gc
import re
import sys
from itertools import count
from pathlib import Path

from ganlab.callbacks.preemption import Preempted, before_training
from ganlab.cli.arguments import config_files, refuse_other_seeds, with_its_config
from ganlab.cli.experiment import GanCLI
from ganlab.cli.parser import refusal, run_command, silence_warnings
from ganlab.cli.run_folder import RunFolder
from ganlab.errors import Refused
from ganlab.runs import user_code
from ganlab.runs.own import CONFIG, is_run, refuse_foreign
from ganlab.system.hardware import keep_freed_memory
from ganlab.system.processes import is_first_process

STARTS = count()  # of trainings in this process
# Errors of torch.distributed when another process is gone.
PEER_LOST = re.compile(r"Connection (closed|reset) by peer|Broken pipe|Timed out waiting|NCCL|ProcessGroup")


def main(arguments: list[str]) -> int:
    keep_freed_memory()
    silence_warnings()
    if next(STARTS):  # A model trained before in this process is held by reference cycles alone.
        gc.collect()
    run = RunFolder()
    try:
        with before_training():
            return run_command(lambda: _train_or_validate(arguments, run))
    except KeyboardInterrupt:
        return 130
    except Preempted as stopped:
        # A nonzero code of another process would make the launcher kill the first one, which may be
        # requeueing its job.
        return stopped.code if is_first_process() else 0
    except (OSError, RuntimeError) as error:
        if not (sentence := _explain_failure(error, run)):
            raise
        print(f"ganlab: {sentence}", file=sys.stderr)
        return 1


def _explain_failure(error: OSError | RuntimeError, run: RunFolder) -> str:
    """What to do about a failure that is no defect of the code: disk full, process lost; "" for any other."""
    resume = f"ganlab fit --resume {run.path}" if run.path else "the same command"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = error.filename or "What the run records"
        return f"{what} could not be written: {error.strerror}.\nMake room and resume the run: {resume}"
    if isinstance(error, RuntimeError) and PEER_LOST.search(str(error)):
        died = "Another process of this run died, or cannot be reached any more."
        return f"{died}\nNothing that was saved is lost: {resume}"
    return ""


def _train_or_validate(arguments: list[str], run: RunFolder) -> None:
    refuse_other_seeds(arguments)
    arguments = with_its_config(arguments)
    configs = [Path(path) for path in config_files(arguments)]
    for config in configs:
        if config.is_fifo() and not config.is_relative_to("/dev"):
            raise Refused(f"{config} is a pipe, and no file with settings (config).")
    for folder in (config.parent for config in configs if config.name == CONFIG and is_run(config.parent)):
        refuse_foreign(folder, trust_code="--trust_code" in arguments)
    run.code_folders = user_code.add_to_path(configs)
    refused = False
    try:
        GanCLI.read(arguments, run)
    except Exception as error:
        refused = refusal(error) is not None
        raise
    finally:
        run.close(refused=refused)
