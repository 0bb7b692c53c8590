"""`ganlab export`: a trained generator in a folder for others."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from ganlab.checkpoints import onnx as onnx_file
from ganlab.checkpoints.export import describe, foreign_classes, load_export, save_export
from ganlab.checkpoints.onnx import write_onnx
from ganlab.checkpoints.sources import save_sources
from ganlab.cli.parser import (
    CHECKPOINT_HELP,
    COUNT,
    TRUST_HELP,
    Parser,
    chosen_source,
    run_command,
    silence_warnings,
)
from ganlab.cli.run_data import meet_data
from ganlab.errors import Refused, refuse_missing
from ganlab.game.gan import GAN
from ganlab.runs.folder import run_of
from ganlab.runs.load import Which, load, read_checkpoint, selected_among, selection_note
from ganlab.runs.own import is_own_checkpoint
from ganlab.runs.status import SCORES
from ganlab.sampling import write
from ganlab.sampling.write import Source
from ganlab.system.atomic_file import temporary_path
from ganlab.system.hardware import keep_freed_memory
from ganlab.system.row_files import Records
from ganlab.system.untrusted import below, yaml_config

SOURCES_HELP = f"what the first {COUNT} samples are made from as well: held-out items of the data themselves"
CARD = """\
---
library_name: ganlab
{tag}license: unknown  # choose one before you share it
tags:
- ganlab
- gan
- pytorch
---

# {title}

{pictures}A generator that was trained with ganlab as `{variant}`, after {step:,} generator steps;
the weights are {weights}.

```python
import ganlab

images = ganlab.load("DIR").sample({python})  # as networks make them: of pictures, numbers in [-1, 1]
```

```bash
ganlab sample DIR {bash} --out grid.png
```

`DIR` is this folder. Loading it runs no code of its own: `generator.safetensors` holds tensors,
`config.json` plain data.{needs}{told}
{onnx}{score}"""
# How samples are drawn in Python and on the command line.
PLAIN = "{count}, seed=0", "--count {count}"
GIVEN = "8, seed=0, given=sources", "--given FOLDER"
TO_GIVE = "\nIt makes samples from what it is given (`sources`: as data store it, such as bytes of pictures)."
HELD = """
`sources.safetensors` holds what the first {count} samples are made from ({rule}), which is somebody's
data: choose a licence for it, too. Samples are made from others with `--given FOLDER`.
"""
ONNX = """
`generator.onnx` is the generator for ONNX Runtime, without torch or ganlab: for any n, from
{portable}. Latents are drawn as `latent_distribution` in `config.json` says.
"""

SCORES_TABLE = """
| score | value |
|---|---|
{rows}
The protocol is in `contract.json`. {note}
"""


def main(arguments: list[str]) -> int:
    keep_freed_memory()
    silence_warnings()
    return run_command(lambda: _export(arguments[1:]))


def _export(arguments: list[str]) -> None:
    parser = Parser(prog="ganlab export", description="Write a generator to a folder for others.")
    parser.add_argument("what", type=str, help="a run's folder or a checkpoint")
    parser.add_argument("--out", type=str, required=True, help="a new folder")
    parser.add_argument("--checkpoint", type=Which, default="newest", help=CHECKPOINT_HELP)
    parser.add_argument("--raw", action="store_true", help="the generator's own weights, not their average")
    parser.add_argument("--onnx", action="store_true", help=f"{onnx_file.FILE} as well, for ONNX Runtime")
    parser.add_argument("--with_sources", action="store_true", help=SOURCES_HELP)
    parser.add_argument("--trust_code", action="store_true", help=TRUST_HELP)
    chosen = parser.parse_args(arguments)
    out = Path(chosen.out).expanduser()
    if chosen.onnx:
        refuse_missing("--onnx", "onnx", "onnx", "onnxruntime")
    if out.exists():
        raise Refused(f"{out} is there already: name a new folder (--out).")
    checkpoint = chosen_source(chosen)
    if checkpoint.is_dir():
        raise Refused(f"{checkpoint} is an export already.")
    unfinished = temporary_path(out)
    try:
        unfinished.mkdir(parents=True)
        try:
            _write_files(unfinished, checkpoint, chosen)
            unfinished.rename(out)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise Refused(f"{out} could not be written: {error.strerror or error}.") from error
    print(f"{checkpoint} as {', '.join(sorted(file.name for file in out.iterdir()))} in {out}")
    if note := selection_note(checkpoint):
        print(note)


def _write_files(folder: Path, checkpoint: Path, chosen: Any) -> None:
    """Write the export, load it again, and refuse it if it draws other samples than the run."""
    raw, trusted = chosen.raw, chosen.trust_code
    game, content, run = load(checkpoint, trust_code=trusted), read_checkpoint(checkpoint), run_of(checkpoint)
    config = describe(game, content["hyper_parameters"], raw=raw, step=content["global_step"])
    selected = selected_among(checkpoint)
    config |= {} if selected is None else {"selected_among": selected}
    known = run if trusted or is_own_checkpoint(run, content) else None
    if chosen.with_sources:
        meet_data(game, known)
        config["sources"] = save_sources(folder, game, COUNT)
    save_export(folder, game, config)
    exported = load_export(folder, trusted=trusted or known is not None)
    if _differ(game, exported, raw=raw):
        raise Refused(
            f"What would be exported of {checkpoint} draws other samples than the run: its generator or\n"
            f"{config['variant']} depends on more than weights and plain arguments. Nothing was written."
        )
    with suppress(TypeError, Refused):  # Samples that are no pictures, or of a game that must be told more.
        write.sheet(Source(exported, run=known), exported.at_most(COUNT)).save(folder / "samples.png")
    score = _score(run, config)
    if score:
        score |= {} if selected is None else {"selected_among": selected}
        (folder / "contract.json").write_text(json.dumps(score, indent=2, allow_nan=False) + "\n")
    portable = write_onnx(folder, exported) if chosen.onnx else ""
    (folder / "README.md").write_text(_card(folder, config, score, run, portable, exported))


def _differ(game: GAN, exported: GAN, *, raw: bool) -> bool:
    """Whether the two draw different samples; False of games that must be told what nobody here knows."""
    count, given = exported.at_most(8), None
    try:
        if exported.is_conditional and not exported.conditions and (medium := exported.source_medium):
            given = medium.blank()
        samples = [each.sample(count, seed=0, raw=raw, given=given) for each in (game, exported)]
    # A user's own `sample` may require more.
    except (TypeError, Refused):
        return False
    return not torch.equal(*samples)


def _score(run: Path | None, config: dict[str, Any]) -> dict[str, Any] | None:
    """The last row of the run's scores that was measured with these very weights, or None."""
    rows = Records(run / SCORES).read() if run else []
    weights = config["step"], config["weights"]
    matching = [row for row in rows if (row["step"], below(row, "contract", "fakes")) == weights]
    return matching[-1] if matching else None


