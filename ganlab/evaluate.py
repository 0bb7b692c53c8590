"""`ganlab evaluate`: the scores of a run, a checkpoint, an export, or anybody's images."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import torch
import yaml
from lightning.pytorch import LightningDataModule
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

# Imported, a class is known by its bare name.
from ganlab import data, exported, metrics, user_code  # noqa: F401
from ganlab.callbacks.evaluation import fake_batches
from ganlab.checkpoint import load, read
from ganlab.command import Parser, answered, quieten
from ganlab.data.archive import is_picture, opened
from ganlab.data.cache import Pictures
from ganlab.data.decode import converted
from ganlab.data.stream import Split, StreamData
from ganlab.gan import GAN
from ganlab.hardware import keep_freed_memory
from ganlab.metrics.contract import Contract
from ganlab.metrics.extractors import Extractor
from ganlab.metrics.panel import TABLE, Batches, Panel, Reals
from ganlab.metrics.processes import shares
from ganlab.metrics.reals import contracted, prepared, statistics
from ganlab.refused import Refused
from ganlab.resume import newest
from ganlab.runs import holding

BATCH = 100


def main(arguments: list[str]) -> int:
    keep_freed_memory()
    quieten()
    user_code.find([])
    return answered(lambda: _evaluate(_parse(arguments[1:])))


def _evaluate(chosen: Any) -> None:
    _show(evaluate(chosen), as_json=chosen.json)


def _parse(arguments: list[str]) -> Any:
    parser = Parser(prog="ganlab evaluate", description=__doc__)
    parser.add_argument(
        "what", type=str, help="a run, a checkpoint, an export, or a folder, zip or npz of images"
    )
    parser.add_argument(
        "--reference", type=str, help="a data class, an experiment file, or images; else the run's own data"
    )
    parser.add_argument("--samples", type=int, default=50_000, help="how many fakes; of given images: all")
    parser.add_argument("--scores", type=str, default="fid", help=f"some of {','.join(TABLE)}")
    parser.add_argument(
        "--extractor", type=Extractor, help="what sees them; else the run's own, or Inception"
    )
    parser.add_argument("--weights", type=str, help="its file of weights")
    parser.add_argument("--split", type=Literal["train", "held_out", "test"], default="train")
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    parser.add_argument("--raw", action="store_true", help="the generator's own weights, not their average")
    parser.add_argument(
        "--trust_code", action="store_true", help="import what a checkpoint names; a run is trusted anyway"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


def evaluate(chosen: Any) -> dict[str, Any]:
    split: Split = "train" if chosen.split == "train" else "held_out"
    what = Path(chosen.what).expanduser()
    if not what.exists():
        raise Refused(f"There is no {what} to evaluate.")
    run = what if (what / "config.yaml").is_file() else holding(what)
    settings = yaml.safe_load((run / "config.yaml").read_text()) if run else {}
    extractor = _extractor(chosen, settings)
    source = what if exported.is_export(what) else _checkpoint(what)
    given = None if source else Given(what)
    panel = Panel(extractor, tuple(chosen.scores.split(",")), given.total if given else chosen.samples)
    if torch.cuda.is_available():
        extractor.to("cuda")
    if given:
        fakes, batches = "given", given.batches()
    else:
        assert source
        fakes = exported.read(source)["weights"] if source.is_dir() else exported.FAKES[chosen.raw]
        game = _loaded(source, trusted=chosen.trust_code)
        batches = fake_batches(game, panel.samples, chosen.seed, raw=chosen.raw)
    reals, contract, floor = _reference(chosen, settings, panel, split, fakes)
    values, reasons = panel.score(reals, panel.observe(batches, panel.samples))
    found = {"scores": values, "reasons": reasons, "contract": contract.plain()}
    if source and not source.is_dir():
        found = {"step": read(source)["global_step"], "checkpoint": source.name, **found}
        if run:
            with (run / "scores.jsonl").open("a") as file:
                file.write(json.dumps(found, allow_nan=False) + "\n")
    return found | {"floor": floor, "says": str(contract)}


def _checkpoint(what: Path) -> Path | None:
    if what.suffix == ".ckpt":
        return what
    if not (what / "config.yaml").is_file():
        return None
    if not (found := newest(what)):
        raise Refused(f"The run {what} has no whole checkpoint yet.")
    return found


def _loaded(checkpoint: Path, *, trusted: bool) -> GAN:
    """A run is trusted as `fit --resume` trusts it: its configuration names the data, which are code, too."""
    run = holding(checkpoint)
    user_code.find([run / "config.yaml"] if run else [])
    game = load(checkpoint, trust_code=trusted or run is not None)
    return game.to("cuda") if torch.cuda.is_available() else game


def _extractor(chosen: Any, settings: dict[str, Any]) -> Extractor:
    """The one asked for, the run's own, or the published FID's."""
    told = (
        chosen.extractor or (settings.get("evaluation") or {}).get("extractor") or "ganlab.metrics.Inception"
    )
    told = told if isinstance(told, str) else {k: v for k, v in dict(told).items() if v is not None}
    if chosen.weights:
        path = told if isinstance(told, str) else told["class_path"]
        arguments = {} if isinstance(told, str) else dict(told.get("init_args") or {})
        told = {"class_path": path, "init_args": {**arguments, "weights": chosen.weights}}
    return _built("extractor", Extractor, told)


def _built(name: str, kind: type, told: Any) -> Any:
    parser = Parser(exit_on_error=True)
    parser.add_argument(f"--{name}", type=kind)
    return parser.instantiate_classes(parser.parse_object({name: told}))[name]


def _reference(
    chosen: Any, settings: dict[str, Any], panel: Panel, split: Split, fakes: str
) -> tuple[Reals, Contract, dict[str, Any]]:
    seed = None if fakes == "given" else chosen.seed
    told = chosen.reference or settings.get("data")
    if not told:
        raise Refused(
            "Images from elsewhere and exports need something to be compared with:\n"
            "--reference with a data class (CelebA), an experiment file or images."
        )
    if isinstance(told, str) and told not in data.__all__ and Path(told).suffix in (".yaml", ".yml"):
        told = yaml.safe_load(Path(told).read_text())["data"]
    if isinstance(told, str) and Path(told).exists():
        given = Given(Path(told))
        reals = statistics(panel, given.batches, given.total, given.identity)
        contract = Contract(
            panel.extractor.identity(), given.identity, given.total, panel.samples, fakes=fakes, seed=seed
        )
        return reals, contract, {}
    found: StreamData = _built("data", LightningDataModule, told)
    found.prepare_data()
    reals, floor = prepared(panel, found, split)
    return reals, contracted(panel, found, split, fakes=fakes, seed=seed), floor


class Given:
    """Anybody's images as they are: a folder or zip of pictures, or bytes (n, height, width, channels)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.array: np.ndarray | None = None
        if path.suffix == ".npz":
            array = _array(path)
            self.array, self.total = array, len(array)
            contents = hashlib.sha256(array.tobytes()).hexdigest()
        else:
            archive = opened(path)
            self.names = [name for name in archive.names if is_picture(name)]
            if not self.names:
                raise Refused(f"There are no pictures in {path}, and it is no run: a run has a config.yaml.")
            self.pictures = Pictures(archive, self.names, self.names)
            self.total, contents = len(self.names), self.pictures.contents(path.name)
        self.identity = {"class": "images", "split": "all", "fingerprint": contents}

    def batches(self) -> Batches:
        for index in shares(self.total, BATCH):
            if self.array is not None:
                yield index, torch.from_numpy(self.array[index.numpy()]).movedim(-1, 1)
                continue
            sizes: dict[tuple[int, ...], list[tuple[int, Tensor]]] = {}
            for number in index.tolist():
                image = self._decoded(self.names[number])
                sizes.setdefault(tuple(image.shape), []).append((number, image))
            for same in sizes.values():
                numbers, images = zip(*same, strict=True)
                yield torch.tensor(numbers), torch.stack(images)

    def _decoded(self, name: str) -> Tensor:
        try:
            with Image.open(BytesIO(self.pictures.read(name))) as image:
                return torch.from_numpy(np.array(converted(image, 3))).movedim(-1, 0)
        # As in decoding for the networks, any kind of error means a damaged file; here none may be missing.
        except Exception as error:
            raise Refused(f"{self.path / name} is no whole picture: {error}.") from error


