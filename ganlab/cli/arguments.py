"""What the words of a command say before any parser has read them."""

from __future__ import annotations

import re
from pathlib import Path

AUTO = "auto"
BRINGS = re.compile("--(resume|rollback)(=|$)")


def with_its_config(arguments: list[str]) -> list[str]:
    """A run that is resumed or rolled back brings its own configuration, where no other is given."""
    given = zip(arguments, [*arguments[1:], ""], strict=True)
    names = [name.partition("=")[2] or value for name, value in given if BRINGS.match(name)]
    if not names or names[-1] == AUTO or config_files(arguments):
        return arguments
    path = Path(names[-1])
    folder = path.parent.parent if path.suffix == ".ckpt" else path
    if not (folder / "config.yaml").is_file():
        return arguments
    return [arguments[0], "--config", str(folder / "config.yaml"), *arguments[1:]]


def config_files(arguments: list[str]) -> list[str]:
    given = zip(arguments, [*arguments[1:], ""], strict=True)
    return [
        value if name in ("-c", "--config") else name.partition("=")[2]
        for name, value in given
        if _is_config(name)
    ]


def _is_config(argument: str) -> bool:
    return argument in ("-c", "--config") or argument.startswith("--config=")
