"""`ganlab data check`: what a data set holds and how fast it is read, before a run depends on it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ActionConfigFile
from lightning.pytorch import LightningDataModule
from PIL import Image

# Imported, a class is known by its bare name.
from ganlab import data
from ganlab.cli.arguments import config_files, is_path
from ganlab.cli.parser import Parser, run_command, silence_warnings
from ganlab.data.pictures.archive import read_member
from ganlab.data.pictures.decode import Broken
from ganlab.data.pictures.file_sets import FileSet
from ganlab.data.rows import Rows
from ganlab.data.stream import Split, StreamData
from ganlab.errors import Refused
from ganlab.loggers import looks
from ganlab.media import Medium, tiles
from ganlab.runs import user_code
from ganlab.system.hardware import keep_freed_memory
from ganlab.system.untrusted import readable

SHOWN = 64  # images in the picture
MEASURED = 1000  # files whose size is read
SECONDS = 2.0  # of measuring the throughput
NOT_DATA = (
    "model",
    "trainer",
    "samples",
    "evaluation",
    "checkpoints",
    "seed_everything",
    "runs",
    "ckpt_path",
)
OF_ONES_OWN = (
    "The class of your own pictures is ImageFolder; all: ganlab list. A run's: --config RUN/config.yaml."
)
SPLITS: tuple[Split, ...] = ("train", "held_out")


def main(arguments: list[str]) -> int:
    rest = arguments[2:]
    if arguments[1:2] != ["check"]:
        print("ganlab: ganlab data knows one verb: ganlab data check CLASS --root FOLDER.", file=sys.stderr)
        return 2
    keep_freed_memory()
    silence_warnings()
    user_code.add_to_path(Path(path) for path in config_files(rest))
    return run_command(lambda: check(_parse(rest)))


def _parse(arguments: list[str]) -> Any:
    """`CLASS --size 64` is read as `--data CLASS --data.size 64`."""
    description = "Other options are those of the class: --root, --size, ..."
    parser = Parser(prog="ganlab data check CLASS", description=description)
    parser.add_argument("-c", "--config", action=ActionConfigFile, help="An experiment file, for its data.")
    parser.add_argument("--out", type=str, default=None, help="Where to write the picture; else ./CLASS.png.")
    parser.add_subclass_arguments(LightningDataModule, "data", required=True)
    for section in NOT_DATA:
        parser.add_argument(f"--{section}", type=Any, help="Of an experiment file; not looked at.")
    if arguments and not arguments[0].startswith("-"):
        if arguments[0] not in data.__all__ and is_path(arguments[0]):  # The parser would open it.
            given = readable(arguments[0])
            raise Refused(f"{given} is no class: ganlab data check CLASS --root {given}.\n{OF_ONES_OWN}")
        arguments = ["--data", *arguments]
    elif not {"--data", "--config", "-c", "--help", "-h"} & {word.partition("=")[0] for word in arguments}:
        raise Refused(
            f"Which data? ganlab data check CLASS --root FOLDER, or --config EXPERIMENT.\n{OF_ONES_OWN}"
        )
    options = ("--config", "-c", "--out", "--data", "--help", "-h")
    expanded = [
        f"--data.{word.removeprefix('--')}"
        if word.startswith("--") and word.partition("=")[0].partition(".")[0] not in options
        else word
        for word in arguments
    ]
    return parser.instantiate_classes(parser.parse_args(expanded))


def check(chosen: Any) -> None:
    source: StreamData = chosen.data
    name = type(source).__name__
    out = Path(chosen.out or f"{name.lower()}.png")
    _refuse_unwritable(out)
    began = time.perf_counter()
    source.prepare_data()
    source.setup("fit")
    took = time.perf_counter() - began

    print(name)
    for label, fact in _facts(source):
        print(f"  {label:12}{fact}")
    print(f"  loaded in   {took:.1f} s")
    speed = f"{_throughput(source):,.0f} {source.media[0].array}/s"
    print(f"  throughput  {speed}, in batches of {source.batch_size}")
    batches = islice(source.train_dataloader(), -(-SHOWN // source.batch_size))
    columns = [torch.cat(column) for column in zip(*batches, strict=True)]
    medium, *told_by = zip(source.media, columns, strict=False)
    files = looks.write_files(out.parent, out.stem, *medium)
    if medium[0].drawable or not files:
        _sheet(*(each for each in told_by if each[0].drawable), medium).save(out)
        print(f"  picture     {out}")
    if files:
        print(f"  items       {', '.join(map(str, files))}")


def _sheet(*parts: tuple[Medium, torch.Tensor]) -> Image.Image:
    """The first items, beside the pictures that games are told with them."""
    shown = [(medium, items[:SHOWN]) for medium, items in parts]
    return tiles.groups(shown) if len(shown) > 1 else shown[0][0].sheet(shown[0][1])


def _refuse_unwritable(out: Path) -> None:
    if Image.registered_extensions().get(out.suffix.lower()) not in Image.SAVE or out.is_dir():
        raise Refused(f"--out {readable(out)} is no picture that can be written: end its name in .png.")
    if not out.parent.is_dir():
        raise Refused(f"--out {readable(out)}: there is no folder {readable(out.parent)}.")


def _facts(source: StreamData) -> Iterator[tuple[str, str]]:
    """Labels and what stands beside them."""
    called = source.media[0].array
    if isinstance(source, FileSet):
        yield "read from", str(source.source[0].path.resolve())
        yield source.what, _span(source)
        pair = source.source[1][0]
        if pair.source:
            yield "a pair", f"{pair.name} is made from {pair.source}"
    yield "seen as", f"{' x '.join(map(str, source.shape))} (channels first)"
    for split in SPLITS:
        items: Any = getattr(source.splits, split)
        if isinstance(items, Rows):
            yield split.replace("_", " "), f"{len(items):,} {called}{_classes(items, source.classes)}"
            yield "", f"fingerprint {source.fingerprint_of(split)}"
        if isinstance(source, FileSet) and split in source.files:
            cache, _ = source.cache_of(split)
            yield "", f"cache {cache.images.parent} ({cache.images.stat().st_size / 1e6:,.0f} MB)"
            yield from (("broken", f"skipped: {reason}") for reason in cache.skipped.values())


def _classes(items: Rows, classes: int | None) -> str:
    if items.labels is None or items.labels.ndim > 1 or not classes or classes > 20:
        return f", {classes:,} classes" if classes else ""
    counts = items.labels.bincount(minlength=classes).tolist()
    return f", {classes} classes of " + ", ".join(f"{count:,}" for count in counts)


def _span(source: FileSet) -> str:
    """How many files there are, and what is common to a sample of them."""
    archive, files = source.source

    def contents() -> Iterator[bytes]:
        for file in files[:: max(1, len(files) // MEASURED)]:
            with suppress(Broken):  # They are listed elsewhere.
                yield read_member(archive, file.name)

    return f"{len(files):,}, {source.span(contents())}"


def _throughput(source: StreamData) -> float:
    batches = iter(source.train_dataloader())
    source.played(next(batches))
    start, images = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < SECONDS:
        images += len(source.played(next(batches))[0])
    return images / elapsed
