"""`ganlab sample` and `ganlab export`: what a trained generator gives."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import yaml

from ganlab import checkpoint, durable, exported, onnx_file, runs, sample, user_code
from ganlab.command import Parser, answered, quieten
from ganlab.hardware import keep_freed_memory
from ganlab.refused import Refused, refuse_missing
from ganlab.sample import Source

WHAT = "a run's folder, a checkpoint or an exported folder"
TRUST = "import and run the code that the file names and the run has kept; as if you ran it as a program"
COUNT, WALKS = 64, 16
STOPS, FRAMES = 8, 60
WALKED = {".gif": sample.to_gif, ".mp4": sample.to_mp4}
DRAWN = {".png": sample.to_picture, ".npz": sample.to_npz, "": sample.to_folder}
CARD = """\
---
library_name: ganlab
pipeline_tag: unconditional-image-generation
license: unknown  # choose one before you share it
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

images = ganlab.load("DIR").sample(64, seed=0)  # numbers in [-1, 1]
```

```bash
ganlab sample DIR --count 64 --out grid.png
```

`DIR` is this folder. Loading it runs no code of its own: `generator.safetensors` holds tensors,
`config.json` plain data.{needs}
{onnx}{score}"""

ONNX = """
`generator.onnx` is the generator for ONNX Runtime, without torch or ganlab: for any n, from
{portable}. Latents are drawn as `latent_distribution` in `config.json` says.
"""


def main(arguments: list[str]) -> int:
    keep_freed_memory()
    quieten()
    work = {"sample": _sample, "export": _export}[arguments[0]]
    return answered(lambda: work(arguments[1:]))


def _sample(arguments: list[str]) -> None:
    parser = Parser(
        prog="ganlab sample", description="Draw samples: as a picture, a folder, a file or a walk."
    )
    parser.add_argument("what", type=str, help=WHAT)
    parser.add_argument(
        "--out", type=str, required=True, help="grid.png, samples.npz, walk.gif, walk.mp4 or a folder/"
    )
    parser.add_argument(
        "--count", type=int | None, help=f"samples, else {COUNT}; walks side by side, else {WALKS}"
    )
    parser.add_argument("--seed", type=int, default=0, help="sample i follows from it and i alone")
    parser.add_argument(
        "--class", type=int | None, metavar="K", help="of all samples, where a game knows any"
    )
    parser.add_argument("--raw", action="store_true", help="the generator's own weights, not their average")
    parser.add_argument("--interpolate", type=int | None, metavar="K", help=f"latents on a walk ({STOPS})")
    parser.add_argument("--frames", type=int | None, help=f"pictures of the whole walk ({FRAMES})")
    parser.add_argument("--trust_code", action="store_true", help=TRUST)
    chosen = parser.parse_args(arguments)
    out = Path(chosen.out).expanduser()
    _refuse_numbers(chosen)
    _refuse_place(out, chosen)
    found = _found(chosen)
    game = checkpoint.load(found, trust_code=chosen.trust_code)
    if torch.cuda.is_available():
        game = game.to("cuda")
    source = Source(game, chosen.seed, chosen.raw, chosen["class"], runs.holding(found))
    source.refuse_wrong_label()
    count = chosen.count or (WALKS if out.suffix in WALKED else COUNT)
    try:
        _write(out, source, count, stops=chosen.interpolate or STOPS, frames=chosen.frames or FRAMES)
    except OSError as error:
        raise Refused(f"{out} could not be written: {error.strerror or error}.") from error
    kind = "walk" if out.suffix in WALKED else "sample"
    print(f"{count:,} {kind}{'s' if count > 1 else ''} of {found} (seed {chosen.seed}): {out}")


def _write(out: Path, source: Source, count: int, *, stops: int, frames: int) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix in WALKED:
        WALKED[out.suffix](out, source, count, stops=stops, frames=frames)
    else:
        DRAWN[out.suffix](out, source, count)


def _refuse_numbers(chosen: Any) -> None:
    for name, least in (("count", 1), ("interpolate", 2), ("frames", 2), ("class", 0)):
        if (value := chosen[name]) is not None and value < least:
            raise Refused(f"--{name} is {value}; it is at least {least}.")


def _refuse_place(out: Path, chosen: Any) -> None:
    if out.suffix not in {**DRAWN, **WALKED}:
        raise Refused(f"--out {out}: samples are written to a .png, an .npz, a .gif, an .mp4 or a folder.")
    if out.suffix and out.is_dir():
        raise Refused(f"--out {out} is a folder.")
    walks = [name for name in ("interpolate", "frames") if chosen[name] is not None]
    if walks and out.suffix not in WALKED:
        raise Refused(f"--{walks[0]} is for a walk, which is written to a .gif or an .mp4, not to {out}.")
    if out.suffix == ".mp4":
        refuse_missing(f"--out {out}", "video", "av")


def _found(chosen: Any) -> Path:
    if chosen.trust_code:
        user_code.find([])
    return checkpoint.chosen(Path(chosen.what))


def _export(arguments: list[str]) -> None:
    parser = Parser(prog="ganlab export", description="Write a generator to a folder for others.")
    parser.add_argument("what", type=str, help="a run's folder or a checkpoint")
    parser.add_argument("--out", type=str, required=True, help="a new folder")
    parser.add_argument("--raw", action="store_true", help="the generator's own weights, not their average")
    parser.add_argument("--onnx", action="store_true", help=f"{onnx_file.FILE} as well, for ONNX Runtime")
    parser.add_argument("--trust_code", action="store_true", help=TRUST)
    chosen = parser.parse_args(arguments)
    out = Path(chosen.out).expanduser()
    if chosen.onnx:
        refuse_missing("--onnx", "onnx", "onnx", "onnxruntime")
    if out.exists():
        raise Refused(f"{out} is there already: name a new folder (--out).")
    found = _found(chosen)
    if found.is_dir():
        raise Refused(f"{found} is an export already.")
    made = durable.beside(out)
    try:
        made.mkdir(parents=True)
        try:
            _fill(made, found, raw=chosen.raw, trusted=chosen.trust_code, onnx=chosen.onnx)
            made.rename(out)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise Refused(f"{out} could not be written: {error.strerror or error}.") from error
    print(f"{found} as {', '.join(sorted(file.name for file in out.iterdir()))} in {out}")


def _fill(folder: Path, found: Path, *, raw: bool, trusted: bool, onnx: bool) -> None:
    game, held = checkpoint.load(found, trust_code=trusted), checkpoint.read(found)
    config = exported.described(game, held["hyper_parameters"], raw=raw, step=held["global_step"])
    exported.save(folder, game, config)
    again, run = exported.load(folder, trusted=trusted), runs.holding(found)
    with suppress(TypeError):  # A game that wants to be told a class shows itself when it is told one.
        first, other = (each.sample(8, seed=0, raw=raw) for each in (game, again))
        if not torch.equal(first, other):
            raise Refused(
                f"What would be exported of {found} draws other samples than the run: its generator or\n"
                f"{config['variant']} depends on more than weights and plain arguments. Nothing was written."
            )
        with suppress(Refused):  # Samples that are no pictures.
            sample.sheet(Source(again, run=run), COUNT).save(folder / "samples.png")
    score = _score(run, config)
    if score:
        (folder / "contract.json").write_text(json.dumps(score, indent=2, allow_nan=False) + "\n")
    portable = onnx_file.write(folder, again) if onnx else ""
    (folder / "README.md").write_text(_card(folder, config, score, run, portable))


def _score(run: Path | None, config: dict[str, Any]) -> dict[str, Any] | None:
    """The last row in the run's records that is of these very weights."""
    rows = []
    with suppress(OSError):
        for line in (run / "scores.jsonl").read_text().splitlines() if run else ():
            with suppress(ValueError, TypeError, KeyError):
                row = json.loads(line)
                if row["step"] == config["step"] and row["contract"]["fakes"] == config["weights"]:
                    rows.append(row)
    return rows[-1] if rows else None


def _card(
    folder: Path, config: dict[str, Any], score: dict[str, Any] | None, run: Path | None, portable: str
) -> str:
    variant, played_on = config["variant"].rpartition(".")[2], ""
    with suppress(OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        played_on = yaml.safe_load((run / "config.yaml").read_text())["data"]["class_path"] if run else ""
    title = f"{variant} on {played_on.rpartition('.')[2]}" if played_on else variant
    parts = [config["game"], config["generator"]]
    modules = sorted({each["class_path"].rpartition(".")[0] for each in parts})
    foreign = [module for module in modules if module.split(".")[0] not in ("ganlab", "torch")]
    told = {name: value for name, value in (score or {}).get("scores", {}).items() if value is not None}
    rows = "".join(f"| {name} | {value:.5g} |\n" for name, value in told.items())
    return CARD.format(
        title=re.sub(r"[^\w .-]", "", title),
        pictures="![64 samples](samples.png)\n\n" if (folder / "samples.png").exists() else "",
        variant=config["variant"],
        step=config["step"],
        weights="the average over its steps" if config["weights"] == "ema" else "those of the last step",
        needs=f" It needs these modules to be imported first: `{'`, `'.join(foreign)}`." if foreign else "",
        onnx=ONNX.format(portable=portable) if portable else "",
        score=f"\n| score | value |\n|---|---|\n{rows}\nThe protocol is in `contract.json`.\n"
        if rows
        else "",
    )
