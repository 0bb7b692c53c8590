"""What must be known of a command's arguments before they are parsed."""

from __future__ import annotations

import os
import re

from ganlab.errors import Refused
from ganlab.runs.own import CONFIG
from ganlab.runs.resume import folder_of

AUTO = "auto"
ENDINGS = (".zip", ".npz", ".yaml", ".yml", ".tar", ".gz")  # of files' names, and of no class's
NAMES_A_SEED = re.compile(r"--(data|model)(\.init_args)?\.seed(=|$)")
NAMES_A_RUN = re.compile("--(resume|rollback)(=|$)")


def with_its_config(arguments: list[str]) -> list[str]:
    """The arguments, and --config of the run that is resumed or rolled back if no --config is among them."""
    pairs = zip(arguments, [*arguments, ""][1:], strict=True)
    runs = [(name, name.partition("=")[2] or value) for name, value in pairs if NAMES_A_RUN.match(name)]
    if not runs or runs[-1][1] == AUTO or config_files(arguments):
        return arguments
    option, target = runs[-1]
    config = folder_of(target, option.partition("=")[0].removeprefix("--")) / CONFIG
    return [arguments[0], "--config", str(config), *arguments[1:]]


def refuse_other_seeds(arguments: list[str]) -> None:
    """The parser would take another seed without a word, and leave it out."""
    for argument in filter(NAMES_A_SEED.match, arguments):
        raise Refused(
            f"{argument.partition('=')[0]}: a run's random numbers follow from one seed, --seed_everything."
        )


def config_files(arguments: list[str]) -> list[str]:
    pairs = zip(arguments, [*arguments, ""][1:], strict=True)
    return [
        value if name in ("-c", "--config") else name.partition("=")[2]
        for name, value in pairs
        if _is_config(name)
    ]


def _is_config(argument: str) -> bool:
    return argument in ("-c", "--config") or argument.startswith("--config=")


def is_path(word: str) -> bool:
    """Whether a word that stands for a class or a path is a path: by its looks, or by what is there."""
    return word.endswith(ENDINGS) or os.sep in word or os.path.lexists(word)
