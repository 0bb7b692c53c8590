"""`report.html`: all of a comparison on one page that needs nothing else, and its plots as files."""

from __future__ import annotations

from pathlib import Path

from ganlab.comparison.report import page
from ganlab.comparison.report.figures import Figures
from ganlab.comparison.report.templates import writable
from ganlab.comparison.result import Comparison
from ganlab.system.atomic_file import atomic_write

FILE, PLOTS = "report.html", "plots"
KINDS = ("interval", "curve", "term", "nearest")  # the names of plots begin with these


def write(out: Path, comparison: Comparison) -> Path:
    """Write the page and its plots to a folder, without an earlier report's plots; return the page's path."""
    figures = Figures({id(group): number for number, group in enumerate(comparison.groups)})
    text, folder = page.html(comparison, figures), out / PLOTS
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        # Those of an earlier comparison would pass for this one's.
        for old in folder.glob(f"{kind}-*"):
            old.unlink()
    with atomic_write(out / FILE) as temporary:
        temporary.write_text(writable(text), encoding="utf-8")
    for name, plot in figures.plots.items():
        (folder / name).write_text(writable(plot), encoding="utf-8")
    for name, picture in figures.pictures.items():
        picture.save(folder / name)
    return out / FILE
