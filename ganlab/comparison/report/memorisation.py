"""Samples beside the training images nearest to them, as the runs drew them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from PIL import Image

from ganlab.callbacks.nearest_reals import COMPARED, FOLDER
from ganlab.comparison.read import Group, Run
from ganlab.comparison.report.figures import Figures
from ganlab.comparison.report.samples import data_url, open_picture, saved_looks, seed_label
from ganlab.comparison.report.templates import render
from ganlab.comparison.report.words import listed
from ganlab.comparison.result import Comparison
from ganlab.system.untrusted import json_object, number, whole_number

SIDE = 576  # pixels of a picture at most
COUNTS = ("samples", "nearer", "searched", "total")


@dataclass
class NearestImages:
    """The picture that a run drew at its last evaluation, and its numbers; garbled ones are None."""

    run: Run
    picture: Image.Image
    numbers: dict[str, Any]


def render_nearest(comparison: Comparison, figures: Figures) -> Markup:
    panels, without = [], []
    for index, group in enumerate(comparison.groups):
        if nearest := best_run_nearest(group, comparison):
            content = nearest.picture, data_url(nearest.picture, SIDE), _caption(nearest)
            panels.append((index, group.name, *content))
            figures.picture(nearest.picture, "nearest", index, group.name)
        else:
            without.append(group.name)
    missing = listed(without) if without else ""
    return render("memorisation.html", panels=panels, without=missing, compared=COMPARED)


def best_run_nearest(group: Group, comparison: Comparison) -> NearestImages | None:
    """The nearest images of the group's best run by its first score, else of its first run, or None.

    Runs that drew no nearest images are passed over.
    """
    known = {id(run): nearest for run in group.runs if (nearest := read_nearest(run))}
    for table in comparison.tables:
        for row in table.rows:
            if row.group is group:
                last = zip(row.last, row.runs, strict=True)
                scored = [(value, id(run)) for value, run in last if value is not None and id(run) in known]
                if scored:
                    return known[(min if table.better == "min" else max)(scored)[1]]
    return next(iter(known.values()), None)


def read_nearest(run: Run) -> NearestImages | None:
    """The nearest images that a run drew last, or None."""
    sheets = [look.sheet for look in saved_looks(run, FOLDER) if look.sheet]
    if not sheets or not (picture := open_picture(path := sheets[-1])):
        return None
    content = json_object(path.with_suffix(".json"), [], folder=run.folder)
    numbers = {name: number(content.get(name)) for name in ("distance", "unseen")}
    return NearestImages(run, picture, numbers | {name: whole_number(content.get(name)) for name in COUNTS})


def _caption(nearest: NearestImages) -> str:
    samples, nearer, searched, total = (nearest.numbers[name] for name in COUNTS)
    distance, unseen = nearest.numbers["distance"], nearest.numbers["unseen"]
    if None in (samples, distance, searched, total):
        return f"{seed_label(nearest.run)} · its distances cannot be read."
    words = f"{seed_label(nearest.run)} · median distance of {samples:,} samples {distance:.1f}"
    if unseen is not None and nearer is not None:
        words += f", of unseen images {unseen:.1f}; {nearer:,} of {samples:,} are nearer than"
        words += " 95\u00a0% of the unseen"
    if searched < total:
        words += f". In time were searched {searched:,} of {total:,} training images"
    return f"{words}."
