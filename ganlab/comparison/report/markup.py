"""HTML and SVG in which every text is escaped, unless it was made here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

VOID = {"br", "hr", "img", "input", "meta"}
# XML knows no way to write them, and a name may hold anything.
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def text(value: object) -> Markup:
    return Markup(escape(UNWRITABLE.sub("\ufffd", str(value))))


def joined(*children: Child, between: str = "") -> Markup:
    return Markup(between.join(_written(child) for child in children))


def _written(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    return text(child) if isinstance(child, (str, int, float)) else joined(*child)


def element(name: str, /, *children: Child, **attributes: object) -> Markup:
    """`class_` is class and `data_group` data-group; None and False leave an attribute away."""
    told = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{text(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{name}{told}>" if name in VOID else f"<{name}{told}>{joined(*children)}</{name}>")
