"""`report.html`: all of a comparison on one page that needs nothing else, and its plots as files."""

from __future__ import annotations

from pathlib import Path

from ganlab.comparison.report import nearest
from ganlab.comparison.report.page import Page
from ganlab.comparison.result import Comparison
from ganlab.system.atomic_file import atomic_write

FILE, PLOTS = "report.html", "plots"
KINDS = ("interval", "curve", "term", "nearest")  # with which the names of plots begin


def write(out: Path, comparison: Comparison, *, memorisation: bool = True) -> Path:
    """
    Args:
        memorisation: Look for the training images nearest to samples, up to 10 s a group; needs the data.
    """
    found = nearest.likenesses(comparison) if memorisation else []
    page = Page(comparison, found)
    text, folder = page.html(), out / PLOTS
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        # Those of an earlier comparison would pass for this one's.
        for old in folder.glob(f"{kind}-*"):
            old.unlink()
    with atomic_write(out / FILE) as made:
        made.write_text(text, encoding="utf-8")
    for name, plot in page.figures.plots.items():
        (folder / name).write_text(plot, encoding="utf-8")
    for name, picture in page.figures.pictures.items():
        picture.save(folder / name)
    return out / FILE
