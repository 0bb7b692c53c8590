"""Weights that others published and that are not ours to ship: where they lie, and whether a file holds them.

They are never fetched: the user names a file, or it lies in a known place. The names of all scores say so if
it is not the published file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ganlab.errors import Refused
from ganlab.metrics.extractors.extractor import read_weights


class Published(NamedTuple):
    """A file of weights.

    Attributes:
        title: What messages call the network.
        sha256: Of the file as it was published, or how it begins.
        variable: The environment variable that may name it.
        url: Where it is published.
        cached: Its names in torch hub's folder.
    """

    title: str
    sha256: str
    variable: str
    url: str
    cached: tuple[str, ...] = ()

    def find(self, given: str | None) -> Path:
        """The file given, else the environment variable's, else one in torch hub's folder."""
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        variable = os.environ.get(self.variable)
        named = given or variable
        candidates = [Path(named).expanduser()] if named else [folder / name for name in self.cached]
        if weights := next((path for path in candidates if path.is_file()), None):
            return weights
        names = ",".join(self.cached)
        places = f", else\n{folder}/{{{names}}}" if "," in names else f", else\n{folder}/{names}"
        raise Refused(
            f"No {self.title} weights: looked at weights ({given or 'not given'}), else ${self.variable} "
            f"({variable or 'not set'}){places if names else ''}.\nPut there or name: {self.url}"
        )

    def read(self, path: Path) -> dict[str, Tensor]:
        """The tensors of a file that shall hold these weights, by name; no code in it is run."""
        try:
            return read_weights(path)
        except Refused as error:
            raise Refused(f"{error}\nThe file that is meant: {self.url}") from error

    def mismatch(self, path: Path, reason: str) -> Refused:
        """The refusal of a file whose tensors are others."""
        return Refused(
            f"{path} does not hold the weights of {self.title}:\n{' '.join(reason.split())[:100]}\n"
            f"The file that is meant: {self.url}"
        )