def _array(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as file:
            array = file[file.files[0]]
    except (OSError, ValueError, IndexError, BadZipFile) as error:
        raise Refused(f"{path} is no npz of images: {error}.") from error
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] not in (1, 3):
        raise Refused(
            f"{path} holds {array.dtype} of the shape {array.shape}; images are uint8 of the shape\n"
            "(n, height, width, channels) with 1 or 3 channels."
        )
    return array


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    scores, floor = found["scores"], found["floor"]
    # The floor's names tell its own number of samples.
    floors = [value for name, value in floor.items() if name != "samples"] or [None] * len(scores)
    if as_json:
        plain = {name: {"value": value} for name, value in scores.items()}
        told = {"scores": plain, "floor": floor}
        told |= {name: found[name] for name in ("step", "checkpoint", "reasons", "contract") if name in found}
        print(json.dumps(told, allow_nan=False))
        return
    table = Table("score", "value", "real floor", box=None)
    for (name, value), low in zip(scores.items(), floors, strict=True):
        text = found["reasons"].get(name, "") if value is None else f"{value:.5g}"
        table.add_row(name, text, "" if low is None else f"{low:.5g}")
    console = Console()
    console.print(table)
    if "checkpoint" in found:
        print(f"step {found['step']:,} ({found['checkpoint']})")
    print(f"{found['says']}  (contract {found['contract']['hash'][:12]})")
    if floor:
        print(f"real floor: {floor['samples']:,} reals that were never trained on, in place of the fakes")
