"""Lines of text: of files of anybody's, or of a small language that needs none."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch.utils.data import TensorDataset

from ganlab import bounds
from ganlab.data.grammars import GRAMMARS, GrammarKind
from ganlab.data.order import FiniteItems
from ganlab.data.pictures.file_sets import uniform_number
from ganlab.data.stream import Split, StreamData
from ganlab.data.text_files import Line, read_lines
from ganlab.errors import Refused
from ganlab.media import Labels, Medium, Text
from ganlab.media.text import NEVER, tokens_of, unknown

TooLong = Literal["refuse", "cut", "leave_out"]


class Lines(StreamData):
    """Lines of text files, or without a path all lines of a small language; behind a line is padding.

    Any script will do: a line is so many characters of Unicode, in files of UTF-8. Empty lines are left out.
    Equal lines are on one side of the split.

    Args:
        root: A text file, or a folder or zip of .txt files; none: the language of `grammar`.
        grammar: What is read without a root: dates (14 March 1987) or sums (12+7=19, 31-7=24).
        length: Characters of a line at most; none: of the longest.
        alphabet: The characters that lines are of; none: those of the files that are trained on, sorted.
        too_long: What becomes of longer lines: refuse, cut (what is beyond) or leave_out.
        labelled: Each line has a class: its file, or the folder below root that this lies in; of dates the
            month, of sums the operation.
        held_out: Share that is not trained on, by a hash of the line, unless files or folders are named
            train and test.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        grammar: GrammarKind = "dates",
        length: int | None = None,
        alphabet: str | None = None,
        too_long: TooLong = "refuse",
        labelled: bool = False,
        held_out: float = 0.1,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        bounds.at_least(1, self, length=length)
        bounds.between(0, 1, self, held_out=held_out)
        if grammar not in GRAMMARS:
            raise Refused(f"grammar is {grammar!r}, which does not exist. Known: {', '.join(GRAMMARS)}.")
        self.root = None if root is None else Path(root).expanduser()
        self.grammar = GRAMMARS[grammar]()
        self.longest, self.given_alphabet, self.too_long = length, alphabet, too_long
        self.labelled, self.held_out = labelled, held_out

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.text.shape

    @property
    def alphabet(self) -> str:  # type: ignore[override]
        return self.text.alphabet

    @property
    def classes(self) -> int | None:  # type: ignore[override]
        return len(self.class_names) if self.class_names else None

    @cached_property
    def class_names(self) -> tuple[str, ...] | None:  # type: ignore[override]
        if not self.labelled:
            return None
        kinds = {line.kind for part in self.parts.values() for line in part}
        if self.root is None:
            return self.grammar.classes
        if None in kinds:
            raise Refused(
                f"Lines: labelled needs a file or a folder for each class, and {self.root} has no such.\n"
                "Leave labelled out, or put the lines of each class into a file of its own."
            )
        return tuple(sorted(kind for kind in kinds if kind is not None))

    @cached_property
    def media(self) -> tuple[Medium, ...]:
        if self.class_names is None:
            return (self.text,)
        return self.text, Labels(len(self.class_names), self.class_names)

    def valid(self, line: str) -> bool:
        return self.grammar.valid(line) if self.root is None else super().valid(line)

    def load(self) -> tuple[FiniteItems, FiniteItems | None]:
        items = {split: self._items(lines) for split, lines in self.parts.items()}
        return items["train"], items.get("held_out")

    def _items(self, lines: list[Line]) -> TensorDataset:
        tokens = tokens_of([line.text for line in lines], self.text.length)
        if self.class_names is None:
            return TensorDataset(tokens)
        numbers = {name: number for number, name in enumerate(self.class_names)}
        return TensorDataset(tokens, torch.tensor([numbers[str(line.kind)] for line in lines]))

    @cached_property
    def text(self) -> Text:
        """The medium of the lines, all of which it can hold."""
        lines = [line for part in self.parts.values() for line in part]
        length = self.longest or max(len(line.text) for line in lines)
        of_training = "".join(line.text for line in lines if not line.held_out)
        alphabet = self.given_alphabet or "".join(sorted({*of_training}))
        known = {*alphabet}
        for line in lines:
            if problem := unknown(line.text, known):
                told = "given" if self.given_alphabet else "that of the training files"
                raise Refused(f"Lines: {line.where}: {problem}, which is {told}.")
        return Text(alphabet, length)

    @cached_property
    def parts(self) -> dict[Split, list[Line]]:
        """The lines of each split that is not empty, none too long."""
        parts: dict[Split, list[Line]] = {"train": [], "held_out": []}
        for line in self._fitting(self._all_lines):
            chosen = line.held_out
            if chosen is None:
                chosen = uniform_number(line.text) < self.held_out
            parts["held_out" if chosen else "train"].append(line)
        if not parts["train"]:
            raise Refused("Lines: there are none to train on. Is held_out too large, or length too small?")
        return {split: part for split, part in parts.items() if part}

    @property
    def _all_lines(self) -> list[Line]:
        if self.root is not None:
            return read_lines(self.root)
        names = self.grammar.classes
        return [Line(text, repr(text), names[number]) for text, number in self.grammar.lines()]

    def _fitting(self, lines: list[Line]) -> list[Line]:
        for line in lines:
            if any(character in line.text for character in NEVER):
                raise Refused(f"Lines: {line.where}: it holds the character 0, which stands for padding.")
        if self.longest is None:
            return lines
        longer = next((line for line in lines if len(line.text) > self.longest), None)
        if longer and self.too_long == "refuse":
            raise Refused(
                f"Lines: {longer.where}: it has {len(longer.text)} characters; length is {self.longest}.\n"
                "Raise length, or say what becomes of longer lines: too_long: cut, or leave_out."
            )
        if self.too_long == "leave_out":
            return [line for line in lines if len(line.text) <= self.longest]
        return [line._replace(text=line.text[: self.longest]) for line in lines]