def _card(
    folder: Path,
    config: dict[str, Any],
    score: dict[str, Any] | None,
    run: Path | None,
    portable: str,
    game: GAN,
) -> str:
    """The text of the model card, README.md; `portable` is what `write_onnx` returned, or empty."""
    variant = config["variant"].rpartition(".")[2]
    settings = yaml_config(run / "config.yaml", []) if run else {}
    data = str(below(settings, "data", "class_path") or "").rpartition(".")[2]
    title = f"{variant} on {data}" if data else variant
    foreign = foreign_classes(config)
    class_names = ", ".join(path.rpartition(".")[2] for path in foreign)
    needs = (
        f" It needs classes of its author's own, `{'`, `'.join(foreign)}`:\n"
        f'`ganlab.load("DIR", classes=[{class_names}])`, or with their files beside it `trust_code=True`.'
    )
    count = game.at_most(COUNT)
    (python, bash), told = (text.format(count=count) for text in PLAIN), ""
    if game.is_conditional and not game.conditions:
        (python, bash), told = GIVEN, TO_GIVE
    elif "sources" in config:
        told = HELD.format(count=count, rule=game.condition_rule)
    images = all(medium.array == "images" for medium in game.media[:1])
    values = {name: value for name, value in (score or {}).get("scores", {}).items() if value is not None}
    rows = "".join(f"| {name} | {value:.5g} |\n" for name, value in values.items())
    return CARD.format(
        tag="pipeline_tag: unconditional-image-generation\n" if images and not game.is_conditional else "",
        python=python,
        bash=bash,
        told=told,
        title=re.sub(r"[^\w .-]", "", title),
        pictures=f"![{count} samples](samples.png)\n\n" if (folder / "samples.png").exists() else "",
        variant=config["variant"],
        step=config["step"],
        weights="the average over its steps" if config["weights"] == "ema" else "those of the last step",
        needs=needs if foreign else "",
        onnx=ONNX.format(portable=portable) if portable else "",
        score=SCORES_TABLE.format(rows=rows, note=selection_note(folder)) if rows else "",
    )
