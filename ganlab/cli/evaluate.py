"""`ganlab evaluate`: the scores of a run, a checkpoint, an export, or anybody's images."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Imported, a class is known by its bare name.
from ganlab import data, metrics  # noqa: F401
from ganlab.checkpoints import export
from ganlab.checkpoints.export import is_export, read_config
from ganlab.cli.arguments import is_path
from ganlab.cli.parser import TRUST_HELP, Parser, run_command, silence_warnings
from ganlab.data.pictures.archive import reading
from ganlab.data.stream import Split, StreamData
from ganlab.errors import Refused
from ganlab.metrics.contract import Contract
from ganlab.metrics.extractors.extractor import Extractor
from ganlab.metrics.given_images import GivenImages
from ganlab.metrics.reference import contract_of, default_scores, prepare_reference, statistics
from ganlab.metrics.scorer import TABLE, Reals, Scorer
from ganlab.runs import user_code
from ganlab.runs.folder import run_of
from ganlab.runs.load import load, newest_whole_checkpoint, read_checkpoint
from ganlab.runs.own import CONFIG, is_own, is_run
from ganlab.runs.status import SCORES
from ganlab.sampling.plan import fake_batches
from ganlab.system.hardware import keep_freed_memory
from ganlab.system.row_files import Records
from ganlab.system.untrusted import readable, yaml_config


def main(arguments: list[str]) -> int:
    keep_freed_memory()
    silence_warnings()
    user_code.add_to_path([])
    return run_command(lambda: _evaluate_and_print(_parse(arguments[1:])))


def _evaluate_and_print(chosen: Any) -> None:
    _print_scores(evaluate(chosen), as_json=chosen.json)


def _parse(arguments: list[str]) -> Any:
    parser = Parser(prog="ganlab evaluate", description=__doc__)
    parser.add_argument(
        "what", type=str, help="a run, a checkpoint, an export, or a folder, zip or npz of images"
    )
    parser.add_argument(
        "--reference", type=str, help="a data class, an experiment file, or images; else the run's own data"
    )
    parser.add_argument("--samples", type=int, default=50_000, help="how many fakes; of given images: all")
    parser.add_argument(
        "--scores",
        type=str,
        help=f"some of {','.join(TABLE)}; else fid, and copied where images are held out",
    )
    parser.add_argument(
        "--extractor", type=Extractor, help="turns images into features; else the run's own, or Inception"
    )
    parser.add_argument("--weights", type=str, help="the extractor's file of weights")
    parser.add_argument("--split", type=Literal["train", "held_out", "test"], default="train")
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    parser.add_argument("--raw", action="store_true", help="the generator's own weights, not their average")
    parser.add_argument("--trust_code", action="store_true", help=TRUST_HELP)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


def evaluate(chosen: Any) -> dict[str, Any]:
    """Compute the scores that the arguments ask for; those of a run's checkpoint are added to its records."""
    split: Split = "train" if chosen.split == "train" else "held_out"
    what = Path(chosen.what).expanduser()
    with reading(what):
        if not what.exists():
            raise Refused(f"There is no {what} to evaluate.")
    run = what if is_run(what) else run_of(what)
    trusted = run is not None and (chosen.trust_code or is_own(run))
    if run and not trusted and not chosen.reference:
        raise Refused(
            f"{run} is not as your ganlab wrote it, and its {CONFIG} is a program: it was not read.\n"
            "Name data and features by --reference and --extractor; or if you trust the run: --trust_code."
        )
    settings = yaml_config(run / CONFIG, []) if run and trusted else {}
    if trusted and run:
        user_code.add_copy(run)
    extractor = _extractor(chosen, settings)
    source = what if is_export(what) else _checkpoint(what)
    given = None if source else GivenImages(what)
    reference = _compared_with(chosen, settings)
    scores = chosen.scores.split(",") if chosen.scores else default_scores(reference)
    scorer = Scorer(extractor, tuple(scores), given.total if given else chosen.samples)
    if torch.cuda.is_available():
        extractor.to("cuda")
    if given:
        fakes, batches = "given", given.batches()
    else:
        assert source
        fakes = read_config(source)["weights"] if source.is_dir() else export.FAKES[chosen.raw]
        game = load(source, trust_code=chosen.trust_code)
        game = game.to("cuda") if torch.cuda.is_available() else game
        batches = fake_batches(game, scorer.samples, chosen.seed, raw=chosen.raw)
    reals, contract, floor = _reference(reference, chosen, scorer, split, fakes)
    values, reasons = scorer.score(reals, scorer.observe(batches, scorer.samples))
    row = {"scores": values, "reasons": reasons, "contract": contract.plain()}
    if source and not source.is_dir():
        row = {"step": read_checkpoint(source)["global_step"], "checkpoint": source.name, **row}
        if run:
            _record(run, row)
    return row | {"floor": floor, "says": str(contract), "warning": scorer.warning(reals, values)}


