"""What was run: the settings that differ, what went wrong, and how to repeat it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from markupsafe import Markup

from ganlab.comparison.read import Group
from ganlab.comparison.report import words
from ganlab.comparison.report.axis import NONE
from ganlab.comparison.report.templates import render
from ganlab.comparison.result import Comparison


def settings(groups: Sequence[Group]) -> Markup:
    keys = dict.fromkeys(key for group in groups for key in group.differs)
    rows = []
    for key in keys:
        *parents, last = key.rpartition(".")
        values = [_as_text(group.differs[key]) if key in group.differs else NONE for group in groups]
        rows.append((_breakable("".join(parents)), _breakable(last), values))
    return render("settings.html", groups=groups, rows=rows)


def _breakable(name: str) -> Markup:
    """The name for a narrow cell: a line may break after a point or an underscore."""
    return Markup("<wbr>").join(re.split(r"(?<=[._])", name))


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def troubles(comparison: Comparison) -> Markup:
    notes = [*words.left_out(comparison), *comparison.notes]
    return render("troubles.html", rows=[*words.troubles(comparison)], bad=words.BAD, notes=notes)


def commands(groups: Sequence[Group]) -> Markup:
    return render("commands.html", groups=groups)
