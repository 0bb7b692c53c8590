"""Each group's samples of the same latents, at the same moments of training."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from ganlab.comparison.read import UNKNOWN, Group, Run
from ganlab.comparison.report import played
from ganlab.comparison.report.axis import short
from ganlab.comparison.report.templates import render
from ganlab.comparison.report.words import listed
from ganlab.loggers.looks import FOLDER, Look, looks
from ganlab.system.untrusted import is_within, read_bytes

BUDGET = 7_000_000  # bytes of all pictures; as text they take a third more
MOST_MOMENTS, FEWEST_MOMENTS = 24, 8  # at which pictures are shown; fewer only at the smallest size
SIDES = (560, 420, 300, 220)  # pixels
MOST_PIXELS, MOST_BYTES = 40_000_000, 2**28  # of a picture that is opened at all
MOST_COLOURS = 4096  # of a picture that PNG may store in fewer bytes than JPEG


@dataclass
class Strip:
    """The looks at one group's run, and the images seen at each, in the order of time."""

    number: int
    name: str
    run: Run
    frames: list[tuple[float, Look]]

    @property
    def sheets(self) -> list[Path]:
        return [look.sheet for _, look in self.frames if look.sheet]

    @property
    def with_files(self) -> list[Look]:
        return [look for _, look in self.frames if look.files]


def strips(groups: Sequence[Group]) -> list[Strip]:
    """The looks at each group's first seed that has any; groups without are left out."""
    result = []
    for number, group in enumerate(groups):
        for run in sorted(group.runs, key=lambda run: run.seed):
            if frames := _frames(run):
                result.append(Strip(number, group.name, run, frames))
                break
    return result


def _frames(run: Run) -> list[tuple[float, Look]]:
    return [(images_at(run, look.step), look) for look in saved_looks(run, FOLDER)]


def saved_looks(run: Run, folder: str) -> list[Look]:
    """The looks in a folder of the run's, in the order of steps.

    A folder that is a link to a place outside the run's own is left alone.
    """
    if run.folder is None or not is_within(run.folder / folder, run.folder):
        return []
    return looks(run.folder / folder)


def images_at(run: Run, step: int) -> float:
    """How many images the run has shown at a step; the step itself if it is not known."""
    pairs = [(run.step, run.images), *((each.step, each.images) for each in run.evaluations)]
    known = sorted({(at, images) for at, images in pairs if at})
    last, shown = known[-1] if known else (0, 0)
    if not shown:
        return float(step)
    if step > last:
        return step * shown / last
    # A discriminator that rests is shown none, so that they are not as many in each step.
    return float(np.interp(step, [0, *(at for at, _ in known)], [0, *(images for _, images in known)]))


def seed_label(run: Run) -> str:
    return "seed unknown" if run.seed == UNKNOWN else f"seed {run.seed}"


def open_picture(file: Path) -> Image.Image | None:
    """The picture in grey or RGB; None if the file is damaged, or so large that it would fill the memory."""
    try:
        content = BytesIO(read_bytes(file, folder=file.parents[1], most=MOST_BYTES))
        with warnings.catch_warnings(), Image.open(content, formats=("PNG",)) as picture:
            warnings.simplefilter("ignore")
            if picture.width * picture.height > MOST_PIXELS:
                return None
            return picture.convert("L" if picture.mode in ("1", "L", "LA", "I", "I;16") else "RGB")
    # Decoders fail in as many ways as files are damaged.
    except Exception:
        return None


def data_url(picture: Image.Image, side: int) -> str:
    """The picture, shrunk to `side`, as a data URL: JPEG or PNG, whichever is smaller."""
    if max(picture.size) > side:
        picture = picture.copy()
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    files = [("jpeg", _file_bytes(picture, "jpeg", quality=84, optimize=True))]
    if picture.mode == "L" or picture.getcolors(MOST_COLOURS):
        files.append(("png", _file_bytes(picture, "png", optimize=True)))
    form, content = min(files, key=lambda file: len(file[1]))
    return f"data:image/{form};base64,{base64.b64encode(content).decode()}"


def _file_bytes(picture: Image.Image, form: str, **options: Any) -> bytes:
    picture.save(file := BytesIO(), form, **options)
    return file.getvalue()


def slider_moments(strips: Sequence[Strip], most: int) -> list[float]:
    """The numbers of images seen at which the slider stops: at most so many, evenly chosen from all."""
    moments = sorted({images for strip in strips for images, _ in strip.frames})
    if len(moments) <= most:
        return moments
    return [moments[round(i * (len(moments) - 1) / (most - 1))] for i in range(most)]


def _size_and_count(strips: Sequence[Strip]) -> tuple[int, int]:
    """Pixels a side and moments that fit the budget, by the last pictures, which have most detail."""
    last = [strip.sheets[-1] for strip in strips if strip.sheets]
    for side in SIDES:
        pictures = [picture for file in last if (picture := open_picture(file))]
        size = sum(len(data_url(picture, side)) * 3 // 4 for picture in pictures)
        count = min(MOST_MOMENTS, BUDGET // max(size, 1))
        if count >= FEWEST_MOMENTS or side == SIDES[-1]:
            return side, max(count, 2)
    raise AssertionError


def render_strips(groups: Sequence[Group]) -> Markup:
    of_groups = strips(groups)
    side, most_pictures = _size_and_count(of_groups)
    most, room = played.moments_and_room([strip.with_files[-1] for strip in of_groups if strip.with_files])
    moments = slider_moments(of_groups, min(most, most_pictures))
    rows = [
        {**vars(strip), "seed": seed_label(strip.run)}
        | {"pictures": _pictures(strip, moments, side), "players": _players(strip, moments, room)}
        for strip in of_groups
    ]
    numbers = {strip.number for strip in of_groups}
    without = [group.name for number, group in enumerate(groups) if number not in numbers]
    labels = [f"{short(moment)} images" for moment in moments]
    return render("samples.html", strips=rows, moments=labels, without=listed(without) if without else "")


def _stops(strip: Strip, moments: Sequence[float]) -> Iterator[tuple[int, str, Look]]:
    """Where the slider changes to another look, what is said of that, and the look nearest to the moment."""
    last: Look | None = None
    for stop, moment in enumerate(moments):
        images, look = min(strip.frames, key=lambda frame: abs(frame[0] - moment))
        if look is not last:
            yield stop, f"{short(images)} images · step {look.step:,}", look
        last = look


def _pictures(strip: Strip, moments: Sequence[float], side: int) -> list[dict[str, object]]:
    """The sheet nearest to each moment, as the template takes it; one that stays is listed once."""
    pictures: list[dict[str, object]] = []
    for stop, at, look in _stops(strip, moments):
        if look.sheet and (picture := open_picture(look.sheet)):
            size = {"width": picture.width, "height": picture.height}
            pictures.append({"src": data_url(picture, side), "stop": stop, "at": at, **size})
    return pictures


def _players(strip: Strip, moments: Sequence[float], room: int) -> list[dict[str, object]]:
    """The same of what is played or read, each look within so many bytes."""
    stops = _stops(strip, moments) if strip.with_files else ()
    return [
        {"stop": stop, "at": at, "elements": played.players(look, room, f"{strip.name} after {at}")}
        for stop, at, look in stops
    ]
