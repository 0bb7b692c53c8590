"""Files to which a process adds rows while it runs: if it is killed, the rows written before are kept."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ganlab.system.atomic_file import atomic_write
from ganlab.system.untrusted import Problems, below, json_value, open_regular, read_bytes, whole_number

Row = dict[str, Any]


class Records:
    """A file of rows of plain values, a JSON object a line, each with its `step`.

    A line that is no such row, because it was cut off or garbled, costs only itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, *rows: Row) -> None:
        """Start on a new line, even where the last one was cut off."""
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
        self._refuse_odd()
        with self.path.open("a+b") as file:
            size = file.tell()
            file.seek(max(size - 1, 0))
            cut_off = size > 0 and file.read(1) != b"\n"
            file.write(("\n" * cut_off + text).encode())

    def read(self, problems: Problems | None = None) -> list[Row]:
        """All rows in the file's order; none if the file is missing.

        Args:
            problems: What cannot be read is added here, in words.
        """
        problems = [] if problems is None else problems
        try:
            lines = [*self._lines()]
        except OSError as error:
            problems.append(f"{self.path.name} cannot be read: {error.strerror}")
            return []
        lost = [number for number, (_, row) in enumerate(lines, 1) if row == {}]
        if lost:
            more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            problems.append(f"line {lost[0]}{more} of {self.path.name} cannot be read")
        return [row for _, row in lines if row]

    def rewind(self, step: int, keep: Callable[[Row], bool] = lambda row: False) -> None:
        """Drop the rows after a step, except those to keep, and lines that are no rows."""
        lines = [*self._lines()]
        kept = [line for line, row in lines if row is None or (row and (row["step"] <= step or keep(row)))]
        if len(kept) < len(lines):
            with atomic_write(self.path) as unfinished:
                unfinished.write_bytes("".join(line + "\n" for line in kept if line).encode())

    def _refuse_odd(self) -> None:
        """Raise an OSError where rows would be written to what is no regular file, or lies elsewhere."""
        if os.path.lexists(self.path):
            open_regular(self.path).close()

    def _lines(self) -> Iterator[tuple[str, Row | None]]:
        """Each line with its row: empty if it cannot be read, None if none belongs there."""
        content = read_bytes(self.path) if self.path.exists() else b""
        lines = content.decode(errors="replace").split("\n")
        for line, content in zip(lines, self._parse(lines), strict=True):
            step = whole_number(below(content, "step"))
            row = {} if step is None else {**content, "step": step}
            yield line, None if content is None else row

    def _parse(self, lines: list[str]) -> Iterator[Any]:
        """Each line's content; None for an empty line."""
        return (json_value(line) or {} if line.strip() else None for line in lines)


class Table(Records):
    """Records as a CSV file with a column for each name; a new name adds a column to all rows.

    Of a row the numbers are read, and other cells are left out.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.names: list[str] = []

    def append(self, *rows: Row) -> None:
        """Add rows; a file that holds damaged lines must have been cleaned by `rewind` before."""
        new = {name for row in rows for name in row}
        if not new <= {*self.names}:
            before = [row for _, row in self._lines() if row] if self.path.is_file() else None
            self.names = sorted(new.union(self.names))
            if before is not None:
                with atomic_write(self.path) as unfinished:
                    self._write(unfinished, before)
        self._write(self.path, rows)

    def _write(self, path: Path, rows: Iterable[Row]) -> None:
        self._refuse_odd()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self.names)
            if not file.tell():
                writer.writeheader()
            writer.writerows(rows)

    def read(self, problems: Problems | None = None) -> list[Row]:
        return [
            {name: value for name, cell in row.items() if (value := _number(cell)) is not None}
            for row in super().read(problems)
        ]

    def _parse(self, lines: list[str]) -> Iterator[Any]:
        *lines, cut_off = lines
        self.names, *rows = [_cells(line) for line in lines] or [[]]
        if lines:
            yield None
        for cells in rows:
            row = dict(zip(self.names, cells, strict=True)) if len(cells) == len(self.names) else {}
            yield row | {"step": _number(row.get("step"))} if cells else None
        yield {} if cut_off else None


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return [line]


def _number(cell: Any) -> float | None:
    try:
        return cell if isinstance(cell, int) else float(cell)
    except (TypeError, ValueError):
        return None
