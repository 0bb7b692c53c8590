"""Games that make pictures again, by which those are found that they cannot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor


class Rebuilt(NamedTuple):
    """Pictures that were made again, each from a code, and how far it is from what it was: the farther, the
    less normal.
    """

    codes: Tensor
    pictures: Tensor
    distances: Tensor


class Rebuilds(ABC):
    """A game that is told a picture and makes it again. One of yours derives from this, too."""

    @abstractmethod
    def rebuild(self, pictures: Tensor) -> Rebuilt:
        """Of pictures as networks play with them, each by itself."""
