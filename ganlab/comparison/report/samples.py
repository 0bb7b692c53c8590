"""Each group's samples of the same latents, at the same moments of training."""

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from ganlab.comparison.read import UNKNOWN, Group, Run
from ganlab.comparison.report.axis import short
from ganlab.comparison.report.charts import sign
from ganlab.comparison.report.markup import Child, Markup, element

BUDGET = 7_000_000  # bytes of all pictures; as text they take a third more
STOPS, FEWEST = 24, 8
SIDES = (560, 420, 300, 220)  # pixels
LARGEST = 40_000_000  # pixels of a picture that is opened at all
FLAT = 4096  # colours up to which a picture may be a drawing, which is best written exactly
NAME = re.compile(r"step-(\d{1,15})\.png")


@dataclass
class Strip:
    """The pictures of one group: (images seen, step, file), in time."""

    number: int
    name: str
    run: Run
    frames: list[tuple[float, int, Path]]


def strips(groups: Sequence[Group]) -> list[Strip]:
    """Of the first seed in each group that has any."""
    found = []
    for number, group in enumerate(groups):
        for run in sorted(group.runs, key=lambda run: run.seed):
            if frames := _frames(run):
                found.append(Strip(number, group.name, run, frames))
                break
    return found


def _frames(run: Run) -> list[tuple[float, int, Path]]:
    if run.folder is None:
        return []
    files = [(int(name[1]), file) for file in (run.folder / "samples").glob("step-*.png")
             if (name := NAME.fullmatch(file.name))]  # fmt: skip
    rate = images_per_step(run)
    return sorted((step * rate, step, file) for step, file in files)


def images_per_step(run: Run) -> float:
    """1, where nobody knows: then all runs are compared by their steps."""
    known = [(run.images, run.step), *((each.images, each.step) for each in run.evaluations)]
    return next((images / step for images, step in known if step and images), 1.0)


def called(run: Run) -> str:
    return "seed unknown" if run.seed == UNKNOWN else f"seed {run.seed}"


def last_picture(run: Run) -> Path | None:
    return frames[-1][2] if (frames := _frames(run)) else None


def open_picture(file: Path) -> Image.Image | None:
    """None, if it is no whole picture, or one that would fill the memory."""
    try:
        with warnings.catch_warnings(), Image.open(file, formats=("PNG",)) as picture:
            warnings.simplefilter("ignore")
            if picture.width * picture.height > LARGEST:
                return None
            return picture.convert("L" if picture.mode in ("1", "L", "LA", "I", "I;16") else "RGB")
    # Decoders fail in as many ways as files are damaged.
    except Exception:
        return None


def encoded(picture: Image.Image, side: int, *, exact: bool = False) -> str:
    """As a data address; the smaller of two ways to write it, unless each pixel counts."""
    if max(picture.size) > side:
        picture = picture.copy()
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    written = []
    if exact or picture.mode == "L" or picture.getcolors(FLAT):
        written.append(("png", _written(picture, "png", optimize=True)))
    if not exact:
        written.append(("jpeg", _written(picture, "jpeg", quality=84, optimize=True)))
    way, content = min(written, key=lambda each: len(each[1]))
    return f"data:image/{way};base64,{base64.b64encode(content).decode()}"


def _written(picture: Image.Image, way: str, **options: Any) -> bytes:
    picture.save(file := BytesIO(), way, **options)
    return file.getvalue()


def stops(strips: Sequence[Strip], most: int) -> list[float]:
    """Images seen at which the slider stops: evenly through all that there are."""
    all_ = sorted({images for strip in strips for images, _, _ in strip.frames})
    if len(all_) <= most:
        return all_
    return [all_[round(i * (len(all_) - 1) / (most - 1))] for i in range(most)]


def _affordable(strips: Sequence[Strip]) -> tuple[int, int]:
    """How large and how many, guessed from the last pictures, which hold the most detail."""
    for side in SIDES:
        pictures = [picture for strip in strips if (picture := open_picture(strip.frames[-1][2]))]
        each = sum(len(encoded(picture, side)) * 3 // 4 for picture in pictures)
        many = min(STOPS, BUDGET // max(each, 1))
        if many >= FEWEST or side == SIDES[-1]:
            return side, max(many, 2)
    raise AssertionError


def rendered(strips: Sequence[Strip]) -> Markup:
    side, most = _affordable(strips)
    moments = stops(strips, most)
    figures = [_figure(strip, moments, side) for strip in strips]
    last = len(moments) - 1
    slider = element(
        "div",
        element("label", "training time", for_="moment"),
        element("input", type="range", id="moment", min=0, max=last, value=last, step=1),
        element("output", f"{short(moments[-1])} images", for_="moment", id="moment-told"),
        class_="slider needs-script",
        data_told="\t".join(f"{short(moment)} images" for moment in moments),
    )
    return element("div", slider if last else None, element("div", *figures, class_="strips"), id="strips")


def _figure(strip: Strip, moments: Sequence[float], side: int) -> Markup:
    pictures: list[Child] = []
    shown: Path | None = None
    for i, moment in enumerate(moments):
        images, step, file = min(strip.frames, key=lambda frame: abs(frame[0] - moment))
        if file != shown:
            shown = file
            pictures.append(_picture(strip, file, side, i, f"{short(images)} images · step {step:,}"))
    last = sum(picture is not None for picture in pictures)
    return element(
        "figure",
        element("figcaption", sign(strip.number), element("span", strip.name), class_="named"),
        element("div", *pictures, class_="frames"),
        element("p", f"{called(strip.run)} · ", element("span", class_="at"), class_="quiet"),
        data_group=strip.number,
        data_frames=last,
        class_="strip",
    )


def _picture(strip: Strip, file: Path, side: int, stop: int, told: str) -> Markup | None:
    if (picture := open_picture(file)) is None:
        return None
    return element(
        "img",
        src=encoded(picture, side),
        alt=f"samples of {strip.name} after {told}",
        data_from=stop,
        data_told=told,
        width=picture.width,
        height=picture.height,
    )


def without(groups: Sequence[Group], shown: Iterable[Strip]) -> list[str]:
    have = {strip.number for strip in shown}
    return [group.name for number, group in enumerate(groups) if number not in have]
