"""What was run: the settings that differ, what went wrong, and how to repeat it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from ganlab.comparison.read import Group
from ganlab.comparison.report import words
from ganlab.comparison.report.axis import NONE
from ganlab.comparison.report.charts import sign
from ganlab.comparison.report.markup import Markup, element, joined, text
from ganlab.comparison.result import Comparison


def settings(groups: Sequence[Group]) -> Markup:
    keys = list(dict.fromkeys(key for group in groups for key in group.differs))
    if not keys:
        alone = "There is one group." if len(groups) == 1 else "The groups' settings are all the same."
        return element("p", alone, class_="quiet")
    heads = [
        element("th", sign(place), element("span", group.name), scope="col")
        for place, group in enumerate(groups)
    ]
    rows = [
        element(
            "tr",
            element("th", _key(key), scope="row", class_="name"),
            *(element("td", _setting(g.differs[key]) if key in g.differs else NONE) for g in groups),
        )
        for key in keys
    ]
    table = element(
        "table",
        element("thead", element("tr", element("th", "setting", scope="col", class_="name"), *heads)),
        element("tbody", *rows),
        class_="settings",
    )
    return joined(
        element("div", table, class_="wide", tabindex=0, role="region", aria_label="settings"),
        element("p", "Only what is not the same in all groups.", class_="caption"),
    )


def _key(key: str) -> Markup:
    """Broken, where it has to be, after a point or an underscore."""
    before, _, last = key.rpartition(".")
    first = element("span", _breaking(f"{before}."), class_="before") if before else None
    return joined(first, _breaking(last))


def _breaking(name: str) -> Markup:
    return Markup(re.sub(r"([._])", r"\1<wbr>", text(name)))


def _setting(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def troubles(comparison: Comparison) -> Markup:
    rows = [
        element(
            "tr",
            element("th", element("span", sign(place), element("span", name), class_="named"), scope="row"),
            element("td", element("span", state, class_=f"mark{' bad' * (state in words.BAD)}")),
            element("td", reason),
            element("td", element("code", source)),
        )
        for place, name, source, state, reason in words.troubles(comparison)
    ]
    heads = [element("th", name, scope="col") for name in ("group", "state", "reason", "run")]
    head = element("thead", element("tr", *heads))
    table = element("table", head, element("tbody", *rows), class_="troubles")
    fine = element("p", "Every run came to its end, and none collapsed.")
    notes = [element("li", note) for note in [*words.left_out(comparison), *comparison.notes]]
    return joined(
        element("div", table, class_="wide", tabindex=0, role="region", aria_label="troubles"),
        element("ul", *notes, class_="notes") if notes else None,
    ) if rows else joined(fine, element("ul", *notes, class_="notes") if notes else None)  # fmt: skip


def commands(groups: Sequence[Group]) -> Markup:
    return element("div", *(_command(place, group) for place, group in enumerate(groups)))


def _command(place: int, group: Group) -> Markup:
    known = [run.command for run in group.runs if run.command]
    # Each is its own block, so that a long one is indented where it goes on.
    lines = (element("span", f"{command}\n") for command in known)
    told = element("pre", *lines, tabindex=0) if known else None
    none = None if known else element("p", "Not recorded.", class_="quiet")
    label = f"copy the commands of {group.name}"
    copy = element("button", "Copy", type="button", class_="copy needs-script", aria_label=label)
    head = element("div", sign(place), element("h3", group.name), copy if known else None, class_="named")
    return element("div", head, told, none, class_="command")
