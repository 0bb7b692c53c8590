"""What anomalies are sought in: a set's held-out items, or folders of pictures in several layouts."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from PIL.Image import Resampling
from torch import Tensor

from ganlab.data.pictures.archive import Folder, read_member
from ganlab.data.pictures.decode import fitted, opened
from ganlab.data.sets.one_class import NormalItems
from ganlab.errors import Refused
from ganlab.media import Medium
from ganlab.metrics.contract import OF_SCORES, hash_of_fields, short
from ganlab.sampling.sources import read_sources
from ganlab.system.untrusted import readable
from ganlab.tasks.anomalies import normal_and_tested

GOOD = "good"  # in the layout of MVTec AD: Bergmann et al. 2021, IJCV 129
NO_RANK = ("f1_of_all",)  # numbers that say nothing of a game
WORDS = {"0": False, "1": True, "normal": False, "abnormal": True, GOOD: False}


@dataclass
class Tested:
    """Pictures as data store them, with their names, and what is known of them.

    Attributes:
        normal: Pictures that are normal, and were not trained on, of which a threshold is taken.
        abnormal: Which of the pictures are; none: nobody knows.
        masks: Where they are, if that is known.
        where: In words, for the page.
        is_unseen: Whether nothing of `normal` can have been trained on.
        data: What a contract says of the set that they are held-out items of; empty for a folder's.
    """

    pictures: Tensor
    names: list[str]
    normal: Tensor
    where: str
    abnormal: Tensor | None = None
    masks: Tensor | None = None
    is_unseen: bool = True
    kinds: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def first(self, count: int | None) -> Tested:
        """So many of them, and as many normal ones beside, each spread over all."""
        if count is None:
            return self
        rows, normal = (_spread(total, count) for total in (len(self.names), len(self.normal)))
        return Tested(
            self.pictures[rows],
            [self.names[row] for row in rows.tolist()],
            self.normal[normal],
            self.where if len(rows) == len(self.names) else f"{self.where}, {count:,} of {len(self.names):,}",
            None if self.abnormal is None else self.abnormal[rows],
            None if self.masks is None else self.masks[rows],
            self.is_unseen,
            [self.kinds[row] for row in rows.tolist()] if self.kinds else [],
            self.data,
        )


def _spread(total: int, count: int) -> Tensor:
    return torch.arange(total) if count >= total else torch.linspace(0, total - 1, count).round().long()


def of_data(data: NormalItems) -> Tested:
    """The held-out items of a set: every second normal one is for the threshold, all others are tested."""
    items, abnormal = data.tested()
    normal, tested = normal_and_tested(abnormal)
    labels = items[tested][1].tolist()
    return Tested(
        items[tested][0],
        [f"{row:06}" for row in tested.tolist()],
        items[normal][0],
        f"held-out items of {type(data.of).__name__} ({data.setup_name})",
        abnormal[tested],
        kinds=[data.names[label] for label in labels],
        data={
            "class": type(data).__name__,
            "split": "held_out",
            "fingerprint": data.fingerprint_of("held_out"),
            "normal": [data.names[number] for number in data.normal],
        },
    )


def recorded(quality: dict[str, float], tested: Tested, how: Any) -> dict[str, Any]:
    """A row of a run's records: how well anomalies are told, and what it was measured under.

    Args:
        how: How pictures are rebuilt, in plain data.
    """
    count = len(tested.names)
    contract = {"says": tested.where, "data": tested.data, "samples": count, "rebuilt": how}
    numbers = {
        name: {"values": [[f"{name}{{n}}", None if name in NO_RANK else "max", "raw"]], "judged": 0}
        for name in quality
    }
    return {
        "scores": {f"{name}{short(count)}": value for name, value in quality.items()},
        "reasons": {},
        "floor": {},
        "contract": {"hash": hash_of_fields(contract), **contract, OF_SCORES: numbers},
    }


def of_folder(folder: Path, medium: Medium, labels: Path | None) -> Tested:
    """Pictures of MVTec's layout (train/good, test/KIND, ground_truth/KIND), or with a file of labels."""
    if (folder / "test").is_dir():
        if labels:
            raise Refused(f"{readable(folder)} says by its folders what is normal: leave --labels out.")
        return _of_layout(folder, medium)
    sources = read_sources(folder, medium)
    names = [*sources.names] or [f"{row:06}" for row in range(len(sources.items))]
    if labels is None:
        raise Refused(
            f"{readable(folder)} has no folders train/{GOOD} and test, which say what is normal: name a\n"
            "file of labels (--labels), with a line NAME,normal or NAME,abnormal for each picture."
        )
    abnormal = _read_labels(labels, names)
    normal, tested = normal_and_tested(abnormal)
    if not len(normal):
        raise Refused(f"{readable(labels)} calls no picture normal: there is none to take a threshold of.")
    return Tested(
        sources.items[tested],
        [names[row] for row in tested.tolist()],
        sources.items[normal],
        f"{folder.name} with the labels of {labels.name}",
        abnormal[tested],
    )


