"""`ganlab anomaly`: which pictures are not normal, by a game that was trained on what is.

How well the held-out items of a run's own data are told is added to the run's records, for `ganlab compare`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

from ganlab.cli.invert import add_search, chosen_search, opened
from ganlab.cli.parser import (
    CHECKPOINT_HELP,
    SOURCE_HELP,
    TRUST_HELP,
    Parser,
    run_command,
    silence_warnings,
)
from ganlab.cli.run_data import data_of_run
from ganlab.data.sets.one_class import NormalItems
from ganlab.errors import Refused
from ganlab.game.rebuilding import Rebuilds
from ganlab.media import Medium
from ganlab.runs.folder import run_of
from ganlab.runs.load import Which, selection_note, step_of
from ganlab.runs.own import is_own
from ganlab.runs.records import record_scores
from ganlab.sampling.write import refuse_existing
from ganlab.system.atomic_file import atomic_write
from ganlab.tasks.anomalies import Scored, quality, quality_of_pixels, scored, threshold_of
from ganlab.tasks.anomaly_page import HEADINGS, heat_picture, page
from ganlab.tasks.inversion import Search
from ganlab.tasks.tested import Tested, of_data, of_folder, recorded


def main(arguments: list[str]) -> int:
    silence_warnings()
    return run_command(lambda: _anomaly(_parse(arguments[1:])))


def _parse(arguments: list[str]) -> Any:
    parser = Parser(prog="ganlab anomaly", description=__doc__)
    parser.add_argument("what", type=str, help=SOURCE_HELP)
    parser.add_argument(
        "images",
        type=str | None,
        nargs="?",
        help="a folder with train/good, test/KIND and maybe ground_truth/KIND, or any with --labels; else"
        " the held-out items of the run's data (OneClass, LeaveOut)",
    )
    parser.add_argument("--out", type=str, required=True, help="a new folder/")
    parser.add_argument("--labels", type=str | None, help="a file of lines NAME,normal or NAME,abnormal")
    parser.add_argument(
        "--count",
        type=int | None,
        help="test so many alone, and take the threshold of as many normal ones, spread over all",
    )
    parser.add_argument("--share", type=float, default=0.95, help="of normal pictures below the threshold")
    add_search(parser)
    parser.add_argument("--checkpoint", type=Which, default="newest", help=CHECKPOINT_HELP)
    parser.add_argument("--trust_code", action="store_true", help=TRUST_HELP)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


def _anomaly(chosen: Any) -> None:
    out = Path(chosen.out).expanduser()
    refuse_existing(out)
    if chosen.count is not None and chosen.count < 1:
        raise Refused(f"--count is {chosen.count}; it is at least 1.")
    game, checkpoint, medium = opened(chosen)
    tested = _tested(chosen, checkpoint, medium).first(chosen.count)
    search = chosen_search(chosen)
    threshold = threshold_of(scored(game, tested.normal, search).scores, chosen.share)
    found = scored(game, tested.pictures, search)
    known = {} if tested.abnormal is None else quality(found.scores, tested.abnormal, threshold)
    if tested.masks is not None:
        known |= quality_of_pixels(found.heat, tested.masks)
    facts = {
        "game": f"{type(game).__name__} of {checkpoint}",
        "pictures": tested.where,
        "threshold": f"{threshold:.6g}: {chosen.share:.0%} of {len(tested.normal):,} normal are not above",
        "these normal ones": "held out" if tested.is_unseen else "may have been trained on",
    }
    _write(out, tested, found, threshold, known, facts, medium)
    run = run_of(checkpoint)
    if tested.data and run:
        how = "rebuilt" if isinstance(game, Rebuilds) else dict(zip(Search._fields, search, strict=True))
        place = {"step": step_of(checkpoint), "checkpoint": checkpoint.name}
        record_scores(run, place | recorded(known, tested, how))
    if chosen.json:
        print(json.dumps({"quality": known, "threshold": threshold, **facts}))
        return
    for name, value in known.items():
        print(f"{HEADINGS[name]}: {value:.4f}")
    print(f"{len(tested.names):,} pictures: {out}/scores.csv, {out}/report.html")
    if note := selection_note(checkpoint):
        print(note)


def _tested(chosen: Any, checkpoint: Path, medium: Medium) -> Tested:
    if chosen.images is not None:
        labels = None if chosen.labels is None else Path(chosen.labels).expanduser()
        return of_folder(Path(chosen.images).expanduser(), medium, labels)
    run = run_of(checkpoint)
    data = data_of_run(run) if run and (chosen.trust_code or is_own(run)) else None
    if not isinstance(data, NormalItems):
        raise Refused(
            "The run's data do not say what is normal (OneClass, LeaveOut do), or it is not known of whose\n"
            "it is: name a folder of pictures."
        )
    if tuple(data.shape) != tuple(medium.shape):
        raise Refused(f"The data are {data.media[0]}, and the run makes {medium}.")
    return of_data(data)


def _write(
    out: Path,
    tested: Tested,
    found: Scored,
    threshold: float,
    known: dict[str, float],
    facts: dict[str, str],
    medium: Medium,
) -> None:
    (out / "heat").mkdir(parents=True)
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(["name", "score", "called abnormal", *([] if tested.abnormal is None else ["abnormal"])])
    for row, (name, score) in enumerate(zip(tested.names, found.scores.tolist(), strict=True)):
        truth = [] if tested.abnormal is None else [int(tested.abnormal[row])]
        writer.writerow([name, score, int(score > threshold), *truth])
    hottest = float(found.heat.max()) or 1.0
    for name, heat in zip(tested.names, found.heat, strict=True):
        flat = re.sub(r"[^\w.-]", "_", name)
        heat_picture(heat, hottest).save(out / "heat" / f"{flat}.png")
    content = page("Anomalies", tested, found, threshold, known, facts, medium)
    for name, text in (("scores.csv", rows.getvalue()), ("report.html", content)):
        with atomic_write(out / name) as file:
            file.write_text(text)
