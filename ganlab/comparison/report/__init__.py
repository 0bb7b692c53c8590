"""`report.html`: all of a comparison on one page that needs nothing else, and its plots as files."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from ganlab.comparison.report import page
from ganlab.comparison.report.figures import Figures
from ganlab.comparison.report.templates import writable
from ganlab.comparison.result import Comparison
from ganlab.system.atomic_file import atomic_write
from ganlab.system.untrusted import json_object, read_bytes

FILE, PLOTS = "report.html", "plots"
WRITTEN = "plots.json"  # the names of the plots that were written, and their digests


def write(out: Path, comparison: Comparison, *, memorisation: bool = True) -> Path:
    """Write the page and its plots to a folder, without an earlier report's plots; return the page's path.

    Args:
        memorisation: With the part on training images nearest to the samples, which shows some of them.
    """
    figures = Figures({id(group): number for number, group in enumerate(comparison.groups)})
    text, folder = page.html(comparison, figures, memorisation=memorisation), out / PLOTS
    files = figures.files()
    folder.mkdir(parents=True, exist_ok=True)
    _remove_earlier(out)
    _replace(out / FILE, writable(text).encode())
    digests = {name: _digest(content) for name, content in files.items()}
    if digests:
        _replace(out / WRITTEN, (json.dumps(digests, indent=2) + "\n").encode())
    for name, content in files.items():
        _replace(folder / name, content)
    return out / FILE


def _remove_earlier(out: Path) -> None:
    """Remove an earlier report's plots, which would pass for this one's, unless they were changed since."""
    for name, digest in json_object(out / WRITTEN, []).items():
        path = out / PLOTS / name
        with suppress(OSError, ValueError):
            if path.parent == out / PLOTS and _digest(read_bytes(path)) == digest:
                path.unlink()
    (out / WRITTEN).unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
