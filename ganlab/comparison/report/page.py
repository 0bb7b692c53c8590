"""The page: its heading, its parts in their order, and a policy that lets it load nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from markupsafe import Markup

from ganlab.comparison.read import Group
from ganlab.comparison.report import curves, provenance, samples, scores, words
from ganlab.comparison.report.charts import Chart
from ganlab.comparison.report.figures import Figures
from ganlab.comparison.report.memorisation import render_nearest
from ganlab.comparison.report.templates import render
from ganlab.comparison.result import Comparison

HOME = Path(__file__).parent
POLICY = (
    "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
LOG_RATIO = 30.0  # the ratio of a term's values from which its plot is logarithmic


def html(comparison: Comparison, figures: Figures, *, memorisation: bool) -> str:
    """The page's text; its plots are added to `figures`, to be written as files."""
    script, style, plots = ((HOME / name).read_text() for name in ("browser.js", "page.css", "plot.css"))
    # Whatever names and texts come from a run's folder, no other script runs, and nothing is fetched.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    tables = [first for first, *_ in scores.by_contract(comparison)]
    return render(
        "page.html",
        policy=f"{POLICY}; script-src 'sha256-{digest}'",
        title=_title(comparison.groups),
        lead=" ".join(words.summarise(table) for table in tables[:3]),
        compared=words.compared(comparison),
        date=time.strftime("%d %B %Y, %H:%M").lstrip("0"),
        parts=[part for part in _parts(comparison, figures, memorisation=memorisation) if part[2]],
        style=Markup(plots + style),
        script=Markup(script),
    )


def _parts(
    comparison: Comparison, figures: Figures, *, memorisation: bool
) -> Iterator[tuple[str, str, Markup]]:
    """Id, heading and content of each part."""
    groups = comparison.groups
    yield from scores.parts(comparison, figures)
    yield "samples", "Samples", samples.render_strips(groups)
    yield "terms", "Terms", _terms(groups, figures)
    yield "settings", "Settings", provenance.settings(groups)
    if memorisation:
        yield "memorisation", "Memorisation", render_nearest(comparison, figures)
    yield "troubles", "Troubles", provenance.troubles(comparison)
    yield "commands", "Commands", provenance.commands(groups)


def _title(groups: Sequence[Group]) -> str:
    names = [group.name for group in groups]
    data = words.listed(sorted({run.data for group in groups for run in group.runs}))
    compared = words.listed(names) if 0 < len(names) <= 4 else f"{len(names)} groups"
    return f"{compared} on {data}" if data else compared


def _terms(groups: Sequence[Group], figures: Figures) -> Markup:
    by_term = curves.term_lines(groups)
    charts = []
    for name, lines in by_term.items():
        values = [v for line in lines for v in line.y_values()]
        log = min(values) > 0 and max(values) / min(values) > LOG_RATIO
        note = "logarithmic" if log else ""
        size = {"width": 340, "height": 220, "margins": (28, 12, 40, 46)}
        chart = Chart(name, note, lines, "images seen", log, robust=True, **size)  # type: ignore[arg-type]
        charts.append(figures.chart(chart, "term", name))
    by_group = {line.number: line for lines in by_term.values() for line in lines}
    return render("terms.html", charts=charts, lines=[by_group[number] for number in sorted(by_group)])