def _of_layout(folder: Path, medium: Medium) -> Tested:
    good = folder / "train" / GOOD
    if not good.is_dir():
        raise Refused(
            f"{readable(folder)} has no folder train/{GOOD}: a threshold is taken of what is normal."
        )
    normal, tested = read_sources(good, medium), read_sources(folder / "test", medium)
    names = [*tested.names]
    kinds = [Path(name).parts[0] if len(Path(name).parts) > 1 else GOOD for name in names]
    abnormal = torch.tensor([kind != GOOD for kind in kinds])
    truth = folder / "ground_truth"
    masks = _masks(truth, names, abnormal.tolist(), medium) if truth.is_dir() else None
    where = f"{folder.name}/test, threshold of {folder.name}/train/{GOOD}"
    return Tested(tested.items, names, normal.items, where, abnormal, masks, is_unseen=False, kinds=kinds)


def _masks(truth: Path, names: list[str], abnormal: list[bool], medium: Medium) -> Tensor:
    """Where pictures are abnormal, cut and resized as they are."""
    height, width = medium.shape[-2:]
    masks = torch.zeros(len(names), height, width, dtype=torch.bool)
    for mask, name, has_mask in zip(masks, names, abnormal, strict=True):
        if not has_mask:
            continue
        file = next(
            (each for end in ("_mask.png", ".png") if (each := truth / f"{name}{end}").is_file()), None
        )
        if file is None:
            raise Refused(f"{readable(truth)} has no mask of test/{name}: {name}_mask.png.")
        with opened(read_member(Folder(truth), str(file.relative_to(truth)))) as image:
            _refuse_other_size(image, truth, name)
            small = fitted(image.convert("L"), width, height, Resampling.NEAREST)
        mask.copy_(_numbers(small) > 0)
    return masks


def _refuse_other_size(mask: Image.Image, truth: Path, name: str) -> None:
    """Refuse a mask that has not the size of its picture, whose pixels it marks."""
    pictures = truth.parent / "test"
    picture = next(pictures.glob(f"{escape(name)}.*"))
    with opened(read_member(Folder(pictures), str(picture.relative_to(pictures)))) as image:
        size = image.size
    if mask.size != size:
        wide, high = mask.size
        raise Refused(
            f"The mask of test/{readable(name)} has {wide} x {high} pixels, and the picture has {size[0]} x"
            f" {size[1]}:\na mask marks the pixels of its picture."
        )


def _numbers(image: Image.Image) -> Tensor:
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(image.height, image.width)


def _read_labels(path: Path, names: list[str]) -> Tensor:
    if not path.is_file():
        raise Refused(f"There is no file of labels {readable(path)}.")
    known: dict[str, bool] = {}
    for number, row in enumerate(csv.reader(path.read_text().splitlines()), start=1):
        if len(row) != 2 or row[1].strip().lower() not in WORDS:
            if number == 1:  # a heading
                continue
            raise Refused(
                f"{readable(path)}, line {number}: a line is NAME,normal or NAME,abnormal, and this is\n"
                f"{readable(','.join(row))}."
            )
        known[str(Path(row[0].strip()).with_suffix(""))] = WORDS[row[1].strip().lower()]
    if missing := [name for name in names if name not in known]:
        raise Refused(
            f"{readable(path)} says nothing of {len(missing):,} of {len(names):,} pictures, such as\n"
            f"{readable(missing[0])}."
        )
    return torch.tensor([known[name] for name in names])
