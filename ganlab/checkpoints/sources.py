"""What an export's first samples are made from: the items themselves, in a file beside its weights.

They are somebody's data, so that an export holds them only if it was asked to.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialized
from torch import Tensor

from ganlab.checkpoints.estimate import VARIABLE, most_bytes
from ganlab.errors import Refused
from ganlab.game.conditions import ITEMS, ItemsOfSplit
from ganlab.game.gan import GAN
from ganlab.system.untrusted import reason

FILE = "sources.safetensors"


class StoredColumns:
    """Items of which some columns are known; the others are None."""

    def __init__(self, columns: Mapping[int, Tensor]) -> None:
        self.columns = [columns.get(number) for number in range(max(columns) + 1)]
        self.total = min(len(column) for column in columns.values())

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, positions: Tensor, /) -> tuple[Any, ...]:
        return tuple(None if column is None else column[positions] for column in self.columns)


def save_sources(folder: Path, game: GAN, count: int) -> str:
    """Write what the game's first samples are made from, and return the split that it comes from."""
    conditions = game.conditions
    if conditions is None and game.is_conditional:
        raise Refused(
            f"{type(game).__name__} makes samples from its run's data, which are not known here: export\n"
            "the run's folder (--with_sources); one that your ganlab did not write needs --trust_code."
        )
    if conditions is None or conditions.split is None:
        raise Refused(
            f"{type(game).__name__} makes samples from no data, or from labels, whose shares an export\n"
            "holds anyway: leave --with_sources out."
        )
    batch = conditions.batch(torch.arange(game.at_most(count)), seed=0)
    columns = {str(column): batch[column].cpu().contiguous() for column in game.source_columns}
    (folder / FILE).write_bytes(serialized(columns))
    return conditions.split


def load_sources(folder: Path, game: GAN, split: Any) -> ItemsOfSplit | None:
    """What an export says that its samples are made from; None if it holds nothing of that.

    Args:
        split: That it comes from, as the export says.
    """
    path = folder / FILE
    if not game.is_conditional or split not in [*ITEMS]:
        return None
    try:
        if (size := path.stat().st_size) > most_bytes():
            raise Refused(f"{path} has {size:,} bytes, more than ${VARIABLE} allows.")
        columns = {int(name): column for name, column in load_file(path).items()}
        has_all = {*game.source_columns} <= columns.keys() and all(map(len, columns.values()))
        if not columns or not has_all or not all(_fits(game, *column) for column in columns.items()):
            raise ValueError("it holds other items than the game's data")
        return ItemsOfSplit(StoredColumns(columns), split)
    except Refused:
        raise
    # Garbled files, and a user's own medium, may raise anything.
    except Exception as error:
        raise Refused(f"{path} is no whole file of sources: {reason(error)}") from error


def _fits(game: GAN, number: int, column: Tensor) -> bool:
    medium = game.media[number]
    return number >= 0 and medium.holds(column) and medium.played(column[:1]).shape[1:] == medium.shape
