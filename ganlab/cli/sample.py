"""`ganlab sample`: samples of a trained generator, as a picture, a folder, a file or a walk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml

from ganlab.cli.parser import (
    CHECKPOINT_HELP,
    COUNT,
    SOURCE_HELP,
    TRUST_HELP,
    WALKS,
    Parser,
    add_choices,
    chosen_choices,
    chosen_source,
    goes_back,
    run_command,
    silence_warnings,
)
from ganlab.cli.run_data import meet_data
from ganlab.errors import Refused, refuse_missing
from ganlab.game.gan import GAN
from ganlab.media import Labels, Medium
from ganlab.runs.folder import run_of
from ganlab.runs.load import Which, load, selection_note
from ganlab.runs.own import is_own
from ganlab.sampling import native, write
from ganlab.sampling.sources import read_sources
from ganlab.sampling.walk import to_gif, to_mp4
from ganlab.sampling.write import Source
from ganlab.system.hardware import keep_freed_memory

GIVEN_HELP = (
    "make samples from these: a folder, zip or file of pictures, of each of which the largest part from the"
    " middle is resized (bicubic), as data do; of other media's files; or an npz"
)
NATIVE_HELP = (
    "pictures that are given keep their own sizes, for networks of convolutions alone; large ones are made in"
    " tiles, without a seam, where networks see only so far"
)
BESIDE_HELP = "with a folder: each sample lies beside what it was made from, in one picture"
TRAVERSE_HELP = (
    "a row for each of --count latents, drawn with each value of this choice: code=0,1,2; of the second of"
    " two continuous codes continuous=[null,-1],[null,1]"
)
STOPS, FRAMES, MOST_FRAMES = 8, 60, 10_000  # latents on a walk, and its pictures
WALK_WRITERS = {".gif": to_gif, ".mp4": to_mp4}  # of clips, samples are written to these
SAMPLE_WRITERS = {
    **{".png": write.to_picture, ".npz": write.to_npz, "": write.to_folder},
    ".txt": write.to_one_file,
    **dict.fromkeys((".gif", ".mp4"), write.to_film),
}


def main(arguments: list[str]) -> int:
    keep_freed_memory()
    silence_warnings()
    return run_command(lambda: _sample(_parse(arguments[1:])))


def _parse(arguments: list[str]) -> Any:
    parser = Parser(
        prog="ganlab sample", description="Draw samples: as a picture, a folder, a file or a walk."
    )
    parser.add_argument("what", type=str, help=SOURCE_HELP)
    parser.add_argument(
        "--out",
        type=str,
        required=True,
        help="grid.png, samples.npz, lines.txt, walk.gif or .mp4 (of clips a sheet that moves), or a folder/",
    )
    parser.add_argument(
        "--count",
        type=int | None,
        help=f"samples, else one of each that is given, or {COUNT}; walks, traversals, else {WALKS}",
    )
    parser.add_argument("--seed", type=int, default=0, help="sample i follows from it and i alone")
    parser.add_argument("--class", type=str | None, metavar="K", help="of all samples: its number or name")
    parser.add_argument(
        "--classes", type=str | None, metavar="K,L", help="or all: equally many samples of each, a row each"
    )
    parser.add_argument("--per_class", type=int | None, metavar="N", help="with --classes: so many of each")
    parser.add_argument("--given", type=str | None, metavar="FOLDER_OR_FILE", help=GIVEN_HELP)
    parser.add_argument("--native", action="store_true", help=NATIVE_HELP)
    parser.add_argument("--beside", action="store_true", help=BESIDE_HELP)
    add_choices(parser)
    parser.add_argument("--traverse", type=str | None, metavar="NAME=V,V", help=TRAVERSE_HELP)
    parser.add_argument("--checkpoint", type=Which, default="newest", help=CHECKPOINT_HELP)
    parser.add_argument("--raw", action="store_true", help="the generator's own weights, not their average")
    parser.add_argument("--interpolate", type=int | None, metavar="K", help=f"latents on a walk ({STOPS})")
    parser.add_argument("--frames", type=int | None, help=f"pictures of the whole walk ({FRAMES})")
    parser.add_argument("--trust_code", action="store_true", help=TRUST_HELP)
    return parser.parse_args(arguments)


def _sample(chosen: Any) -> None:
    out = Path(chosen.out).expanduser()
    _refuse_numbers(chosen)
    _refuse_output(out, chosen)
    checkpoint = chosen_source(chosen)
    game = load(checkpoint, trust_code=chosen.trust_code)
    if torch.cuda.is_available():
        game = game.to("cuda")
    run = run_of(checkpoint)
    # What another's run says of its data would be built, and opens files.
    known = run if run and (chosen.trust_code or is_own(run)) else None
    back = goes_back(chosen, game)
    source = Source(game, chosen.seed, chosen.raw, choices=chosen_choices(chosen), run=known)
    source.beside = chosen.beside
    if chosen.native:
        count = native.to_folder(out, source, Path(chosen.given).expanduser(), _given_medium(game, chosen))
        print(f"{count:,} sample{'s' if count > 1 else ''} of {checkpoint} (seed {chosen.seed}): {out}")
        return
    is_walk = _is_walk(out, source, chosen)
    in_rows = is_walk or chosen.traverse is not None
    count = _count(source, WALKS if in_rows else COUNT, chosen, back=back)
    if classes := _classes(game, chosen):
        each = chosen.per_class or -(-count // len(classes))
        count = each * len(classes)
        source.classes = [label for label in classes for _ in range(each)]
        source.columns = each if len(classes) > 1 else None
    if chosen.traverse is not None:
        source.traversed = _traversed(chosen.traverse, is_walk)
        game.refuse_unknown_choice(source.traversed[0])
        source.columns = len(source.traversed[1])
        count *= source.columns
    source.refuse_what_fails()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if is_walk:
            how = {"stops": chosen.interpolate or STOPS, "frames": chosen.frames or FRAMES}
            WALK_WRITERS[out.suffix](out, source, count, **how)
        else:
            SAMPLE_WRITERS[out.suffix](out, source, count)
    except OSError as error:
        raise Refused(f"{out} could not be written: {error.strerror or error}.") from error
    kind = "walk" if is_walk else "sample"
    print(f"{count:,} {kind}{'s' if count > 1 else ''} of {checkpoint} (seed {chosen.seed}): {out}")
    if note := selection_note(checkpoint):
        print(note)


def _is_walk(out: Path, source: Source, chosen: Any) -> bool:
    """Whether a film of changing latents is meant: of clips, which move themselves, that must be said."""
    asked = chosen.interpolate is not None or chosen.frames is not None
    return out.suffix in WALK_WRITERS and (asked or not source.moves)


def _traversed(text: str, is_walk: bool) -> tuple[str, list[Any]]:
    """The name of a choice, and its values."""
    name, _, values = text.partition("=")
    try:
        parsed = yaml.safe_load(f"[{values}]")
    except yaml.YAMLError:
        parsed = []
    if not parsed or is_walk:
        raise Refused(
            f"--traverse {text}: a choice and its values, such as code=0,1,2, for samples and not for a walk."
        )
    return name, parsed


def _count(source: Source, default: int, chosen: Any, *, back: bool) -> int:
    """How many are drawn; what they are made from is read, or found in the run's data."""
    game = source.game
    if chosen.given is not None:
        source.given, source.names = read_sources(
            Path(chosen.given).expanduser(), _given_medium(game, chosen)
        )
        return chosen.count or len(source.given)
    if chosen["class"] is None and chosen.classes is None:
        if back:
            game.conditions = None  # those of an export, which were kept for the way there
        meet_data(game, source.run, back=back)
    return chosen.count or game.at_most(default)


