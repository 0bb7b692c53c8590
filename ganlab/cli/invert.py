"""`ganlab invert`: the latents of pictures that are given, and what a trained generator makes of these."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ganlab.cli.parser import (
    CHECKPOINT_HELP,
    SOURCE_HELP,
    TRUST_HELP,
    Parser,
    chosen_source,
    run_command,
    silence_warnings,
)
from ganlab.game.gan import GAN
from ganlab.game.rebuilding import Rebuilds
from ganlab.media import Medium, medium_of
from ganlab.networks import Rebuilding
from ganlab.runs.load import Which, load, selection_note
from ganlab.sampling.sources import Sources, read_sources
from ganlab.sampling.write import refuse_existing
from ganlab.system.atomic_file import atomic_write
from ganlab.tasks.inversion import Inverted, Search, as_played, invert

SHEET = 64  # pictures on the sheet at most, each beside what is made of it


def main(arguments: list[str]) -> int:
    silence_warnings()
    return run_command(lambda: _invert(_parse(arguments[1:])))


def _parse(arguments: list[str]) -> Any:
    parser = Parser(
        prog="ganlab invert",
        description="Find the latents whose samples are nearest to pictures: by search, or an encoder.",
    )
    parser.add_argument("what", type=str, help=SOURCE_HELP)
    parser.add_argument("images", type=str, help="a folder, zip or file of pictures, or an npz")
    parser.add_argument("--out", type=str, required=True, help="a new folder/")
    add_search(parser)
    parser.add_argument("--checkpoint", type=Which, default="newest", help=CHECKPOINT_HELP)
    parser.add_argument("--trust_code", action="store_true", help=TRUST_HELP)
    return parser.parse_args(arguments)


def add_search(parser: Parser) -> None:
    fields = {
        "steps": "of a search at most",
        "restarts": "searches from so many latents, of which the best is kept",
        "rate": "learning rate of a search (Adam)",
        "patience": "a search ends after so many steps without a nearer sample",
        "feature_share": "share of the discriminator's features in the distance; the rest are pixels",
        "seed": "of the latents that searches begin with",
    }
    for name, default in zip(Search._fields, Search(), strict=True):
        parser.add_argument(f"--{name}", type=type(default), default=default, help=fields[name])


def chosen_search(chosen: Any) -> Search:
    return Search(**{name: chosen[name] for name in Search._fields})


def _invert(chosen: Any) -> None:
    out = Path(chosen.out).expanduser()
    refuse_existing(out)
    game, checkpoint, medium = opened(chosen)
    sources = read_sources(Path(chosen.images).expanduser(), medium)
    found = invert(game, sources.items, chosen_search(chosen))
    _write(out, medium, sources, as_played(game, sources.items), found)
    mean = found.distances.mean()
    print(f"{len(sources.items):,} pictures by {checkpoint}, mean distance {mean:.4g}: {out}")
    if note := selection_note(checkpoint):
        print(note)


def _write(out: Path, medium: Medium, sources: Sources, pictures: Tensor, found: Inverted) -> None:
    width = max(6, len(str(len(pictures) - 1)))
    names = sources.names or [f"{number:0{width}d}" for number in range(len(pictures))]
    for name, made in zip(names, medium.stored(found.pictures).cpu(), strict=True):
        path = out / "made" / f"{name}{medium.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        medium.write(path, made)
    both = torch.stack([medium.stored(each[:SHEET]).cpu() for each in (pictures, found.pictures)], 1)
    medium.sheet(both.flatten(0, 1), columns=min(16, 2 * len(both))).save(out / "sheet.png")
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(["name", "distance", "step"])
    writer.writerows(zip(names, found.distances.tolist(), found.steps.tolist(), strict=True))
    with atomic_write(out / "distances.csv") as file:
        file.write_text(rows.getvalue())
    np.savez(out / "latents.npz", latents=found.latents.cpu().numpy())


def opened(chosen: Any) -> tuple[GAN, Path, Medium]:
    """The game that is chosen, where it lies, and the medium of what it makes."""
    checkpoint = chosen_source(chosen)
    game = load(checkpoint, trust_code=chosen.trust_code)
    if torch.cuda.is_available():
        game = game.to("cuda")
    return game, checkpoint, _medium(game)


def _medium(game: GAN) -> Medium:
    if isinstance(game, Rebuilds):
        return medium_of(cast(Rebuilding, game.ema.network).shape)
    return game.medium(game.sample(1, seed=0))
