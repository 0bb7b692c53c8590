"""What a column of the data holds: how it lies there, how networks play with it, how people see it."""

from ganlab.media.labels import Labels
from ganlab.media.medium import Medium
from ganlab.media.pictures import Pictures
from ganlab.media.points import Points

__all__ = ["Labels", "Medium", "Pictures", "Points", "medium_of"]


def medium_of(shape: tuple[int, ...]) -> Medium:
    """The medium of items that nothing but their shape is known of."""
    return Pictures(shape) if len(shape) > 2 else Points(shape)
