"""The panel that shows samples beside the training images nearest to them, as the runs drew them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from PIL import Image

from ganlab.callbacks.nearest import COMPARED, FOLDER
from ganlab.comparison.read import Group, Run
from ganlab.comparison.report.figures import Figures
from ganlab.comparison.report.samples import called, drawn, encoded, open_picture
from ganlab.comparison.report.templates import render
from ganlab.comparison.report.words import listed
from ganlab.comparison.result import Comparison
from ganlab.system.untrusted import json_object, number, whole_number

SIDE = 576  # pixels of a picture
COUNTS = ("samples", "nearer", "searched", "total")


@dataclass
class Likeness:
    """What a run drew at its last evaluation, and the numbers beside it; those that are garbled are None."""

    run: Run
    picture: Image.Image
    numbers: dict[str, Any]


def memorised(comparison: Comparison, figures: Figures) -> Markup:
    panels, without = [], []
    for place, group in enumerate(comparison.groups):
        if found := best(group, comparison):
            shown = found.picture, encoded(found.picture, SIDE), _in_words(found)
            panels.append((place, group.name, *shown))
            figures.picture(found.picture, "nearest", place, group.name)
        else:
            without.append(group.name)
    missing = listed(without) if without else ""
    return render("memorisation.html", panels=panels, without=missing, compared=COMPARED)


def best(group: Group, comparison: Comparison) -> Likeness | None:
    """Of the best run by the first score that the group has, among those that drew any; else of the first."""
    known = {id(run): found for run in group.runs if (found := likeness(run))}
    for table in comparison.tables:
        for row in table.rows:
            if row.group is group:
                last = zip(row.last, group.runs, strict=False)
                scored = [(value, id(run)) for value, run in last if value is not None and id(run) in known]
                if scored:
                    return known[(min if table.better == "min" else max)(scored)[1]]
    return next(iter(known.values()), None)


def likeness(run: Run) -> Likeness | None:
    pictures = drawn(run, FOLDER)
    if not pictures or not (picture := open_picture(path := pictures[-1][1])):
        return None
    found = json_object(path.with_suffix(".json"), [])
    numbers = {name: number(found.get(name)) for name in ("distance", "unseen")}
    return Likeness(run, picture, numbers | {name: whole_number(found.get(name)) for name in COUNTS})


def _in_words(found: Likeness) -> str:
    samples, nearer, searched, total = (found.numbers[name] for name in COUNTS)
    distance, unseen = found.numbers["distance"], found.numbers["unseen"]
    if None in (samples, distance, searched, total):
        return f"{called(found.run)} · its distances cannot be read."
    words = f"{called(found.run)} · median distance of {samples:,} samples {distance:.1f}"
    if unseen is not None and nearer is not None:
        words += f", of unseen images {unseen:.1f}; {nearer:,} of {samples:,} are nearer than"
        words += " 95\u00a0% of the unseen"
    if searched < total:
        words += f". In time were searched {searched:,} of {total:,} training images"
    return f"{words}."
