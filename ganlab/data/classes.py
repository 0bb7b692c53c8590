"""The classes of a set's items, by number or name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganlab.errors import Refused
from ganlab.media import Labels

if TYPE_CHECKING:
    from ganlab.data.stream import StreamData


def refuse_without_classes(asker: str, data: StreamData) -> tuple[str, ...]:
    """The names of a set's classes, or their numbers; a set without a class for each item is refused."""
    condition = data.condition
    if not data.classes or not isinstance(condition, Labels) or condition.several:
        raise Refused(f"{asker} needs a set with a class for each item, and {type(data).__name__} has none.")
    return data.class_names or tuple(map(str, range(data.classes)))


def class_number(asker: str, named: int | str, names: tuple[str, ...]) -> int:
    if str(named) in names:
        return names.index(str(named))
    if isinstance(named, int) and 0 <= named < len(names):
        return named
    raise Refused(f"{asker}: no class is {named}. Known: {', '.join(names[:20])}.")