def _given_medium(game: GAN, chosen: Any) -> Medium:
    """The medium that what is given is read by."""
    name, medium = type(game).__name__, game.source_medium
    if not game.is_conditional:
        raise Refused(f"{name} makes samples from nothing: leave --given out.")
    if medium is None:
        raise Refused(f"No data told {name} what its samples are made from: give them in Python, given=….")
    if isinstance(medium, Labels):
        raise Refused(f"{name} is told labels, which no files hold: --class K, or --classes K,L.")
    if chosen["class"] is not None or chosen.classes is not None:
        raise Refused(f"{name} makes samples from what is given: leave --class and --classes out.")
    return medium


def _classes(game: GAN, chosen: Any) -> list[str]:
    """Those that are asked for; none: the plan's."""
    if chosen["class"] is not None and chosen.classes is not None:
        raise Refused("--class is one of all samples, --classes are several: give one of the two.")
    if chosen.classes is None:
        return [] if chosen["class"] is None else [chosen["class"]]
    if chosen.classes != "all":
        return chosen.classes.split(",")
    known = game.condition_medium
    if not isinstance(known, Labels) or known.several:
        raise Refused("--classes all: this game knows of no classes; name them, --classes 0,1,2.")
    return [str(number) for number in range(known.classes)]


def _refuse_numbers(chosen: Any) -> None:
    for name, least in (("count", 1), ("per_class", 1), ("interpolate", 2), ("frames", 2)):
        if (value := chosen[name]) is not None and value < least:
            raise Refused(f"--{name} is {value}; it is at least {least}.")
        if value is not None and name in ("interpolate", "frames") and value > MOST_FRAMES:
            raise Refused(f"--{name} is {value}; it is at most {MOST_FRAMES:,}.")
    if chosen.per_class is not None and (chosen.classes is None or chosen.count is not None):
        raise Refused("--per_class is of each of --classes (all, or 0,1,2), in the place of --count.")


def _refuse_output(out: Path, chosen: Any) -> None:
    if out.suffix not in SAMPLE_WRITERS:
        raise Refused(
            f"--out {out}: samples are written to a .png, .npz, .txt (text), .gif or .mp4, or to a folder."
        )
    others = chosen.traverse is not None or chosen.count is not None
    if chosen.native and (out.suffix or chosen.given is None or others):
        raise Refused(
            "--native is for pictures that are given, into a folder, one of each: --given photos/ --out made/"
        )
    if chosen.beside and out.suffix:
        raise Refused(f"--beside is for the pictures of a folder, not for {out}; a .png shows both anyway.")
    if out.suffix and out.is_dir():
        raise Refused(f"--out {out} is a folder.")
    walks = [name for name in ("interpolate", "frames") if chosen[name] is not None]
    if walks and out.suffix not in WALK_WRITERS:
        raise Refused(f"--{walks[0]} is for a walk, which is written to a .gif or an .mp4, not to {out}.")
    if out.suffix == ".mp4":
        refuse_missing(f"--out {out}", "video", "av")
