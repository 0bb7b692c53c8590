"""The page: its heading, its parts in their order, and the rules that keep it to itself."""

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
from ganlab.comparison.report.memorisation import memorised
from ganlab.comparison.report.templates import render
from ganlab.comparison.result import Comparison

HOME = Path(__file__).parent
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
SPREAD = 30.0  # the ratio of a term's values from which its plot is logarithmic


def html(comparison: Comparison, figures: Figures) -> str:
    script, style, plots = ((HOME / name).read_text() for name in ("browser.js", "page.css", "plot.css"))
    # Whatever a run's folder might have slipped in, no other script runs, and nothing is fetched.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    tables = [first for first, *_ in scores.by_contract(comparison)]
    return render(
        "page.html",
        policy=f"{POLICY}; script-src 'sha256-{digest}'",
        title=_title(comparison.groups),
        lead=" ".join(words.of_table(table) for table in tables[:3]),
        compared=words.compared(comparison),
        made=time.strftime("%d %B %Y, %H:%M").lstrip("0"),
        parts=[part for part in _parts(comparison, figures) if part[2]],
        style=Markup(plots + style),
        script=Markup(script),
    )


def _parts(comparison: Comparison, figures: Figures) -> Iterator[tuple[str, str, Markup]]:
    groups = comparison.groups
    yield from scores.parts(comparison, figures)
    yield "samples", "Samples", samples.rendered(groups)
    yield "terms", "Terms", _terms(groups, figures)
    yield "settings", "Settings", provenance.settings(groups)
    yield "memorisation", "Memorisation", memorised(comparison, figures)
    yield "troubles", "Troubles", provenance.troubles(comparison)
    yield "commands", "Commands", provenance.commands(groups)


def _title(groups: Sequence[Group]) -> str:
    names = [group.name for group in groups]
    data = words.listed(sorted({run.data for group in groups for run in group.runs}))
    of = words.listed(names) if 0 < len(names) <= 4 else f"{len(names)} groups"
    return f"{of} on {data}" if data else of


def _terms(groups: Sequence[Group], figures: Figures) -> Markup:
    found = curves.terms(groups)
    charts = []
    for name, lines in found.items():
        values = [v for line in lines for v in line.values()]
        log = min(values) > 0 and max(values) / min(values) > SPREAD
        note = "logarithmic" if log else ""
        size = {"width": 340, "height": 220, "margins": (28, 12, 40, 46)}
        chart = Chart(name, note, lines, "images seen", log, robust=True, **size)  # type: ignore[arg-type]
        charts.append(figures.chart(chart, "term", name))
    first = {line.number: line for lines in found.values() for line in lines}
    return render("terms.html", charts=charts, lines=[first[number] for number in sorted(first)])
