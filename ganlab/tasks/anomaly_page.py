"""A page of anomalies: how well they are told, the histogram of scores, the most and the least anomalous."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from PIL import Image
from torch import Tensor

from ganlab.comparison.report.samples import data_url
from ganlab.comparison.report.svg import element
from ganlab.media import Medium
from ganlab.tasks.anomalies import Scored
from ganlab.tasks.tested import Tested

BINS, WIDTH, HEIGHT = 40, 720, 220
SHOWN = 12  # pictures at each end
SIDE = 128
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
body { color: #1b1f24; }
table { border-collapse: collapse; } td, th { padding: .2em 1em .2em 0; text-align: left; }
td:nth-child(2) { font-variant-numeric: tabular-nums; }
.row { display: flex; flex-wrap: wrap; gap: 1em; } figure { margin: 0; } img { image-rendering: pixelated; }
figcaption { font-size: 12px; color: #57606a; } .abnormal { fill: #d1495b; } .normal { fill: #30638e; }
line { stroke: #1b1f24; stroke-dasharray: 4 3; } text { font-size: 12px; fill: #57606a; }
"""
HEADINGS = {
    "auroc": "AUROC of pictures",
    "average_precision": "average precision",
    "f1": "F1 at the threshold",
    "f1_of_all": "F1 of calling all abnormal",
    "pixel_auroc": "AUROC of pixels",
    "pixel_aupro": "AUPRO (to 0.3)",
}


def page(
    title: str,
    tested: Tested,
    scored: Scored,
    threshold: float,
    quality: Mapping[str, float],
    facts: Mapping[str, object],
    medium: Medium,
) -> str:
    order = scored.scores.argsort(descending=True).tolist()
    rows = [
        element("tr", element("td", name), element("td", value))
        for name, value in (*((HEADINGS[each], f"{of:.4f}") for each, of in quality.items()), *facts.items())
    ]
    parts = [
        element("h1", title),
        element("table", *rows),
        element("h2", "Scores"),
        histogram(scored.scores, tested.abnormal, threshold),
        element("h2", "The most anomalous: picture, what is made of it, and where they differ"),
        _gallery(order[:SHOWN], tested, scored, medium),
        element("h2", "The least anomalous"),
        _gallery(order[::-1][:SHOWN], tested, scored, medium),
    ]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    head = [
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("title", title),
        element("style", Markup(STYLE)),
    ]
    whole = element("html", element("head", *head), element("body", *parts), lang="en")
    return f"<!doctype html>\n{whole}\n"


def histogram(scores: Tensor, abnormal: Tensor | None, threshold: float) -> Markup:
    """How many pictures have which score, those that are abnormal above the others, and the threshold."""
    values = scores.numpy()
    low, high = float(min(values.min(), threshold)), float(max(values.max(), threshold))
    spread = (high - low) or 1.0
    is_abnormal = np.zeros(len(values), bool) if abnormal is None else abnormal.numpy()
    kinds = {"normal": values[~is_abnormal], "abnormal": values[is_abnormal]}
    counts = {
        kind: np.histogram(each, BINS, (low, low + spread))[0] for kind, each in kinds.items() if len(each)
    }
    at = WIDTH * (threshold - low) / spread
    marks = [
        element("line", x1=at, x2=at, y1=-4, y2=HEIGHT),
        element("text", f"threshold {threshold:.4g}", x=min(at, WIDTH - 120), y=-8),
        element("text", f"{low:.4g}", x=0, y=HEIGHT + 16),
        element("text", f"{low + spread:.4g}", x=WIDTH - 60, y=HEIGHT + 16),
    ]
    said = ", ".join(f"{int(each.sum()):,} {kind}" for kind, each in counts.items())
    drawing = element(
        "svg",
        *_bars(counts),
        *marks,
        viewBox=f"0 -22 {WIDTH} {HEIGHT + 44}",  # with room for words above and below the bars
        width="100%",
        role="img",
        aria_label=f"Histogram of scores: {said}",
    )
    return drawing + element("p", f"{said}; blue is normal, red is abnormal.")


def _bars(counts: Mapping[str, np.ndarray]) -> list[Markup]:
    """A kind's bars stand on those of the kind before."""
    height_of_one = HEIGHT / max(1, int(np.sum([*counts.values()], 0).max()))
    width, below, bars = WIDTH / BINS, np.zeros(BINS), []
    for kind, each in counts.items():
        for number, count in enumerate(each):
            where = {
                "x": round(number * width, 2),
                "y": round(HEIGHT - (below[number] + count) * height_of_one, 2),
            }
            size = {"width": width - 1, "height": round(count * height_of_one, 2)}
            bars.append(element("rect", class_=kind, **where, **size))
        below = below + each
    return bars


def _gallery(rows: Sequence[int], tested: Tested, scored: Scored, medium: Medium) -> Markup:
    figures = []
    made = medium.stored(scored.made[[*rows]])
    hottest = float(scored.heat.max()) or 1.0
    for place, row in enumerate(rows):
        pictures = [
            medium.sheet(tested.pictures[row][None], columns=1),
            medium.sheet(made[place][None], columns=1),
            heat_picture(scored.heat[row], hottest),
        ]
        kind = f" {tested.kinds[row]}" if tested.kinds else ""
        caption = f"{tested.names[row]}{kind}, {scored.scores[row]:.4g}"
        images = [element("img", src=data_url(each, SIDE), width=SIDE // 2 + 16, alt="") for each in pictures]
        figures.append(element("figure", *images, element("figcaption", caption)))
    return element("div", *figures, class_="row")


def heat_picture(heat: Tensor, hottest: float) -> Image.Image:
    """Black where nothing differs, by red and yellow to white at the hottest of all pictures."""
    share = (heat / hottest).clamp(0, 1).numpy()
    colours = np.stack([np.clip(3 * share - shift, 0, 1) for shift in (0, 1, 2)], -1)
    return Image.fromarray((255 * colours).round().astype(np.uint8))
