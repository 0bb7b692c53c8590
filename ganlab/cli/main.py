"""The command `ganlab`. It imports torch only when a command needs it."""

import difflib
import os
import select
import sys
from importlib import import_module
from io import TextIOWrapper

from ganlab.version import VERSION

COMMANDS = {
    "fit": ("ganlab.cli.fit", "train a variant: ganlab fit --config experiments/digits/r3gan.yaml"),
    "validate": (
        "ganlab.cli.fit",
        "run the validation of a checkpoint: --config RUN/config.yaml --ckpt_path FILE",
    ),
    "evaluate": (
        "ganlab.cli.evaluate",
        "the scores of a run, a checkpoint, an export or a folder of images [--json]",
    ),
    "sample": (
        "ganlab.cli.sample",
        "draw from a run, a checkpoint or an export: --out grid.png, folder/, x.npz, walk.gif",
    ),
    "export": ("ganlab.cli.export", "a run's generator as safetensors and JSON for others: --out FOLDER"),
    "invert": (
        "ganlab.cli.invert",
        "the latents of pictures, by search or an encoder's run: RUN photos/ --out folder/",
    ),
    "anomaly": (
        "ganlab.cli.anomaly",
        "which pictures are not normal: RUN [FOLDER] --out folder/",
    ),
    "synthesize": (
        "ganlab.cli.synthesize",
        "a set of samples, a folder for each class, with a manifest: RUN --per_class 1000 --out folder/",
    ),
    "study": (
        "ganlab.cli.study",
        "whether samples help a classifier: augmentation EXPERIMENT ... --counts 100,1000,all --local",
    ),
    "data": (
        "ganlab.cli.data_check",
        "check a data set before a run: ganlab data check CatsVsDogs --root FOLDER",
    ),
    "compare": ("ganlab.cli.compare", "runs against runs, with error bars: a table and report.html [--json]"),
    "launch": (
        "ganlab.cli.launch",
        "experiments x seeds as one SLURM array job, or --local; --status FOLDER",
    ),
    "verify-resume": ("ganlab.cli.verify_resume", "prove that a killed run of yours goes on bit for bit"),
    "list": ("ganlab.cli.list", "the variants, networks, data and experiments there are [--json]"),
}

READER_GONE = 128 + 13  # as a shell reports a program that SIGPIPE ended


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, TextIOWrapper):
        # A file's name may hold bytes that the terminal's encoding does not know.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = _run(arguments[0] if arguments else "--help", arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        return READER_GONE
    return code


def _run(command: str, arguments: list[str]) -> int:
    if command in ("-h", "--help"):
        print(_help())
    elif command in ("-V", "--version"):
        print(f"ganlab {VERSION}")
    elif command in COMMANDS:
        return import_module(COMMANDS[command][0]).main(arguments)
    else:
        near = difflib.get_close_matches(command, COMMANDS, n=2) or list(COMMANDS)
        print(f"ganlab: there is no command '{command}'. Nearest: {', '.join(near)}.", file=sys.stderr)
        return 2
    return 0


def _nobody_reads() -> bool:
    """Whether the reader of standard output is gone, as after `| head`; if so, no more is written to it."""
    try:
        output = sys.stdout.fileno()
    except OSError:  # in a notebook
        return False
    (poll := select.poll()).register(output, select.POLLOUT)
    gone = any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    if gone:
        # Python flushes once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return gone


def _help() -> str:
    lines = [f"  {name:10} {line}" for name, (_, line) in COMMANDS.items()]
    return "\n".join(
        ["usage: ganlab COMMAND ...", "", *lines, "", "ganlab COMMAND --help tells its options."]
    )
