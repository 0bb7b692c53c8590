"""What all commands share: how they read their arguments, and how they end."""

import logging
import sys
import traceback
import warnings
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

from lightning.pytorch.cli import LightningArgumentParser

from ganlab.cli.hints import explain
from ganlab.errors import Refused
from ganlab.runs import user_code
from ganlab.runs.load import checkpoint_or_export

WHAT = "a run's folder, a checkpoint or an exported folder"
TRUST = "import and run the code that the file names and the run has kept; as if you ran it as a program"
COUNT, WALKS = 64, 16

DECLINING = ("lightning.pytorch.trainer.connectors", "torch.optim")


class Parser(LightningArgumentParser):
    made: ClassVar[WeakSet["Parser"]] = WeakSet()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)
        if self.exit_on_error:
            self.made.add(self)

    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        """Three lines with the nearest known names, exit code 2."""
        if not self.exit_on_error:
            super().error(message, ex)
        keys = {action.dest for parser in self.made for action in parser._actions}
        print(explain(message, keys), file=sys.stderr)
        raise SystemExit(2)


def run_command(work: Callable[[], None]) -> int:
    """Do a command's work; what cannot work is told in a sentence, with the exit code 2."""
    try:
        # jsonargparse leaves parsers in the context: a process that trains twice would keep all they built.
        copy_context().run(work)
    except Exception as error:
        if not (refused := refusal(error)):
            raise
        print(f"ganlab: {refused}", file=sys.stderr)
        return 2
    return 0


def refusal(error: BaseException | None) -> BaseException | None:
    """The parser wraps what a constructor raises."""
    while error and not isinstance(error, Refused) and not _declined(error):
        error = error.__cause__ or error.__context__
    return error


def _declined(error: BaseException) -> bool:
    """Whether Lightning's Trainer or an optimizer of torch did not take an argument's value."""
    last = [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)][-1:]
    return isinstance(error, ValueError) and last[0].startswith(DECLINING)


def silence_warnings() -> None:
    """Lightning's advertisements, and warnings of what is meant here."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for meant in (
        "Experiment logs directory .* exists and is not empty",  # the run's own folder
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # within Lightning
        r"Found \d+ module\(s\) in eval mode",  # the generator's average
        "The '.*_dataloader' does not have many workers",  # batches are slices of one tensor
        "You called .* but have no logger configured",  # `ganlab validate` prints its table
        "Checkpoint directory .* exists and is not empty",
        "The `srun` command is available on your system but is not used",  # a login node, or one of one's own
        "LightningCLI's args parameter",  # a resumed run's configuration is added to them
    ):
        warnings.filterwarnings("ignore", message=f".*{meant}")


def chosen_source(chosen: Any) -> Path:
    if chosen.trust_code:
        user_code.find([])
    return checkpoint_or_export(Path(chosen.what))
