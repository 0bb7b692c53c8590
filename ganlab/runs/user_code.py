"""A user's own variants, networks and data: where they are found, and what is kept of them beside a run."""

import shutil
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

KEPT = "code"
INSTALLED = {"site-packages", "dist-packages"}


def find(configs: Iterable[Path]) -> list[Path]:
    """Put on Python's path: what a run kept, the current folder, the folders of the configuration files."""
    beside = [config.resolve().parent for config in configs]
    kept = [folder / KEPT for folder in beside if (folder / KEPT).is_dir()]
    folders = list(dict.fromkeys([*kept, Path.cwd(), *beside]))
    sys.path[:0] = [str(folder) for folder in folders if str(folder) not in sys.path]
    return folders


def keep(folders: Iterable[Path], run: Path) -> None:
    """Copy every loaded module that lies in one of these folders, and is no installed package, into the
    run's.
    """
    installed = {Path(path).resolve() for path in sysconfig.get_paths().values()} | {
        Path(__file__).resolve().parents[1]
    }
    for module in list(sys.modules.values()):
        file = Path(getattr(module, "__file__", None) or "")
        # Before the path is resolved: there are thousands, half a second's worth.
        if INSTALLED & {*file.parts}:
            continue
        file = file.resolve()
        if file.suffix != ".py" or not file.is_file() or any(path in file.parents for path in installed):
            continue
        # The nearest folder, because one may lie in another.
        home = max((f for f in folders if f in file.parents), key=lambda f: len(f.parts), default=None)
        if home is not None and module.__name__ != "__main__":
            target = run / KEPT / file.relative_to(home)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
