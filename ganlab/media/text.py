"""Text: characters of an alphabet, a softmax each in networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import one_hot

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media.captions import captioned
from ganlab.media.line_sheet import LineSheet
from ganlab.media.medium import Medium

PADDING = 0  # the token behind a line's last character, and its channel
NEVER = "\n\0"  # ends a line, and is the padding


class Text(Medium):
    """Lines of an alphabet's characters; behind a line's end there is padding.

    A token is a character's code point in Unicode, so that files and scores need no alphabet, and 0 is the
    padding. Networks play with a channel for each character, the padding first: 1 for the character that
    stands there, or what a softmax makes of it. What is made is stored as the likeliest characters, up to
    the first padding.

    Args:
        alphabet: All characters, in the order of their channels.
        length: Characters of a line at most.
    """

    form = "code points of characters, 32-bit whole numbers of shape (n, length)"
    suffix = ".txt"
    array = "lines"
    several_a_file = True

    def __init__(self, alphabet: str, length: int) -> None:
        bounds.at_least(1, self, length=length)
        if not alphabet or len({*alphabet}) < len(alphabet) or {*alphabet} & {*NEVER}:
            raise Refused(
                "Text: an alphabet is a string of different characters, without the end of a line and\n"
                f"without the character 0, not {alphabet!r:.60}."
            )
        super().__init__((1 + len(alphabet), length))
        self.alphabet, self.length = alphabet, length
        self.tokens = torch.tensor([PADDING, *map(ord, alphabet)], dtype=torch.int32)

    def played(self, stored: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        if stored.is_floating_point():
            return stored.to(dtype)
        known, channels = (each.to(stored.device) for each in self.tokens.sort())
        places = torch.searchsorted(known, stored.contiguous()).clamp(max=len(known) - 1)
        return one_hot(channels[places], len(known)).transpose(1, 2).to(dtype).contiguous()

    def stored(self, items: Tensor) -> Tensor:
        if not items.is_floating_point():
            return items
        if not items.isfinite().all():
            raise Refused(
                "These texts are values that are no numbers, as of weights that are none.\n"
                "They cannot be shown or scored: take an earlier checkpoint."
            )
        return up_to_padding(self.tokens.to(items.device)[items.argmax(1)])

    def blank(self) -> Tensor:
        return torch.zeros(1, self.length, dtype=torch.int32)

    @classmethod
    def holds(cls, items: Tensor) -> bool:
        return items.dtype == torch.int32 and items.ndim == 2

    def padded(self, item: Tensor) -> Tensor:
        """A stored line that has no problem, as long as those of this medium."""
        return tokens_of(lines_of(item[None]), self.length)[0]

    def problem(self, line: str) -> str | None:
        """Why a line cannot be played, with the column; None: it can."""
        if len(line) > self.length:
            return f"it has {len(line)} characters, and {self.length} at most are played (length)"
        return unknown(line, {*self.alphabet})

    drawable = True

    @cached_property
    def _sheet(self) -> LineSheet:
        return LineSheet(self.alphabet, self.length)

    def sheet(self, items: Tensor, columns: int | None = None) -> Image.Image:
        """All lines in columns; characters that no font of this machine has are boxes."""
        return self._sheet.drawn(lines_of(self.stored(items)), columns)

    def captioned(
        self, items: Tensor, captions: Sequence[str] | None, columns: int | None = None
    ) -> Image.Image:
        if not captions:
            return self.sheet(items, columns)
        return captioned(self.sheet, items, captions, columns or self._sheet.columns(len(items)))

    def write(self, path: Path, item: Tensor) -> None:
        self.write_all(path, [item[None]])

    @classmethod
    def read(cls, content: bytes) -> Tensor:
        items = cls.read_all(content)
        if len(items) != 1:
            raise ValueError(
                f"a file of one item holds one line, and here are {len(items)}: name the file itself, of\n"
                "which each line is an item, or give each line a file."
            )
        return items[0]

    def write_all(self, path: Path, blocks: Iterable[Tensor]) -> None:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for block in blocks:
                file.writelines(f"{line}\n" for line in lines_of(block))

    @classmethod
    def read_all(cls, content: bytes) -> Tensor:
        return tokens_of(split_lines(content))

    def plain(self) -> dict[str, Any]:
        return {**super().plain(), "init_args": {"alphabet": self.alphabet, "length": self.length}}


def up_to_padding(tokens: Tensor) -> Tensor:
    """The same lines, each ended by its first padding."""
    places = torch.arange(tokens.shape[1], device=tokens.device)
    end = torch.where(tokens == PADDING, places, len(places)).amin(1, keepdim=True)
    return torch.where(places < end, tokens, PADDING).to(torch.int32)


def unknown(line: str, alphabet: set[str]) -> str | None:
    """Which character of a line is none of an alphabet, and at which column, from 1 on; None: all are."""
    column = next((column for column, each in enumerate(line, 1) if each not in alphabet), None)
    if column is None:
        return None
    return f"the character {line[column - 1]!r} at column {column} is not in the alphabet"


def split_lines(content: bytes) -> list[str]:
    """The lines of a text file in UTF-8; an empty file has none."""
    text = content.decode("utf-8-sig")
    lines = text.removesuffix("\n").split("\n") if text else []
    return [line.removesuffix("\r") for line in lines]


def tokens_of(lines: Sequence[str], length: int | None = None) -> Tensor:
    """Lines as they are stored, all as long as this or the longest."""
    length = max([1, *map(len, lines)]) if length is None else length
    content = "".join(line.ljust(length, "\0") for line in lines).encode("utf-32-le", "surrogatepass")
    return torch.from_numpy(np.frombuffer(content, "<i4").reshape(-1, length).astype(np.int32))


def lines_of(stored: Tensor) -> list[str]:
    """Stored lines as strings, without padding."""
    count, length = stored.shape
    content = np.ascontiguousarray(stored.cpu().numpy().astype("<i4")).tobytes()
    text = content.decode("utf-32-le", "replace")
    return [text[row * length : (row + 1) * length].partition("\0")[0] for row in range(count)]
