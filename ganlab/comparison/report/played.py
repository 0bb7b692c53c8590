"""Sounds, texts and films of single samples, as the page plays or shows them.

Whatever a run's folder holds is read within bounds, and written again from what was understood of it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from markupsafe import Markup
from PIL import Image

from ganlab.loggers.looks import MOST_FILES, Look
from ganlab.media.shown import KINDS, Clip, Film, Lines, Shown, Unreadable
from ganlab.system.untrusted import read_bytes

BUDGET = 5_000_000  # bytes of the page for all of them
MOST_MOMENTS, FEWEST_MOMENTS = 24, 2
EXPECTED = 4  # of a look's files, which the number of moments leaves room for
MOST_READ = 2**24  # bytes of a file that is opened at all
SIDE = 160  # pixels of a film
MOST_CHARACTERS = 2_000  # of a text


def moments_and_room(looks: Sequence[Look]) -> tuple[int, int]:
    """How many moments of such looks fit the budget, and the bytes that each of its looks may take.

    Args:
        looks: Those of one moment, of each group.
    """
    size = sum(len(element) for look in looks for element in islice(_elements(look, ""), EXPECTED))
    moments = min(MOST_MOMENTS, max(FEWEST_MOMENTS, BUDGET // max(size, 1)))
    return moments, BUDGET // (moments * max(len(looks), 1))


def players(look: Look, room: int, of: str) -> list[Markup]:
    """An element for each of as many of a look's files as there is room for.

    Args:
        of: What they are, in words, for those who cannot see them.
    """
    elements = []
    for element in _elements(look, of):
        if (room := room - len(element)) < 0:
            break
        elements.append(element)
    return elements


def _elements(look: Look, of: str) -> Iterator[Markup]:
    """Damaged files are left out."""
    for number, file in enumerate(look.files[:MOST_FILES]):
        try:
            shown = KINDS[file.suffix].read(read_bytes(file, folder=file.parents[1], most=MOST_READ))
            yield ELEMENTS[type(shown)](shown, f"sample {number} of {of}")
        except (OSError, Unreadable):
            continue


def _player(clip: Clip, title: str) -> Markup:
    player = Markup('<audio controls src="{}" title="{}" aria-label="{}"></audio>')
    return player.format(_url("audio/wav", clip), title, title)


def _text(lines: Lines, title: str) -> Markup:
    return Markup('<pre title="{}">{}</pre>').format(title, lines.text[:MOST_CHARACTERS])


def _film(film: Film, title: str) -> Markup:
    frames = [frame.copy() for frame in film.frames]
    for frame in frames:
        frame.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    width, height = frames[0].size
    picture = Markup('<img src="{}" width="{}" height="{}" alt="{}">')
    return picture.format(_url("image/gif", replace(film, frames=frames)), width, height, title)


def _url(kind: str, shown: Shown) -> str:
    return f"data:{kind};base64,{base64.b64encode(shown.content()).decode()}"


ELEMENTS: dict[type[Shown], Callable[[Any, str], Markup]] = {Clip: _player, Lines: _text, Film: _film}
