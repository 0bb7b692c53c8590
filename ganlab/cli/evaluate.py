"""`ganlab evaluate`: the scores of a run, a checkpoint, an export, or anybody's images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

# Imported, a class is known by its bare name.
from ganlab import data, metrics  # noqa: F401
from ganlab.checkpoints import export
from ganlab.checkpoints.export import is_export, read_config
from ganlab.cli.parser import (
    CHECKPOINT_HELP,
    TRUST_HELP,
    Parser,
    add_choices,
    chosen_choices,
    goes_back,
    instantiated,
    run_command,
    silence_warnings,
)
from ganlab.cli.references import Reference, compared_with, named_reference, reference_of
from ganlab.cli.score_table import print_scores
from ganlab.data.pictures.archive import reading
from ganlab.data.pictures.decode import Transparency
from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.metrics.cautions import cautions
from ganlab.metrics.class_scores import matched, no_classes
from ganlab.metrics.extractors.extractor import Extractor, NoFeatures
from ganlab.metrics.given import Given
from ganlab.metrics.given_items import given as given_items
from ganlab.metrics.observed import Classes
from ganlab.metrics.reference import beside_floor, default_scores, part_of, scores_of_medium
from ganlab.metrics.registry import TABLE
from ganlab.metrics.score import Score
from ganlab.metrics.scorer import Batches, Scorer, medium_of_samples, needs_extractor, refuse_unknown
from ganlab.runs import user_code
from ganlab.runs.folder import run_of
from ganlab.runs.load import (
    Which,
    checkpoint_or_export,
    load,
    read_checkpoint,
    selected_among,
    selection_note,
)
from ganlab.runs.own import CONFIG, is_own, is_run
from ganlab.runs.records import record_scores
from ganlab.sampling.plan import (
    compared_split,
    fake_batches,
    fake_classes,
    refuse_without_reals,
    scored_samples,
)
from ganlab.system.hardware import keep_freed_memory
from ganlab.system.untrusted import yaml_config

SAMPLES = 50_000  # where no number is asked for


def main(arguments: list[str]) -> int:
    keep_freed_memory()
    silence_warnings()
    user_code.add_to_path([])
    return run_command(lambda: _evaluate_and_print(_parse(arguments[1:])))


def _evaluate_and_print(chosen: Any) -> None:
    print_scores(evaluate(chosen), as_json=chosen.json)


def _parse(arguments: list[str]) -> Any:
    parser = Parser(prog="ganlab evaluate", description=__doc__)
    parser.add_argument(
        "what",
        type=str,
        help="a run, a checkpoint, an export, or a folder, zip or npz of images or what --extractor takes",
    )
    parser.add_argument(
        "--reference",
        type=str,
        help="a data class, an experiment file, or a folder, zip or npz; else the run's own data",
    )
    parser.add_argument(
        "--samples",
        type=int | None,
        help=f"how many fakes; else {SAMPLES:,}, as many as there are items to tell, or all given images",
    )
    parser.add_argument(
        "--scores",
        type=str,
        help=f"some of {','.join(TABLE)}, class paths of your own, or a list with arguments as in a YAML;"
        " else fid, and copied where images are held out",
    )
    parser.add_argument(
        "--extractor", type=Extractor, help="turns images into features; else the run's own, or Inception"
    )
    parser.add_argument("--weights", type=str, help="the extractor's file of weights")
    parser.add_argument("--checkpoint", type=Which, default="newest", help=CHECKPOINT_HELP)
    parser.add_argument(
        "--transparency",
        type=Transparency,
        default="white",
        help="of pictures: laid on white, or alpha dropped",
    )
    parser.add_argument(
        "--split",
        type=Literal["train", "held_out", "test"] | None,
        help="of the reals; else train, or the split of the items that samples are told of",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    parser.add_argument("--raw", action="store_true", help="the generator's own weights, not their average")
    parser.add_argument("--trust_code", action="store_true", help=TRUST_HELP)
    add_choices(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


def evaluate(chosen: Any) -> dict[str, Any]:
    """Compute the scores that the arguments ask for; those of a run's checkpoint are added to its records."""
    what = _existing(chosen.what)
    run = what if is_run(what) else run_of(what)
    settings = _trusted_settings(run, chosen) if run else {}
    source = _source(what, chosen.checkpoint)
    scores = _scores(chosen.scores) if chosen.scores else None
    refuse_unknown(scores or ())
    named = named_reference(chosen, settings)
    asked = scores or scores_of_medium(named)
    extractor = _extractor(chosen, settings, asked)
    medium = medium_of_samples(extractor, asked or ())
    read = extractor.read if medium is extractor.medium else medium.read
    given = None if source else given_items(what, medium, chosen.transparency, read)
    if given and (chosen_choices(chosen) or chosen.direction):
        raise Refused(f"{what} holds finished items, which are drawn by no choices: leave them out.")
    compared = compared_with(named, chosen, medium, read)
    game, choices = None, chosen_choices(chosen)
    if source:
        game = load(source, trust_code=chosen.trust_code)
        if goes_back(chosen, game):
            compared, choices = _turned(compared), choices | {"direction": chosen.direction}
        game = _told_items(game, compared)
        for made in game.media[:1]:
            extractor.refuse_unfit(made)
    conditions = game.conditions if game else None
    count = scored_samples(game, chosen.samples, SAMPLES) if game else 0
    extractor = extractor.to("cuda") if torch.cuda.is_available() else extractor
    scorer = Scorer(extractor, scores or default_scores(compared), given.total if given else count)
    refuse_without_reals(scorer, game)
    classes = _classes(scorer, given, game, chosen.seed)
    split = compared_split(conditions, "held_out" if chosen.split == "test" else chosen.split)
    fakes, seed, batches = _samples(source, game, scorer, given, chosen)
    told = conditions.rule if conditions else None
    how = {"seed": seed, "conditions": told, "choices": choices}
    reference = reference_of(compared, split, scorer, fakes=fakes, **how)
    if classes:
        matched(reference.reals.classes, classes)
    row, says = _scored(scorer, batches, given, reference, classes)
    if source:
        row = _told_source(source, row)
        if run and "checkpoint" in row:
            record_scores(run, row)
    note = selection_note(source) if source else ""
    said = list(cautions(scorer, reference.reals, row["scores"], reference.floor))
    return row | {"says": says, "note": note, "cautions": said}


