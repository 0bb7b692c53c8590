"""Each group's samples of the same latents, at the same moments of training."""

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from ganlab.comparison.read import UNKNOWN, Group, Run
from ganlab.comparison.report.axis import short
from ganlab.comparison.report.templates import render
from ganlab.comparison.report.words import listed

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
    rate = images_per_step(run)
    return [(step * rate, step, file) for step, file in drawn(run, "samples")]


def drawn(run: Run, folder: str) -> list[tuple[int, Path]]:
    """The pictures in a folder of the run's, with their steps, in time."""
    if run.folder is None:
        return []
    files = (run.folder / folder).glob("step-*.png")
    return sorted((int(name[1]), file) for file in files if (name := NAME.fullmatch(file.name)))


def images_per_step(run: Run) -> float:
    """1, where nobody knows: then all runs are compared by their steps."""
    known = [(run.images, run.step), *((each.images, each.step) for each in run.evaluations)]
    return next((images / step for images, step in known if step and images), 1.0)


def called(run: Run) -> str:
    return "seed unknown" if run.seed == UNKNOWN else f"seed {run.seed}"


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


def encoded(picture: Image.Image, side: int) -> str:
    """As a data address; the smaller of two ways to write it."""
    if max(picture.size) > side:
        picture = picture.copy()
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    written = [("jpeg", _written(picture, "jpeg", quality=84, optimize=True))]
    if picture.mode == "L" or picture.getcolors(FLAT):
        written.append(("png", _written(picture, "png", optimize=True)))
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


def rendered(groups: Sequence[Group]) -> Markup:
    found = strips(groups)
    side, most = _affordable(found)
    moments = stops(found, most)
    shown = [
        {**vars(strip), "seed": called(strip.run), "pictures": _pictures(strip, moments, side)}
        for strip in found
    ]
    have = {strip.number for strip in found}
    without = [group.name for number, group in enumerate(groups) if number not in have]
    told = [f"{short(moment)} images" for moment in moments]
    return render("samples.html", strips=shown, moments=told, without=listed(without) if without else "")


def _pictures(strip: Strip, moments: Sequence[float], side: int) -> list[dict[str, object]]:
    """Of each moment the nearest in time, once."""
    found: list[dict[str, object]] = []
    shown: Path | None = None
    for stop, moment in enumerate(moments):
        images, step, file = min(strip.frames, key=lambda frame: abs(frame[0] - moment))
        if file != shown and (picture := open_picture(file)):
            at = f"{short(images)} images · step {step:,}"
            size = {"width": picture.width, "height": picture.height}
            found.append({"src": encoded(picture, side), "stop": stop, "at": at, **size})
        shown = file
    return found