def _record(run: Path, row: dict[str, Any]) -> None:
    try:
        Records(run / SCORES).append(row)
    except OSError as error:
        print(f"ganlab: The scores were not added to those of {run}: {error.strerror}.", file=sys.stderr)


def _checkpoint(what: Path) -> Path | None:
    """The checkpoint itself, or a run's newest whole one; None if there are only images."""
    if what.suffix == ".ckpt":
        return what
    if not is_run(what):
        return None
    if not (newest := newest_whole_checkpoint(what)):
        raise Refused(f"The run {what} has no whole checkpoint yet.")
    return newest


def _extractor(chosen: Any, settings: dict[str, Any]) -> Extractor:
    """The extractor asked for, else the run's own, else that of the published FID."""
    config = (
        chosen.extractor or (settings.get("evaluation") or {}).get("extractor") or "ganlab.metrics.Inception"
    )
    config = config if isinstance(config, str) else {k: v for k, v in dict(config).items() if v is not None}
    if chosen.weights:
        path = config if isinstance(config, str) else config["class_path"]
        arguments = {} if isinstance(config, str) else dict(config.get("init_args") or {})
        config = {"class_path": path, "init_args": {**arguments, "weights": chosen.weights}}
    return _instantiate("extractor", Extractor, config)


def _instantiate(name: str, kind: type, config: Any) -> Any:
    """An instance of a class that is named as on the command line; `name` is for messages."""
    parser = Parser(exit_on_error=True)
    parser.add_argument(f"--{name}", type=kind)
    return parser.instantiate_classes(parser.parse_object({name: config}))[name]


def _compared_with(chosen: Any, settings: dict[str, Any]) -> StreamData | GivenImages:
    """The data, or the images from elsewhere, that scores compare with."""
    reference = chosen.reference or settings.get("data")
    if not reference:
        raise Refused(
            "Images from elsewhere and exports need something to be compared with:\n"
            "--reference with a data class (CelebA), an experiment file or images."
        )
    if isinstance(reference, str) and reference not in data.__all__ and is_path(reference):
        reference = _path_to(reference)
    if isinstance(reference, Path) and reference.suffix in (".yaml", ".yml"):
        reference = yaml_config(reference, []).get("data")
    if not reference:
        raise Refused(f"{chosen.reference} is no experiment's file: it names no data (--reference).")
    if isinstance(reference, Path):
        return GivenImages(reference)
    stream: StreamData = _instantiate("data", LightningDataModule, reference)
    stream.prepare_data()
    return stream


def _reference(
    reference: StreamData | GivenImages, chosen: Any, scorer: Scorer, split: Split, fakes: str
) -> tuple[Reals, Contract, dict[str, Any]]:
    """The reals' statistics, the contract of scores against them, and the real floor (empty for images)."""
    seed = None if fakes == "given" else chosen.seed
    if isinstance(reference, StreamData):
        reals, floor = prepare_reference(scorer, reference, split)
        return reals, contract_of(scorer, reference, split, fakes=fakes, seed=seed), floor
    if scorer.needs_training:
        raise Refused(
            "The score copied compares with training images, by others that were held out: name a data\n"
            "class or an experiment file by --reference, or leave copied out of --scores."
        )
    reals = statistics(scorer, reference.batches, reference.total, reference.identity)
    identity = scorer.extractor.identity(), reference.identity
    return reals, Contract(*identity, reference.total, scorer.samples, fakes=fakes, seed=seed), {}


def _path_to(reference: str) -> Path:
    path = Path(reference).expanduser()
    with reading(path):
        if not path.is_file() and not path.is_dir():
            raise Refused(f"There is no {readable(reference)} to compare with (--reference).")
    return path


def _print_scores(row: dict[str, Any], *, as_json: bool) -> None:
    scores, floor = row["scores"], row["floor"]
    # The floor is matched by position: its scores' names hold another number of samples.
    floors = [value for name, value in floor.items() if name != "samples"] or [None] * len(scores)
    if as_json:
        answer = {"scores": {name: {"value": value} for name, value in scores.items()}, "floor": floor}
        answer |= {name: row[name] for name in ("step", "checkpoint", "reasons", "contract") if name in row}
        print(json.dumps(answer, allow_nan=False))
        return
    table = Table("score", "value", "real floor", box=None)
    for (name, value), low in zip(scores.items(), floors, strict=True):
        text = row["reasons"].get(name, "") if value is None else f"{value:.5g}"
        table.add_row(Text(name), Text(text), "" if low is None else f"{low:.5g}")
    console = Console()
    console.print(table)
    if row["warning"]:
        print(row["warning"])
    if "checkpoint" in row:
        print(f"step {row['step']:,} ({row['checkpoint']})")
    print(f"{row['says']}  (contract {row['contract']['hash'][:12]})")
    if floor:
        print(f"real floor: {floor['samples']:,} reals that were never trained on, in place of the fakes")
