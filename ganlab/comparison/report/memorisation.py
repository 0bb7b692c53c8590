"""The panel that shows samples beside the training images nearest to them."""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.comparison.read import Group
from ganlab.comparison.report.charts import sign
from ganlab.comparison.report.figures import Figures
from ganlab.comparison.report.markup import Markup, element, joined
from ganlab.comparison.report.nearest import COMPARED, Likeness, image, sheet
from ganlab.comparison.report.samples import called, encoded

SIDE = 96  # pixels of a tile
EXACT = 64  # up to which each pixel is kept
INTRO = (
    "Of the last sheet of each group's best run: on top the samples most like a training image, below each "
    f"the training images nearest to it by pixels, compared at {COMPARED} a side or less. Distances are root "
    "mean squares in grey levels of 255. A generator that copies comes far nearer than images that were "
    "never trained on."
)


def memorised(groups: Sequence[Group], found: Sequence[Likeness | str], figures: Figures) -> Markup:
    panels, reasons = [], []
    for place, (group, result) in enumerate(zip(groups, found, strict=True)):
        if isinstance(result, Likeness):
            panels.append(_panel(place, group, result))
            figures.picture(sheet(result), "nearest", place, group.name)
        else:
            reasons.append(element("li", f"{group.name}: {result}."))
    intro = element("p", INTRO, class_="intro")
    missing = element("ul", *reasons, class_="notes") if reasons else None
    told = element("p", "No nearest training images:", class_="quiet") if reasons else None
    return joined(intro if panels else None, element("div", *panels, class_="strips"), told, missing)


def _panel(place: int, group: Group, found: Likeness) -> Markup:
    size = found.samples.shape[-1]
    tiles = [
        element(
            "img",
            src=encoded(image(row[i].movedim(0, -1)), SIDE, exact=size <= EXACT),
            alt=f"{'sample' if rank == 0 else f'training image {rank}'} {i + 1}",
            class_="sample" if rank == 0 else None,
            title=f"{found.shown[i]:.1f} grey levels from its nearest" if rank == 0 else None,
        )
        for rank, row in enumerate((found.samples, *found.neighbours))
        for i in range(len(row))
    ]
    return element(
        "figure",
        element("figcaption", sign(place), element("span", group.name), class_="named"),
        element(
            "div",
            *tiles,
            class_=f"tiles{' pixels' if size <= EXACT else ''}",
            style=f"--columns:{len(found.samples)}",
        ),
        element("p", _told(found), class_="quiet"),
        class_="strip",
    )


def _told(found: Likeness) -> str:
    count = len(found.distances)
    told = f"{called(found.run)} · median distance of {count} samples {found.distances.median():.1f}"
    if len(found.unseen):
        near = int((found.distances < found.unseen.quantile(0.05)).sum())
        told += f", of unseen images {found.unseen.median():.1f}"
        told += f"; {near} of {count} are nearer than 95\u00a0% of the unseen"
    if found.searched < found.total:
        told += f". In time were searched {found.searched:,} of {found.total:,} training images"
    return told + "."
