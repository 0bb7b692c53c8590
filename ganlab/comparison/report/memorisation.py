"""The panel that shows samples beside the training images nearest to them."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ganlab.comparison.read import Group
from ganlab.comparison.report.figures import Figures
from ganlab.comparison.report.nearest import COMPARED, Likeness, image, sheet
from ganlab.comparison.report.samples import called, encoded
from ganlab.comparison.report.templates import render

SIDE = 96  # pixels of a tile
EXACT = 64  # up to which each pixel is kept


def memorised(groups: Sequence[Group], found: Sequence[Likeness | str], figures: Figures) -> Markup:
    panels, reasons = [], []
    for place, (group, result) in enumerate(zip(groups, found, strict=True)):
        if isinstance(result, Likeness):
            panels.append({"place": place, "name": group.name, **_panel(result)})
            figures.picture(sheet(result), "nearest", place, group.name)
        else:
            reasons.append((group.name, result))
    return render("memorisation.html", panels=panels, reasons=reasons, compared=COMPARED)


def _panel(found: Likeness) -> dict[str, object]:
    exact = found.samples.shape[-1] <= EXACT
    tiles = [
        {
            "src": encoded(image(row[i].movedim(0, -1)), SIDE, exact=exact),
            "alt": f"{f'training image {rank}' if rank else 'sample'} {i + 1}",
            "title": "" if rank else f"{found.shown[i]:.1f} grey levels from its nearest",
        }
        for rank, row in enumerate((found.samples, *found.neighbours))
        for i in range(len(row))
    ]
    return {"tiles": tiles, "exact": exact, "columns": len(found.samples), "told": _told(found)}


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
