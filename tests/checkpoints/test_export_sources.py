"""`ganlab export --with_sources`: what samples are made from goes along only if it is asked for."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import here, refused, write
from PIL import Image
from safetensors.torch import load_file, save_file
from trained_runs import (
    GAME,
    NEGATIVES,
    NEGATIVES_CONFIG,
    NETWORKS,
    OURS_LABELLED,
    REPAINTED_CONFIG,
    export_run,
    train_run,
)

import ganlab
from ganlab.errors import Refused
from ganlab.game.conditions import ItemsOfSplit

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")

OURS = """\
model:
  class_path: HingeGAN
  init_args:
    conditional: true
    latent_size: 4
    generator: {class_path: UNetGenerator, init_args: {width: 4}}
    discriminator: {class_path: PatchGANDiscriminator, init_args: {width: 4, layers: 1}}
data: {class_path: Pairs, init_args: {size: 16, batch_size: 4, root: pairs, held_out: 0.95}}
trainer: {max_steps: 1, accelerator: cpu}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sources")
    write(home, NEGATIVES, "my_negatives.py")
    (home / "pairs").mkdir()
    chance = np.random.default_rng(0)
    for number in range(300):
        both = chance.integers(256, size=(16, 32, 3), dtype=np.uint8)
        Image.fromarray(both).save(home / "pairs" / f"{number:03}.png")
    return home


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    return train_run(home, NEGATIVES_CONFIG)


@pytest.fixture(scope="module")
def ours(home: Path) -> Path:
    return train_run(home, OURS, name="ours")


