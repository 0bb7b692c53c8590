"""Samples of a game as one picture of all, a folder of pictures or a file of arrays.

A sample follows from the seed and its own number: the first are the same however many are drawn, and they are
those that an evaluation with this seed scores and that `game.sample(count, seed=seed)` returns.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor

from ganlab import data
from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.media import Medium, tiles
from ganlab.media.films import gif, write_mp4
from ganlab.sampling.plan import portions
from ganlab.sampling.sheet import beside
from ganlab.system.atomic_file import atomic_write
from ganlab.system.untrusted import readable

LARGEST = 10_000  # samples in one picture
TOLD = {"raw", "classes", "given"}  # what samples are drawn by besides choices


@dataclass
class Source:
    """What samples are drawn from.

    Args:
        seed: Sample i follows from it and i alone.
        raw: By the generator's own weights instead of their average.
        classes: The samples' classes, in turn; none: as often as the game was trained with them.
        given: What the samples are made from, in turn, as data store it; none: what the game knows to tell.
        names: Of files of what is given, in turn; none: samples are numbered.
        choices: What they are drawn with, such as truncation.
        traversed: A choice and its values: each latent is drawn with all of them, one after the other.
        beside: Lay each sample of a folder beside what it was made from; sheets do so anyway.
        columns: Of a sheet; none: as many as make it nearly square.
        run: The folder of the run whose data draw samples that are no pictures.
    """

    game: GAN
    seed: int = 0
    raw: bool = False
    classes: Sequence[int | str] | None = None
    given: Tensor | None = None
    names: Sequence[str] = ()
    choices: dict[str, Any] = field(default_factory=dict)
    traversed: tuple[str, Sequence[Any]] | None = None
    beside: bool = False
    columns: int | None = None
    run: Path | None = None

    def blocks(self, count: int) -> Iterator[Tensor]:
        ways = self._ways
        for first, some in portions(count // len(ways)):
            drawn = (self.game.sample(some, seed=self.seed, at=first, whole=True, **how) for how in ways)
            yield torch.stack([*drawn], 1).flatten(0, 1)

    @property
    def moves(self) -> bool:
        """Whether samples are clips, which move by themselves."""
        made = self.game.media[:1]
        return any(medium.film(medium.blank()) is not None for medium in made)

    @property
    def _ways(self) -> list[dict[str, Any]]:
        """How each latent is drawn, once or with each value of a choice."""
        how = {"raw": self.raw, "classes": self.classes, "given": self.given, **self.choices}
        name, values = self.traversed or ("", ())
        return [{**how, name: value} for value in values] or [how]

    def refuse_what_fails(self) -> None:
        """Draw two samples to see whether the game takes what it is told: only the game itself knows."""
        kind = type(self.game)
        if kind.fake is GAN.fake and not self.game.is_conditional:
            if self.classes is not None:
                raise Refused(f"{kind.__name__} knows no classes: leave out --class ({self.classes[0]}).")
            for how in self._ways:
                self.game.latents(2, seed=0, **{name: how[name] for name in how.keys() - TOLD})
            return
        told = "nothing (--class, --given)"
        if self.classes is not None:
            told = f"the class {self.classes[0]} (--class)"
        elif self.given is not None:
            told = "what is given (--given)"
        try:
            for how in self._ways:
                self.game.sample(self.game.at_most(2), seed=0, **how)
        except (IndexError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise Refused(
                f"{kind.__name__} draws no samples when it is told {told}:\n"
                f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
            ) from error

    def beside_samples(self, count: int) -> list[tuple[Medium, Tensor]] | None:
        """What so many samples are made from, and their reals, if there are such.

        None if it is nothing that can be drawn.
        """
        if self.given is None:
            return beside(self.game, count, self.seed)
        if (column := self.game.drawable_source) is None:
            return None
        return [(self.game.media[column], self.given[torch.arange(count) % len(self.given)])]

    def file_names(self, count: int) -> list[str]:
        """Of the samples, without suffixes: their sources' with the turn from the second on, or numbers."""
        if not self.names:
            width = max(6, len(str(count - 1)))
            return [f"{number:0{width}d}" for number in range(count)]
        # Each source is drawn in all ways before the next one.
        ways, sources = len(self._ways), len(self.names)
        turns = [
            (number // ways // sources * ways + number % ways, number // ways % sources)
            for number in range(count)
        ]
        names = [f"{self.names[index]}-{turn + 1}" if turn else self.names[index] for turn, index in turns]
        if twice := [name for name, times in Counter(names).items() if times > 1]:
            raise Refused(
                f"{len(twice):,} samples would have the name of another, after their sources (--given):\n"
                f"{readable(twice[0])}. Rename these, or take a file.npz."
            )
        return names


def sheet(source: Source, count: int) -> Image.Image:
    if count > LARGEST:
        raise Refused(f"{count:,} samples are too many for one picture: take a folder or a file.npz.")
    samples = torch.cat([block.cpu() for block in source.blocks(count)])
    medium, around = _medium(source, samples), None if source.traversed else source.beside_samples(count)
    if around is not None and medium.drawable:
        made_from, *real = around
        return tiles.groups([made_from, (medium, samples), *real], source.columns)
    captions = None
    if source.traversed is None:
        captions = source.game.captions(count, seed=source.seed, classes=source.classes, given=source.given)
    return medium.captioned(samples, captions, source.columns)


def _medium(source: Source, samples: Tensor) -> Medium:
    """Of the samples; where they are drawn over reals, it is that of the run's data."""
    medium = source.game.medium(samples)
    data_of_run = _data(source.run) if source.run and not medium.drawable else None
    return data_of_run.media[0] if data_of_run else medium


def to_picture(path: Path, source: Source, count: int) -> None:
    image = sheet(source, count)
    with atomic_write(path) as file:
        image.save(file, format="PNG")


def to_film(path: Path, source: Source, count: int) -> None:
    """Clips side by side, in a film that repeats."""
    if count > LARGEST:
        raise Refused(f"{count:,} samples are too many for one film: take a folder or a file.npz.")
    samples = torch.cat([block.cpu() for block in source.blocks(count)])
    film = source.game.medium(samples).film(samples, source.columns)
    assert film
    frames, rate = film
    with atomic_write(path) as file:
        if path.suffix == ".gif":
            file.write_bytes(gif(frames, round(1000 / rate)))
        else:
            write_mp4(file, frames, Fraction(rate).limit_denominator(1000))


def refuse_existing(path: Path) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise Refused(f"{path} is there already: name a new folder, or a file.png, .npz, .gif or .mp4.")


def to_folder(path: Path, source: Source, count: int) -> None:
    refuse_existing(path)
    names = iter(source.file_names(count))
    beside = _beside(source, count) if source.beside else None
    path.mkdir(parents=True, exist_ok=True)
    for block in source.blocks(count):
        medium = source.game.medium(block)
        for item in medium.stored(block):
            file = path / f"{next(names)}{medium.suffix}"
            if file.parent != path:
                file.parent.mkdir(parents=True, exist_ok=True)
            try:
                if beside:
                    tiles.groups([next(beside), (medium, item[None])]).save(file)
                else:
                    medium.write(file, item)
            except Refused:
                with suppress(OSError):  # It holds those that were written.
                    path.rmdir()
                raise


def _beside(source: Source, count: int) -> Iterator[tuple[Medium, Tensor]]:
    """What each sample was made from, in order; refused before anything is written."""
    around = None if source.traversed else source.beside_samples(count)
    if around is None or not source.game.media[0].drawable:
        raise Refused("--beside lays samples beside the pictures that they are made from: here are none.")
    medium, items = around[0]
    return ((medium, item[None]) for item in items)


def to_one_file(path: Path, source: Source, count: int) -> None:
    """All samples in a file as their medium has it, such as a line each."""
    blocks = source.blocks(count)
    first = next(blocks)
    medium = source.game.medium(first)
    if not (medium.several_a_file and medium.suffix == path.suffix):
        raise Refused(
            f"--out {path}: samples of {type(medium).__name__} are not written to such a file.\n"
            "Take a folder, a .png or an .npz."
        )
    with atomic_write(path) as file:
        medium.write_all(file, (medium.stored(block) for block in chain([first], blocks)))


def to_npz(path: Path, source: Source, count: int) -> None:
    """Pictures: bytes (n, height, width, channels) named `images`; anything else: float32 named `samples`."""
    with atomic_write(path) as temporary, ExitStack() as stack:
        file: IO[bytes] | None = None
        for block in source.blocks(count):
            medium = source.game.medium(block)
            rows = medium.as_array(medium.stored(block))
            if file is None:
                archive = stack.enter_context(zipfile.ZipFile(temporary, "w"))
                file = stack.enter_context(archive.open(f"{medium.array}.npy", "w", force_zip64=True))
                descr = np.lib.format.dtype_to_descr(rows.dtype)
                header = {"descr": descr, "fortran_order": False, "shape": (count, *rows.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(rows).tobytes())


def _data(run: Path) -> StreamData | None:
    """The data of a run, built from its config; none unless their class is one of ganlab's."""
    try:
        config = yaml.safe_load((run / "config.yaml").read_text())["data"]
        kinds = {f"{kind.__module__}.{kind.__name__}": kind for kind in vars(data).values() if _is_data(kind)}
        kinds |= {f"ganlab.data.{kind.__name__}": kind for kind in kinds.values()}
        return kinds[config["class_path"]](**config["init_args"]) if config["class_path"] in kinds else None
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return None


def _is_data(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, StreamData) and kind is not StreamData
