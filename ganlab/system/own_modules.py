"""Which of the loaded modules are the user's own."""

import sysconfig
from functools import cache
from pathlib import Path
from types import ModuleType

INSTALLED = {"site-packages", "dist-packages"}


def own_file(module: ModuleType) -> Path | None:
    """The source file of a module of the user's own; None of one of Python's, of ganlab's or of a package."""
    name = getattr(module, "__file__", None) or ""
    # Checked before the path is resolved, which would take half a second for thousands of modules.
    if _is_installed(name):
        return None
    file = Path(name).resolve()
    is_own = file.suffix == ".py" and file.is_file() and not _installed_folders() & {*file.parents}
    return file if is_own else None


@cache
def _is_installed(name: str) -> bool:
    return not INSTALLED.isdisjoint(Path(name).parts)


@cache
def _installed_folders() -> frozenset[Path]:
    ganlab = Path(__file__).resolve().parents[1]
    return frozenset({ganlab, *(Path(path).resolve() for path in sysconfig.get_paths().values())})