@pytest.fixture(scope="module")
def exported(ours: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    shutil.copytree(home / "pairs", folder / "pairs")
    answer = here("export", ours, "--out", "mine", "--with_sources", folder=folder)
    assert answer.code == 0, answer
    shutil.rmtree(folder / "pairs")
    return folder / "mine"


@pytest.fixture(autouse=True)
def _own_code_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The user's module, which `ganlab.load` imports, is another file in each test file."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield
    sys.modules.pop("my_negatives", None)


def images_of(source: Path, *options: str | Path, folder: Path) -> np.ndarray:
    answer = here("sample", source, "--out", "a.npz", *options, folder=folder)
    assert answer.code == 0, answer
    with np.load(folder / "a.npz") as file:
        return file["images"]


def test_with_its_sources_an_export_draws_what_the_run_draws(ours: Path, exported: Path, home: Path) -> None:
    of_run = images_of(ours, "--seed", "3", folder=home)
    assert of_run.shape == (64, 16, 16, 3)
    assert len(np.unique(of_run.reshape(64, -1), axis=0)) == 64
    assert np.array_equal(images_of(exported, "--seed", "3", folder=exported.parent), of_run)
    assert ganlab.load(exported).condition_rule == "items of held_out"
    more = here("sample", exported, "--count", "65", "--out", "b.npz", folder=exported.parent)
    assert "there are 64 of these" in refused(more, exported.parent)


def test_an_export_is_scored_like_its_run_by_the_reals_of_data(
    exported: Path, ours: Path, home: Path
) -> None:
    options = ("--extractor", "Pixels", "--scores", "fid,l1", "--samples", "70", "--json")
    # More than the sources that the export holds: data that are at hand know all.
    answers = [
        here("evaluate", source, "--reference", ours / "config.yaml", *options, folder=home)
        for source in (exported, next((ours / "checkpoints").glob("step*.ckpt")))
    ]
    assert [answer.code for answer in answers] == [0, 0], answers
    one, other = (json.loads(answer.out.splitlines()[-1]) for answer in answers)
    assert one["scores"] == other["scores"]
    assert one["contract"] == other["contract"]


def test_only_what_is_needed_goes_along_and_the_card_says_so(exported: Path) -> None:
    (name, column), *others = load_file(exported / "sources.safetensors").items()
    assert (name, tuple(column.shape), column.dtype, others) == ("1", (64, 3, 16, 16), torch.uint8, [])
    card = (exported / "README.md").read_text()
    assert "what the first 64 samples are made from (items of held_out)" in card
    assert "unconditional" not in card
    assert Image.open(exported / "samples.png").width > 400


def test_without_its_sources_an_export_asks_for_some(ours: Path, home: Path, tmp_path: Path) -> None:
    out = export_run(ours, tmp_path / "mine")
    assert not [*out.glob("sources*")]
    assert "--given FOLDER" in (out / "README.md").read_text()
    assert "--given" in refused(here("sample", out, "--out", "a.npz", folder=tmp_path), tmp_path)
    with pytest.raises(Refused, match="--given"):
        ganlab.load(out).sample(8, seed=0)
    given = ("--given", home / "pairs" / "007.png", "--count", "1")
    assert np.array_equal(images_of(out, *given, folder=tmp_path), images_of(ours, *given, folder=home))


def test_of_a_game_that_takes_pictures_themselves_these_go_along(home: Path, tmp_path: Path) -> None:
    run = train_run(home, REPAINTED_CONFIG, name="repainted")
    out = export_run(run, tmp_path / "mine", "--with_sources")
    assert [*load_file(out / "sources.safetensors")] == ["0"]
    of_run, of_export = (ganlab.load(path, trust_code=True) for path in (run, out))
    sources = load_file(out / "sources.safetensors")["0"]
    assert torch.equal(of_run.sample(64, seed=1, given=sources), of_export.sample(64, seed=1))


@pytest.mark.parametrize(
    "config", [GAME.replace("NETWORK", NETWORKS["linear"]), OURS_LABELLED], ids=["plain", "labels"]
)
def test_games_without_sources_refuse_to_export_them(config: str, home: Path, tmp_path: Path) -> None:
    run = train_run(home, config, name="other")
    answer = here("export", run, "--out", "mine", "--with_sources", folder=tmp_path)
    assert "leave --with_sources out" in refused(answer, tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_run_whose_data_are_gone_says_so(run: Path, home: Path, tmp_path: Path) -> None:
    lone = shutil.copy(run / "checkpoints" / "step-000000002.ckpt", tmp_path / "lone.ckpt")
    shutil.copy(home / "my_negatives.py", tmp_path)
    answer = here("export", lone, "--out", "mine", "--with_sources", "--trust_code", folder=tmp_path)
    assert "its run's data, which are not known here" in refused(answer, tmp_path)
    assert not (tmp_path / "mine").exists()


def test_a_game_told_pictures_is_no_file_for_onnx(ours: Path, tmp_path: Path) -> None:
    answer = here("export", ours, "--out", "mine", "--onnx", folder=tmp_path)
    assert "takes latents and" in refused(answer, tmp_path)
    assert not [*tmp_path.iterdir()]


# Files of others


def other_shape(path: Path) -> None:
    save_file({"1": torch.zeros(4, 3, 8, 8, dtype=torch.uint8)}, path)


def other_kind(path: Path) -> None:
    save_file({"1": torch.zeros(4, 3, 16, 16)}, path)


def other_column(path: Path) -> None:
    save_file({"7": torch.zeros(4, 3, 16, 16, dtype=torch.uint8)}, path)


def before_the_first(path: Path) -> None:
    save_file({"-1": torch.zeros(4, 3, 16, 16, dtype=torch.uint8)}, path)


def no_number(path: Path) -> None:
    save_file({"a": torch.zeros(4, 3, 16, 16, dtype=torch.uint8)}, path)


def nothing(path: Path) -> None:
    save_file({}, path)


def none_in_it(path: Path) -> None:
    save_file({"1": torch.zeros(0, 3, 16, 16, dtype=torch.uint8)}, path)


def one_that_is_not_needed(path: Path) -> None:
    save_file({"0": torch.zeros(4, 3, 16, 16, dtype=torch.uint8)}, path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    "spoil",
    [
        other_shape,
        other_kind,
        other_column,
        before_the_first,
        no_number,
        nothing,
        none_in_it,
        one_that_is_not_needed,
        cut,
        Path.unlink,
    ],
    ids=lambda spoil: spoil.__name__,
)
def test_a_file_that_is_no_sources_of_the_game_is_refused(
    spoil: Callable[[Path], Any], exported: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(exported, tmp_path / "mine")
    spoil(copy / "sources.safetensors")
    with pytest.raises(Refused, match="no whole file of sources"):
        ganlab.load(copy)


def test_a_file_larger_than_a_game_may_be_is_refused(
    exported: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = shutil.copytree(exported, tmp_path / "mine")
    monkeypatch.setenv("GANLAB_MOST_GB", "0.5")
    ganlab.load(copy)
    with (copy / "sources.safetensors").open("r+b") as file:
        file.truncate(600_000_000)
    with pytest.raises(Refused, match=r"600,000,000 bytes.*GANLAB_MOST_GB"):
        ganlab.load(copy)


@pytest.mark.parametrize("says", [None, 5, ["items"]], ids=str)
def test_a_file_that_the_config_does_not_tell_is_left_alone(
    says: Any, exported: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(exported, tmp_path / "mine")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "sources": says}))
    assert not isinstance(ganlab.load(copy).conditions, ItemsOfSplit)
