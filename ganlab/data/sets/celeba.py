from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from torchvision import datasets

from ganlab import bounds
from ganlab.data.pictures.archive import Archive, is_picture, read_member, reading
from ganlab.data.pictures.decode import Broken
from ganlab.data.pictures.file_sets import ListedFile
from ganlab.data.pictures.picture_files import PictureFiles
from ganlab.errors import Refused
from ganlab.media import Labels, Medium, Pictures
from ganlab.system.untrusted import readable

WIDTH = 178  # pixels, of the official files; `crop` is in these

Table = dict[str, list[str]]


class CelebA(PictureFiles):
    """202,599 aligned faces with 40 attributes (Liu et al. 2015), as their authors publish them.

    With list_eval_partition.txt beside the pictures its parts 1 and 2 are held out.

    Args:
        crop: Side of the square cut from the middle, for pictures 178 pixels wide; scaled for other widths.
        attributes: Labels, by their names in list_attr_celeba.txt: one makes two classes, several make a row
            of zeros and ones.
    """

    usual_names = ("*celeba*.zip", "celeba*")
    layout = "It takes img_align_celeba/000001.jpg, with list_attr_celeba.txt for attributes, or their zip."
    origin = "From https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"

    def __init__(self, *, crop: int = 148, attributes: Sequence[str] = (), **base: Any) -> None:
        super().__init__(**base)
        bounds.at_least(1, self, crop=crop)
        self.transform = replace(self.transform, crop=crop / WIDTH)
        self.attributes = tuple(attributes)
        self.classes = 2 if len(attributes) == 1 else None

    @cached_property
    def media(self) -> tuple[Medium, ...]:
        """Its labels have the attributes' names."""
        made, names = Pictures(self.shape), self.attributes
        if len(names) > 1:
            return made, Labels(len(names), names, several=True)
        return (made, Labels(2, (f"not {names[0]}", names[0]))) if names else (made,)

    def fetch(self) -> None:
        datasets.CelebA(str(self.root), split="all", download=True)

    def find_files(self, archive: Archive) -> list[ListedFile]:
        names = [name for name in archive.names if is_picture(name)]
        faces = {PurePosixPath(name).name: name for name in names if re.search(r"\d+\.(jpg|png)$", name)}
        if not faces:
            return []
        held_out = _held_out_faces(archive, faces)
        labels = self._read_labels(archive, faces) if self.attributes else {}
        return [ListedFile(name, labels.get(face), face in held_out) for face, name in faces.items()]

    def _read_labels(self, archive: Archive, faces: dict[str, str]) -> dict[str, Any]:
        table = _table(archive, "list_attr_celeba")
        if not table:
            raise Refused(
                f"There is no list_attr_celeba.txt beside {readable(archive.path)}, so no attributes."
            )
        path, header, rows = table
        if unknown := [name for name in self.attributes if name not in header]:
            raise Refused(
                f"{path} knows no {', '.join(unknown)} (data.attributes). It knows\n{', '.join(header)}."
            )
        _refuse_mismatch(path, rows, faces, len(header))
        columns = [header.index(name) for name in self.attributes]
        labels = {face: tuple(int(int(rows[face][column]) > 0) for column in columns) for face in faces}
        return {face: row[0] if len(row) == 1 else row for face, row in labels.items()}


def _held_out_faces(archive: Archive, faces: dict[str, str]) -> set[str]:
    """The faces that the official partition holds out; none if its file is not there."""
    if not (table := _table(archive, "list_eval_partition")):
        return set()
    path, _, rows = table
    _refuse_mismatch(path, rows, faces, 1)
    return {face for face in faces if rows[face] != ["0"]}


def _table(archive: Archive, stem: str) -> tuple[str, list[str], Table] | None:
    """The file's path, its columns and each picture's row, from text (official) or CSV (Kaggle)."""
    for ending in ("txt", "csv"):
        if file := _read_table(archive, f"{stem}.{ending}"):
            path, text = file
            lines = [re.split(r"[,\s]+", line.strip()) for line in text.splitlines() if line.strip()]
            count = int(lines.pop(0)[0]) if lines and len(lines[0]) == 1 and lines[0][0].isdecimal() else None
            header = lines.pop(0) if lines and not is_picture(lines[0][0]) else []
            rows = {name: values for name, *values in lines}
            if count is not None and count != len(lines):
                raise Refused(
                    f"{path} says that it has {count:,} rows, but has {len(lines):,}: was it cut off?"
                )
            return path, header[header[:1] == ["image_id"] :], rows
    return None


def _read_table(archive: Archive, name: str) -> tuple[str, str] | None:
    """A file's path and text, from within the archive or from beside it; None if there is none."""
    for inside in archive.names:
        if PurePosixPath(inside).name == name:
            path, content = archive.path / inside, _table_within(archive, inside)
            break
    else:
        path = archive.path.resolve().parent / name
        with reading(path):
            if not path.is_file():
                return None
            content = path.read_bytes()
    # So that names which are not UTF-8 are those of the pictures.
    return readable(path), content.decode(errors="surrogateescape")


def _table_within(archive: Archive, name: str) -> bytes:
    try:
        return read_member(archive, name)
    except Broken as error:
        raise Refused(f"{readable(archive.path / name)} is damaged: {error}.") from error


def _refuse_mismatch(path: str, rows: Table, faces: dict[str, str], columns: int) -> None:
    """Every face needs a row of so many numbers."""
    if without := sorted(faces.keys() - rows.keys()):
        raise Refused(
            f"{path} has no row for {len(without):,} of {len(faces):,} pictures:\n"
            f"{readable(', '.join(without[:3]))}, ... It does not belong to them, or was cut off."
        )
    for face in faces:
        values = rows[face]
        if len(values) != columns or not all(re.fullmatch(r"-?\d", value) for value in values):
            raise Refused(
                f"{path}: the row of {readable(face)} is not {columns} numbers, but"
                f" {' '.join(values)[:60]!r}."
            )