def _existing(name: str) -> Path:
    what = Path(name).expanduser()
    with reading(what):
        if not what.exists():
            raise Refused(f"There is no {what} to evaluate.")
    return what


def _scores(text: str) -> tuple[str | Score, ...]:
    """Names and class paths with commas between them, or a list in YAML."""
    try:
        listed = yaml.safe_load(text) if text.startswith("[") else text.split(",")
    except yaml.YAMLError as error:
        raise Refused(f"--scores {text} is no list in YAML: {' '.join(str(error).split())[:120]}.") from error
    return tuple(instantiated("scores", list[Score | str], listed))


def _turned(compared: StreamData | Given) -> StreamData:
    if isinstance(compared, StreamData):
        return compared.turned()
    raise Refused("What is made on the way back is compared with data: name them, or their experiment.")


def _told_items(game: GAN, compared: StreamData | Given) -> GAN:
    """The game, which learns of data what samples are told."""
    # An export may hold a few of the items, and of these not all that is scored.
    told_items = game.is_conditional and not (game.conditions and game.conditions.split is None)
    if told_items and isinstance(compared, StreamData):
        game.meet(compared)
    return game.to("cuda") if torch.cuda.is_available() else game


def _samples(
    source: Path | None, game: GAN | None, scorer: Scorer, given: Given | None, chosen: Any
) -> tuple[str, int | None, Batches]:
    """Whose weights samples are made with, or that they are given, their seed, and them."""
    if given:
        return "given", None, given.batches()
    assert source
    assert game
    fakes = read_config(source)["weights"] if source.is_dir() else export.FAKES[chosen.raw]
    how = {"raw": chosen.raw, "scorer": scorer, **chosen_choices(chosen)}
    batches = fake_batches(game, scorer.samples, chosen.seed, **how)
    return fakes, chosen.seed, batches


def _told_source(source: Path, row: dict[str, Any]) -> dict[str, Any]:
    """The row with what is known of the weights' origin."""
    if (selected := selected_among(source)) is not None:
        row = row | {"selected_among": selected}
    if source.is_dir():
        return row
    return {"step": read_checkpoint(source)["global_step"], "checkpoint": source.name, **row}


def _scored(
    scorer: Scorer,
    batches: Batches,
    given: Given | None,
    reference: Reference,
    classes: Classes | None,
) -> tuple[dict[str, Any], str]:
    """A row of scores, and its contract in one line."""
    reals, contract, floor, transparency = reference
    scorer = replace(scorer, reals=reals.moments.count)
    part = part_of(floor, scorer.samples, in_order=given is not None)
    seen = scorer.observe(batches, scorer.samples, part=part).of_classes(classes, part)
    transparency = (given.told_transparency() if given else None) or transparency
    contract = replace(contract, transparency=transparency)
    values, reasons = scorer.score(reals, seen)
    row = {"scores": values, "reasons": reasons, "floor": floor}
    row["beside_floor"] = beside_floor(scorer, reals, seen, floor)
    return row | {"contract": contract.plain()}, str(contract)


def _classes(scorer: Scorer, given: Given | None, game: GAN | None, seed: int) -> Classes | None:
    """The fakes' classes, if a score needs them."""
    if game or not scorer.needs("classes"):
        return fake_classes(scorer, game, seed) if game else None
    if not given or not given.classes:
        raise no_classes("the fakes")
    return given.classes


def _trusted_settings(run: Path, chosen: Any) -> dict[str, Any]:
    """The settings of a run, whose code is then found; none of another's run, unless it is trusted."""
    if chosen.trust_code or is_own(run):
        user_code.add_copy(run)
        return yaml_config(run / CONFIG, [])
    if not chosen.reference:
        raise Refused(
            f"{run} is not as your ganlab wrote it, and its {CONFIG} is a program: it was not read.\n"
            "Name data and features by --reference and --extractor; or if you trust the run: --trust_code."
        )
    return {}


def _source(what: Path, which: Which) -> Path | None:
    """The export or checkpoint itself, or a checkpoint of a run; None if there are only images."""
    has_weights = is_export(what) or is_run(what) or what.suffix == ".ckpt"
    return checkpoint_or_export(what, which) if has_weights or which != "newest" else None


def _extractor(chosen: Any, settings: dict[str, Any], scores: Iterable[str | Score] | None) -> Extractor:
    """The extractor asked for, else the run's own, else that of the published FID, if scores need any.

    Args:
        scores: Those that were asked for; none: the default ones, which need one.
    """
    config = chosen.extractor or (settings.get("evaluation") or {}).get("extractor")
    if not config and scores and not needs_extractor(scores):
        return NoFeatures()
    config = config or "ganlab.metrics.Inception"
    config = config if isinstance(config, str) else {k: v for k, v in dict(config).items() if v is not None}
    if chosen.weights:
        path = config if isinstance(config, str) else config["class_path"]
        arguments = {} if isinstance(config, str) else dict(config.get("init_args") or {})
        config = {"class_path": path, "init_args": {**arguments, "weights": chosen.weights}}
    return instantiated("extractor", Extractor, config)
