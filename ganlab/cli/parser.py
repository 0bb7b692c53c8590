"""What all commands share: the argument parser, and the exit code when something is refused."""

import logging
import sys
import warnings
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

from lightning.pytorch.cli import LightningArgumentParser

from ganlab.cli.hints import explain, objection
from ganlab.errors import Failed, Refused
from ganlab.game.gan import GAN
from ganlab.runs import user_code
from ganlab.runs.load import checkpoint_or_export
from ganlab.sampling.plan import given_choices
from ganlab.system.memory import WithinMemory

SOURCE_HELP = "a run's folder, a checkpoint or an exported folder"
CHECKPOINT_HELP = "of a run's folder the newest, or the best by score, which that score then flatters"
TRUST_HELP = "run the code that the file names and the run holds, as a program; your own runs need no flag"
DIRECTION_HELP = "of a game that goes several ways, such as CycleGAN: there or back"
CHOICES_HELP = "what samples are drawn with, of what the game knows, also as --choices.NAME VALUE"
TRUNCATION_HELP = (
    "the largest absolute value of a latent's numbers, or with StyleGAN2 the share of the way from the mean"
    " style; as --choices.truncation"
)
COUNT, WALKS = 64, 16  # samples, and walks between samples, where no number is given


class Parser(LightningArgumentParser):
    instances: ClassVar[WeakSet["Parser"]] = WeakSet()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)
        if self.exit_on_error:
            self.instances.add(self)

    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        """Print three lines with the nearest known names, and exit with code 2."""
        if not self.exit_on_error:
            super().error(message, ex)
        keys = {action.dest for parser in self.instances for action in parser._actions}
        print(explain(message, keys), file=sys.stderr)
        raise SystemExit(2)

    def instantiate_classes(self, *args: Any, **kwargs: Any) -> Any:
        with WithinMemory():
            return super().instantiate_classes(*args, **kwargs)


def run_command(work: Callable[[], None]) -> int:
    """Do a command's work and return its exit code: 2 after a refusal, 1 after a failure, which it prints."""
    try:
        # jsonargparse leaves parsers in the context: a process that trains twice would keep the first model.
        copy_context().run(work)
    except Failed as failure:
        print(f"ganlab: {failure}", file=sys.stderr)
        return 1
    except Exception as error:
        if not (refused := refusal(error)):
            raise
        print(f"ganlab: {refused}", file=sys.stderr)
        return 2
    return 0


def refusal(error: BaseException | None) -> Refused | None:
    """The refusal among an error's causes, or None; the parser wraps what a constructor raises."""
    while error:
        if isinstance(error, Refused):
            return error
        if sentence := objection(error):
            return Refused(sentence)
        error = error.__cause__ or error.__context__
    return None


def silence_warnings() -> None:
    """Silence Lightning's advertisements, and warnings about what is done here on purpose."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for intended in (
        "Experiment logs directory .* exists and is not empty",  # the run's own folder
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning's own code
        r"Found \d+ module\(s\) in eval mode",  # the generator's average is meant to be
        "The '.*_dataloader' does not have many workers",  # batches are slices of one tensor
        "You called .* but have no logger configured",  # `ganlab validate` prints its table
        "Checkpoint directory .* exists and is not empty",
        "The `srun` command is available on your system but is not used",  # on a login node, or without a job
        "LightningCLI's args parameter",  # a resumed run's configuration is added to them
    ):
        warnings.filterwarnings("ignore", message=f".*{intended}")


def add_choices(parser: Parser) -> None:
    """The options that tell samples by what choices they are drawn."""
    parser.add_argument("--direction", type=str | None, help=DIRECTION_HELP)
    parser.add_argument("--truncation", type=float | None, help=TRUNCATION_HELP)
    parser.add_argument("--choices", type=dict[str, Any] | None, metavar="{NAME: VALUE}", help=CHOICES_HELP)


def goes_back(chosen: Any, game: GAN) -> bool:
    """Let the game go in the direction that is asked for; whether that is another than its first."""
    if chosen.direction is None:
        return False
    game.go(chosen.direction)
    return bool(chosen.direction != game.directions[0])


def chosen_choices(chosen: Any) -> dict[str, Any]:
    """What the options of `add_choices` say."""
    if chosen.truncation is not None and "truncation" in given_choices(chosen.choices):
        raise Refused("--truncation and --choices.truncation are one choice: give one of the two.")
    return given_choices(chosen.choices) | given_choices({"truncation": chosen.truncation})


def chosen_source(chosen: Any) -> Path:
    """The checkpoint or export that a command's arguments name; user code is found only if it is trusted."""
    if chosen.trust_code:
        user_code.add_to_path([])
    return checkpoint_or_export(Path(chosen.what), chosen.checkpoint)


def parsed(name: str, kind: type, config: Any) -> Any:
    """The configuration of a class that is named as on the command line, complete; `name` is for messages."""
    return _parser_of(name, kind).parse_object({name: config})[name]


def instantiated(name: str, kind: type, config: Any) -> Any:
    """An instance of a class that is named as on the command line; `name` is for messages."""
    parser = _parser_of(name, kind)
    return parser.instantiate_classes(parser.parse_object({name: config}))[name]


def _parser_of(name: str, kind: type) -> Parser:
    parser = Parser(exit_on_error=True)
    parser.add_argument(f"--{name}", type=kind)
    return parser
