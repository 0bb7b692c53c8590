"""Every file under experiments/: it reads like its siblings, says how it is run, and runs."""

import csv
import json
import os
import sys
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import sets
import torch
import yaml

from ganlab import data, variants
from ganlab.callbacks.watch import likeness
from ganlab.cli import fit
from ganlab.runs.folder import snake_case
from ganlab.testing import Specks, tried_with

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = sorted((REPOSITORY / "experiments").rglob("*.yaml"))

# Classes that read any set of their kind: the folder is named for the set.
RESTORED = {"celeba", "digits"}
ANY_SET = {
    **{
        "Labelled": {"mnist"},
        "Pairs": {"maps"},
        "Unpaired": {"cats_vs_dogs", "digits", "image_folder", "maps"},
    },
    **dict.fromkeys(("Degraded", "Downscaled", "Masked"), RESTORED),
    **{name: {"digits", "mnist"} for name in ("LeaveOut", "OneClass")},
    "Blanked": {"lines"},
    "Waveforms": {"spoken_digits"},
}
# Scores that invented sets cannot have: they hold out too few images, and these look like no class.
OF_REAL_SETS = ("copied", "class_agreement")
EIGHT = (
    "clips",
    "digits",
    "fashion_mnist",
    "gaussians",
    "mnist",
    "moving_digits",
    "spoken_digits",
)  # of a batch, of the others two
UNHURRIED = ("BigGANGenerator", "MoCoGANGenerator", "RRDBGenerator", "Several")
OPTIONAL = ("trainer", "samples", "evaluation", "checkpoints")

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")


def split(file: Path) -> tuple[list[str], list[str]]:
    """The header, and what else there is."""
    lines = file.read_text().splitlines()
    length = next(index for index, line in enumerate(lines) if not line.startswith("#"))
    return [line.removeprefix("#").strip() for line in lines[:length]], lines[length:]


@cache
def choices(file: Path) -> dict[str, Any]:
    return yaml.load(file.read_text(), yaml.CSafeLoader)  # ten times as fast as the plain one


def class_of(choice: Any) -> str:
    """The bare name, from `data: Digits` or from a class_path."""
    return (choice if isinstance(choice, str) else choice["class_path"]).rsplit(".", 1)[-1]


@each_file
def test_the_header_says_what_it_is_and_how_it_is_run(file: Path) -> None:
    description, *rest = split(file)[0]
    assert len(description.split()) >= 3
    assert description.endswith(".")
    assert "ganlab" not in description
    assert f"ganlab fit --config {file.relative_to(REPOSITORY)}" in rest


@each_file
def test_it_is_short_and_holds_only_what_differs(file: Path) -> None:
    content = [line for line in split(file)[1] if line.strip() and not line.strip().startswith("#")]
    assert len(content) <= 25
    assert max(map(len, content)) <= 110
    settings = choices(file)
    assert {"model", "data"} <= settings.keys() <= {"model", "data", *OPTIONAL}
    assert settings["trainer"]["max_steps"] > 0, "a budget"


@each_file
def test_its_folder_is_named_for_its_data(file: Path) -> None:
    assert file.parent.parent.name == "experiments"
    name = class_of(choices(file)["data"])
    assert name in data.__all__
    assert file.parent.name in ANY_SET.get(name, {snake_case(name)})


def test_no_two_tell_the_same() -> None:
    descriptions = [split(file)[0][0] for file in FILES]
    assert len(set(descriptions)) == len(descriptions)
    contents = ["\n".join(split(file)[1]) for file in FILES]
    assert len(set(contents)) == len(contents)


def played(files: list[Path]) -> set[str]:
    return {class_of(choices(file)["model"]) for file in files}


@pytest.mark.parametrize("folder", ["digits", "mnist"])
def test_every_variant_plays_on(folder: str) -> None:
    """But those that need sources, which labelled digits do not have."""
    of_digits = {name for name in variants.__all__ if tried_with(vars(variants)[name]).data is Specks}
    assert played([file for file in FILES if file.parent.name == folder]) >= of_digits


