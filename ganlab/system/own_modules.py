"""Which of the loaded modules are the user's own."""

import sysconfig
from functools import cache
from pathlib import Path
from types import ModuleType

INSTALLED = {"site-packages", "dist-packages"}


def own_file(module: ModuleType) -> Path | None:
    """The source file of a module of the user's own; None of one of Python's, of ganlab's or of a package."""
    name = getattr(module, "__file__", None) or ""
    # Thousands of modules: their paths are looked at once, and resolved only where that says nothing.
    if _is_installed(name):
        return None
    file = Path(name).resolve()
    is_own = file.suffix == ".py" and file.is_file() and not _installed_folders() & {*file.parents}
    return file if is_own else None


@cache
def _is_installed(name: str) -> bool:
    path = Path(name)
    return not (INSTALLED.isdisjoint(path.parts) and _installed_folders().isdisjoint(path.parents))


@cache
def _installed_folders() -> frozenset[Path]:
    folders = {Path(__file__).parents[1], *map(Path, sysconfig.get_paths().values())}
    return frozenset({*folders, *(folder.resolve() for folder in folders)})
