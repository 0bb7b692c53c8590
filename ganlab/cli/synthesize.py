"""`ganlab synthesize`: a set of samples, a folder for each class, with a manifest of their origin."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch

from ganlab.cli.parser import (
    CHECKPOINT_HELP,
    SOURCE_HELP,
    TRUST_HELP,
    Parser,
    add_choices,
    chosen_choices,
    chosen_source,
    run_command,
    silence_warnings,
)
from ganlab.errors import Refused
from ganlab.metrics.extractors.extractor import file_digest
from ganlab.runs.folder import run_of
from ganlab.runs.load import Which, load, selection_note
from ganlab.runs.status import SCORES
from ganlab.sampling.plan import class_names
from ganlab.sampling.write import Source, refuse_existing, to_folder
from ganlab.system.atomic_file import atomic_write
from ganlab.system.hardware import keep_freed_memory
from ganlab.system.row_files import Records
from ganlab.version import VERSION

MANIFEST = "manifest.json"


def main(arguments: list[str]) -> int:
    keep_freed_memory()
    silence_warnings()
    return run_command(lambda: _synthesize(_parse(arguments[1:])))


def _parse(arguments: list[str]) -> Any:
    parser = Parser(
        prog="ganlab synthesize",
        description="Write a set of samples that data classes read: a folder for each class, and a manifest.",
    )
    parser.add_argument("what", type=str, help=SOURCE_HELP)
    parser.add_argument("--out", type=str, required=True, help="a new folder/")
    parser.add_argument("--per_class", type=int, default=1000, metavar="N", help="samples of each class")
    parser.add_argument("--seed", type=int, default=0, help="sample i follows from it and i alone")
    add_choices(parser)
    parser.add_argument("--checkpoint", type=Which, default="newest", help=CHECKPOINT_HELP)
    parser.add_argument("--raw", action="store_true", help="the generator's own weights, not their average")
    parser.add_argument("--trust_code", action="store_true", help=TRUST_HELP)
    return parser.parse_args(arguments)


def _synthesize(chosen: Any) -> None:
    out, each = Path(chosen.out).expanduser(), chosen.per_class
    refuse_existing(out)
    if each < 1:
        raise Refused(f"--per_class is {each}; it is at least 1.")
    checkpoint = chosen_source(chosen)
    game = load(checkpoint, trust_code=chosen.trust_code)
    if torch.cuda.is_available():
        game = game.to("cuda")
    names = class_names(game)
    source = Source(game, chosen.seed, chosen.raw, choices=chosen_choices(chosen))
    source.classes = [name for name in names for _ in range(each)]
    source.refuse_what_fails()
    folders = folders_of(names)
    width = max(6, len(str(each - 1)))
    source.names = [f"{folder}/{number:0{width}d}" for folder in folders for number in range(each)]
    to_folder(out, source, len(source.names))
    content = {
        "made by": f"ganlab {VERSION}",
        "game": type(game).__name__,
        "weights": {"file": checkpoint.name, "sha256": _digest(checkpoint)},
        "seed": chosen.seed,
        "fakes": "raw" if chosen.raw else "ema",
        "choices": source.choices,
        "medium": game.media[0].plain(),
        "per_class": each,
        "classes": dict(zip(names, folders, strict=True)),
        "scores": _last_scores(run_of(checkpoint)),
    }
    with atomic_write(out / MANIFEST) as file:
        file.write_text(json.dumps(content, indent=2) + "\n")
    print(
        f"{len(source.names):,} samples of {len(names)} classes of {checkpoint} (seed {chosen.seed}): {out}"
    )
    if note := selection_note(checkpoint):
        print(note)


def folders_of(names: tuple[str, ...]) -> list[str]:
    """Of the classes, such that the order of folders is that of the classes."""
    width, plain = len(str(len(names) - 1)), [re.sub(r"[^\w.-]", "_", name) for name in names]
    if sorted(set(plain)) == plain:
        return plain
    return [f"{number:0{width}d}_{name}" for number, name in enumerate(plain)]


def _digest(source: Path) -> str:
    """Of a checkpoint, or of an export's weights."""
    return file_digest(source if source.is_file() else next(source.glob("*.safetensors")))


def _last_scores(run: Path | None) -> dict[str, Any] | None:
    """The run's last scores, and the contract that they were measured under; none that are known."""
    rows = [row for row in Records(run / SCORES).read() if "scores" in row] if run else []
    return {name: rows[-1][name] for name in ("step", "scores", "contract")} if rows else None