def test_every_variant_plays() -> None:
    assert played(FILES) == set(variants.__all__)


@pytest.mark.parametrize("layout", ["ring", "grid"])
def test_at_least_six_variants_play_on_the_gaussians(layout: str) -> None:
    files = [file for file in FILES if file.stem.endswith(f"_{layout}")]
    assert {file.parent.name for file in files} == {"gaussians"}
    assert {choices(file)["data"]["init_args"]["layout"] for file in files} == {layout}
    assert len(played(files)) >= 6


@pytest.fixture(scope="module")
def sets_on_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few images in the layout of each set that cannot be had without a download."""
    root = sets.cifar10(sets.digits(tmp_path_factory.mktemp("data")))
    sets.folder(root / "dogs-vs-cats", sets.pets("kaggle"))
    sets.packed(root / "pairs.zip", sets.pairs())
    sets.folder(root / "pets", sets.pets("microsoft"))
    sets.packed(root / "speech.zip", sets.speech())
    sets.folder(root / "films", sets.films())
    return sets.folder(root / "celeba", sets.faces()).parent


def settings_of_data(file: Path) -> dict[str, Any]:
    chosen = choices(file)["data"]
    return chosen["init_args"] if isinstance(chosen, dict) else {}


def size(file: Path) -> int:
    """Of its pictures, also of those that its data are made of."""
    settings = settings_of_data(file)
    while "size" not in settings and isinstance(settings.get("of"), dict):
        settings = settings["of"].get("init_args", {})
    return settings.get("size", 32)


def few_samples(file: Path) -> str:
    """As many as there are held-out items on disk, where samples are made of these."""
    data = class_of(choices(file)["data"])
    if data not in ANY_SET:
        return "12"
    if file.parent.name == "mnist" and data in ("LeaveOut", "OneClass"):  # of ten, one of each class
        return "9" if data == "LeaveOut" else "2"
    return {"celeba": "6", "cats_vs_dogs": "5", "image_folder": "5"}.get(file.parent.name, "12")


def cost(file: Path) -> tuple[bool, bool, int, int, Path]:
    """By which the cheapest experiments come first: small data, then small networks, then few pixels."""
    generator = choices(file)["model"]["init_args"]["generator"]
    residual = "ResNet" in class_of(generator)
    width = generator["init_args"]["width"] if residual else 0
    return file.parent.name not in ("digits", "gaussians"), residual, size(file), width, file


@cache
def quick() -> set[Path]:
    """The cheapest experiment of each data set; the laws play each variant, and others each network.

    BigGAN's, MoCoGAN's and RRDB's, which take a minute, and the four of a translation are not played at all.
    """
    chosen, covered = set(), set()
    for file in sorted(FILES, key=cost):
        settings = choices(file)
        family = class_of(settings["model"]["init_args"]["generator"])
        data = class_of(settings["data"])
        if size(file) <= 64 and family not in UNHURRIED and data not in covered:
            chosen.add(file)
            covered.add(data)
    return chosen


@cache
def usual() -> set[Path]:
    """The cheapest experiments that together play each class, as far as pictures of 64 pixels have it."""
    chosen, covered = quick(), set[str]()
    for file in sorted(FILES, key=lambda file: (file not in quick(), cost(file))):
        if size(file) <= 64 and not (facts := classes_in(choices(file))) <= covered:
            chosen = chosen | {file}
            covered |= facts
    return chosen


def classes_in(settings: Any) -> set[str]:
    """The names of all classes in settings, however deep."""
    if isinstance(settings, list):
        return set().union(*map(classes_in, settings))
    if not isinstance(settings, dict):
        return set()
    own = {class_of(settings)} if "class_path" in settings else set[str]()
    return own.union(*map(classes_in, settings.values()))


def length(file: Path) -> int:
    """Two steps, so that what was learned in one is played with; one with large pictures, which take long,
    unless the game begins with a stage: the same networks play two with smaller ones.
    """
    return 2 if size(file) <= 32 or "stages" in choices(file)["model"].get("init_args", {}) else 1


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(
            file,
            marks=() if file in quick() else pytest.mark.slow if file in usual() else pytest.mark.evidence,
        )
        for file in FILES
    ],
    ids=lambda file: f"{file.parent.name}/{file.stem}",
)
def test_it_trains(file: Path, sets_on_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some steps of its own networks with a small batch, as the command would."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.chdir(tmp_path)
    if "path: first" in file.read_text():
        train(file.with_name("left_out.yaml"), sets_on_disk, tmp_path, monkeypatch).rename(tmp_path / "first")
    run = train(file, sets_on_disk, tmp_path, monkeypatch)
    stages, steps = stages_of(file), length(file)
    with (run / "metrics.csv").open() as metrics:
        rows = list(csv.DictReader(metrics))
    plays = [row["step"] for row in rows if row.get("discriminator")]
    assert plays == ([] if class_of(choices(file)["model"]) == "Encoder" else ["1", "2"][len(stages) : steps])
    assert all(isfinite(float(value)) for row in rows for value in row.values() if value)
    (scored,) = map(json.loads, (run / "scores.jsonl").read_text().splitlines())
    assert scored["step"] == steps
    assert {name for name, value in scored["scores"].items() if value is None} == scored["reasons"].keys()
    (saved,) = (run / "checkpoints").glob("step-*.ckpt")
    checkpoint = torch.load(saved, weights_only=True)
    assert checkpoint["global_step"] == steps
    assert checkpoint["hyper_parameters"]["_class_path"].endswith(f".{class_of(choices(file)['model'])}")


def stages_of(file: Path) -> list[Any]:
    """Those of the generator alone."""
    return choices(file)["model"].get("init_args", {}).get("stages", [])


def train(file: Path, sets_on_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run of a short training."""
    # The watchdog's 256 samples would take most of the time.
    monkeypatch.setattr(likeness, "SAMPLES", 16)
    batch = "8" if file.parent.name in EIGHT else "2"
    steps = length(file)
    few = ("--data.batch_size", batch, "--trainer.max_steps", str(steps), "--samples.count", "4")
    few += ("--evaluation.samples", few_samples(file))
    few += ("--model.critic_steps", "1") if steps == 1 else ()
    few += ("--data.count", "40") if file.parent.name == "stacked_mnist" else ()
    few += ("--data.labels", "10") if "labels" in settings_of_data(file) else ()
    few += ("--data.normal", "[3, 4]") if "normal" in settings_of_data(file) else ()
    few += ("--data.limit", "20") if "limit" in settings_of_data(file) else ()
    of = "data.of" if "of" in settings_of_data(file) else "data"
    unpaired_pets = file.parent.name in ("cats_vs_dogs", "image_folder") and of == "data.of"
    few += ("--data.of.held_out", "0.5") if unpaired_pets else ()
    of_ones_own = {
        "maps": "pairs.zip",
        "image_folder": "pets",
        "spoken_digits": "speech.zip",
        "clips": "films",
    }.get(file.parent.name)
    few += (f"--{of}.root", str(sets_on_disk / of_ones_own)) if of_ones_own else ()
    named = [
        score for score in choices(file).get("evaluation", {}).get("scores", []) if score not in OF_REAL_SETS
    ]
    few += ("--evaluation.scores", json.dumps(named)) if named else ()
    stages = stages_of(file)
    few += ("--model.stages", json.dumps([{**stage, "steps": 1} for stage in stages])) if stages else ()
    machine = ("--trainer.accelerator", "cpu", "--trainer.log_every_n_steps", "1", "--runs", str(tmp_path))
    with patch.dict(os.environ, GANLAB_DATA=str(sets_on_disk), GANLAB_CACHE=str(sets_on_disk / "cache")):
        assert fit.main(["fit", "--config", str(file), *few, *machine]) == 0
    (run,) = tmp_path.glob(f"*/{file.stem}/*")
    return run
