"""A user's own modules: put on Python's path, and copied into a run's folder."""

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from ganlab.system.own_modules import own_file

FOLDER = "code"  # in a run's folder


def add_to_path(configs: Iterable[Path]) -> list[Path]:
    """Put folders on Python's path and return them.

    First the code that a run has copied, then the current folder, then those of the configuration files.
    """
    beside = [config.resolve().parent for config in configs]
    folders = [Path.cwd(), *dict.fromkeys(folder for folder in beside if folder != Path.cwd())]
    sys.path[:0] = [str(folder) for folder in folders if str(folder) not in sys.path]
    return [*(copy for folder in reversed(beside) if (copy := add_copy(folder))), *folders]


def add_copy(run: Path) -> Path | None:
    """Put a run's copy of the user's modules on Python's path, before all else; None if it has none."""
    if not (copy := run / FOLDER).is_dir():
        return None
    # Python would write bytecode into it, which nobody has signed. Workers inherit the variable.
    sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
    if str(copy) not in sys.path:
        sys.path.insert(0, str(copy))
    return copy


def copy_modules(folders: Iterable[Path], copy: Path) -> None:
    """Copy every loaded module in one of these folders that is no installed package."""
    folders = list(folders)
    for module in list(sys.modules.values()) if folders else ():
        if not (file := own_file(module)):
            continue
        # The innermost folder, because one may lie in another.
        home = max((f for f in folders if f in file.parents), key=lambda f: len(f.parts), default=None)
        if home is not None and module.__name__ != "__main__":
            target = copy / file.relative_to(home)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
