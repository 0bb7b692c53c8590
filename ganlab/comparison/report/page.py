"""The page: its heading, its parts in their order, and the rules that keep it to itself."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from ganlab.comparison.report import curves, provenance, samples, scores, words
from ganlab.comparison.report.charts import Chart
from ganlab.comparison.report.figures import Figures, legend
from ganlab.comparison.report.markup import Child, Markup, element, joined
from ganlab.comparison.report.memorisation import memorised
from ganlab.comparison.report.nearest import Likeness
from ganlab.comparison.result import Comparison

HOME = Path(__file__).parent
RULES = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
FOOT = (
    "Made by ganlab compare. This page is one file and asks no network for anything; its plots lie in plots/."
)
SPREAD = 30.0  # the ratio of a term's values from which its plot is logarithmic
SAME = "In each group the first seed draws the same latents: the same place in two sheets is the same latent."
CUT = (
    "Means over seeds as far as all of a group's runs go, with the range of the seeds; the most extreme half "
    "per cent is cut off."
)


class Page:
    def __init__(self, comparison: Comparison, likenesses: Sequence[Likeness | str]) -> None:
        self.comparison, self.likenesses = comparison, likenesses
        self.groups = comparison.groups
        self.figures = Figures({id(group): place for place, group in enumerate(self.groups)})

    def html(self) -> str:
        """Made once; thereafter the figures are known."""
        script, style = ((HOME / name).read_text() for name in ("browser.js", "page.css"))
        style = (HOME / "plot.css").read_text() + style
        parts = [part for part in self._parts() if part[2]]
        # Whatever a run's folder might have slipped in, no other script runs, and nothing is fetched.
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        rules = f"{RULES}; script-src 'sha256-{digest}'"
        head = element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=rules),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", f"{self._title} · ganlab compare"),
            element("style", Markup(style)),
        )
        sections = (element("section", element("h2", title), part, id=name) for name, title, part in parts)
        body = element(
            "body",
            self._top(parts),
            element("main", *sections),
            element("footer", element("p", FOOT)),
            element("div", id="told", role="status", hidden=True),
            element("script", Markup(script)),
        )
        return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"

    def _parts(self) -> Iterator[tuple[str, str, Child]]:
        yield from scores.parts(self.comparison, self.figures)
        yield "samples", "Samples", self._samples()
        yield "terms", "Terms", self._terms()
        yield "settings", "Settings", provenance.settings(self.groups)
        if self.likenesses:
            yield "memorisation", "Memorisation", memorised(self.groups, self.likenesses, self.figures)
        yield "troubles", "Troubles", provenance.troubles(self.comparison)
        yield "commands", "Commands", provenance.commands(self.groups)

    @cached_property
    def _title(self) -> str:
        names = [group.name for group in self.groups]
        data = words.listed(sorted({run.data for group in self.groups for run in group.runs}))
        of = words.listed(names) if 0 < len(names) <= 4 else f"{len(names)} groups"
        return f"{of} on {data}" if data else of

    def _top(self, parts: Sequence[tuple[str, str, Child]]) -> Markup:
        tables = [found[0] for found in scores.by_contract(self.comparison)]
        lead = " ".join(words.of_table(table) for table in tables[:3])
        links = [element("a", title, href=f"#{name}") for name, title, _ in parts]
        button = element("button", "Dark", type="button", id="theme", class_="needs-script")
        made = time.strftime("%d %B %Y, %H:%M").lstrip("0")
        return element(
            "header",
            element("div", element("p", "ganlab compare", class_="kicker"), button, class_="bar"),
            element("h1", self._title),
            element("p", lead or "No run has a score yet.", class_="lead"),
            element("p", f"{words.compared(self.comparison)} · {made}", class_="quiet"),
            element("nav", *links, aria_label="parts"),
        )

    def _samples(self) -> Markup:
        found = samples.strips(self.groups)
        without = samples.without(self.groups, found)
        none = element("p", f"No samples on this machine: {words.listed(without)}.", class_="quiet")
        shown = (element("p", SAME, class_="intro"), samples.rendered(found)) if found else None
        return joined(shown, none if without else None)

    def _terms(self) -> Markup:
        found = curves.terms(self.groups)
        if not found:
            return element("p", "No run has kept its terms.", class_="quiet")
        charts = []
        for name, lines in found.items():
            values = [v for line in lines for v in line.values()]
            log = min(values) > 0 and max(values) / min(values) > SPREAD
            note = "logarithmic" if log else ""
            size = {"width": 340, "height": 220, "margins": (28, 12, 40, 46)}
            chart = Chart(name, note, lines, "images seen", log, robust=True, **size)  # type: ignore[arg-type]
            charts.append(self.figures.chart(chart, "term", name))
        first = {line.number: line for lines in found.values() for line in lines}
        return joined(
            legend(first[number] for number in sorted(first)),
            element("div", *charts, class_="charts many"),
            element("p", CUT, class_="caption"),
        )
