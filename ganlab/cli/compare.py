"""`ganlab compare`: which group of runs is better, by how much, and how sure that is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from ganlab.cli.parser import Parser, run_command, silence_warnings
from ganlab.comparison import read, read_wandb, records, report, tables, text
from ganlab.comparison.ranking import Question
from ganlab.comparison.read import Run
from ganlab.errors import Refused
from ganlab.system.atomic_file import atomic_write

SCORE_HELP = (
    "one of the scores alone, in full or in short: fid10k_digits, fid; "
    "precision and density come with recall and coverage"
)
WIDTH = 160  # characters in a line, where there is no terminal


def main(arguments: list[str]) -> int:
    silence_warnings()
    return run_command(lambda: _compare(_parse(arguments[1:])))


def _parse(arguments: list[str]) -> Any:
    parser = Parser(prog="ganlab compare", description=__doc__)
    add = parser.add_argument
    add(
        "runs",
        type=str,
        nargs="*",
        help="run folders, folders above them, launches, patterns of these, or records (.jsonl)",
    )
    add("--from", type=str, help="runs of Weights & Biases: wandb:entity/project")
    add("--by", type=str, help="a setting to call the groups by, in full or in short: gamma")
    add("--pool", action="store_true", help="put together what has one name, though its settings differ")
    add("--against", type=str, help="a group, by its name: test against it alone, as was declared beforehand")
    add("--pooled", action="store_true", help="one variance for all groups, which are taken to spread alike")
    add("--score", type=str, help=SCORE_HELP)
    add("--target", type=float, help="a value of the score: how soon is it reached?")
    add("--out", type=str, default="report", help="the folder to write to")
    add(
        "--save",
        type=str,
        metavar="FILE.jsonl",
        help="what the comparison needs of all runs, to be read again",
    )
    add("--memorisation", type=bool, default=True, help="show the training images nearest to the samples")
    add("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


def _compare(chosen: Any) -> None:
    question = Question(chosen.pooled, chosen.against)
    runs, saved = read_runs(chosen), chosen.save and Path(chosen.save).expanduser()
    if saved and saved.suffix != records.SUFFIX:
        raise Refused(f"--save {saved}: records are lines of JSON, in a file{records.SUFFIX}.")
    comparison = tables.compare(runs, chosen.by, chosen.pool, chosen.score, chosen.target, question=question)
    out = Path(chosen.out).expanduser()
    as_json = json.dumps(text.plain(comparison), indent=2, allow_nan=False)
    if chosen.json:
        print(as_json)
    else:
        _show(comparison)
    files = {
        "table.md": text.markdown(comparison),
        "table.csv": text.table_csv(comparison),
        "scores.json": as_json + "\n",
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            with atomic_write(out / name) as temporary:
                temporary.write_text(content, encoding="utf-8")
        if saved:
            saved.parent.mkdir(parents=True, exist_ok=True)
            records.write(runs, saved)
        page = report.write(out, comparison, memorisation=chosen.memorisation)
    except OSError as error:
        raise Refused(f"Nothing can be written to {out}: {error.strerror} (--out).") from error
    if not chosen.json:
        print(f"report: {page}")


def read_runs(chosen: Any) -> list[Run]:
    """All runs that the arguments name, from folders and from Weights & Biases."""
    source = vars(chosen).get("from")
    if not chosen.runs and not source:
        raise Refused("Name runs: ganlab compare runs/mnist/*/*, or --from wandb:entity/project")
    saved = [name for name in chosen.runs if name.endswith(records.SUFFIX)]
    folders = [name for name in chosen.runs if name not in saved]
    runs = [read.read_run(folder) for folder in read.find_run_folders(folders)]
    runs += [run for name in saved for run in records.read(Path(name).expanduser())]
    return runs + (read_wandb.read_project(source) if source else [])


def _show(comparison: Any) -> None:
    console = Console()
    console = console if console.is_terminal else Console(width=WIDTH)
    for part in text.terminal(comparison):
        console.print(part)
