"""The command `ganlab`: what it prints and refuses, the files that a run writes, and a user's own classes."""

import gc
import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from command_line import (
    NORMS,
    REPOSITORY,
    SMALL,
    TERMS,
    alone,
    checkpoint,
    contents,
    here,
    is_plain,
    metrics,
    process,
    refused,
    run_folders,
    weights,
    write,
)
from commands import Command
from later import seldom
from PIL import Image

import ganlab
from ganlab import data, fidelity, losses, networks, penalties, regularisers, variants
from ganlab.cli import main
from ganlab.data import Digits, StreamData
from ganlab.networks import DCGANDiscriminator, DCGANGenerator, MLPDiscriminator, MLPGenerator
from ganlab.penalties import Penalty
from ganlab.regularisers import Regulariser
from ganlab.runs import user_code
from ganlab.runs.folder import create_folder, new_run_path, write_environment
from ganlab.seeds import seed_for
from ganlab.system.hardware import best_precision
from ganlab.testing import CHECKS, assert_same
from ganlab.variants import R3GAN

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")


# What it prints without torch


LOADED = """\
import sys
from ganlab.cli.main import main

status = main(sys.argv[1:])
print({"torch", "lightning", "numpy", "jsonargparse"} & set(sys.modules), file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize("arguments", ["", "--help", "--version", "list", "list --json"])
def test_what_needs_no_torch_does_not_wait_for_it(arguments: str, tmp_path: Path) -> None:
    done = process(sys.executable, "-c", LOADED, *arguments.split(), folder=tmp_path)
    assert done.code == 0
    assert done.err.strip() == "set()"
    assert done.out.strip()


def test_help_tells_every_command_and_version_the_installed_one(tmp_path: Path) -> None:
    answer = here("--help", folder=tmp_path)
    assert answer.code == 0
    assert answer == here("-h", folder=tmp_path) == here(folder=tmp_path)
    for name, (_, line) in main.COMMANDS.items():
        assert re.search(rf"^ +{name} +\S", answer.out, re.MULTILINE), name
        assert line in answer.out
    assert {"fit", "validate", "list"} <= main.COMMANDS.keys()
    version = here("--version", folder=tmp_path)
    assert version == (0, f"ganlab {metadata.version('ganlab')}\n", "")


def test_the_options_that_an_error_points_to_are_there(tmp_path: Path) -> None:
    options = here("fit", "--help", folder=tmp_path)
    assert options.code == 0
    for option in ("model", "data", "runs", "samples.every_n_steps", "checkpoints.keep", "trainer.max_steps"):
        assert f"--{option}" in options.out
    of_one = here("fit", "--model.help", "R3GAN", folder=tmp_path)
    assert of_one.code == 0
    for option in ("gamma", "latent_size", "generator_optimizer"):
        assert re.search(rf"--model\.(init_args\.)?{option}\b", of_one.out)


def test_list_names_all_there_is_with_a_line_each(tmp_path: Path) -> None:
    answer = here("list", "--json", folder=tmp_path)
    listed = json.loads(answer.out)
    kinds = (getattr(data, name) for name in data.__all__)
    concrete = {k.__name__ for k in kinds if issubclass(k, StreamData) and not k.__abstractmethods__}
    stems = {f"{path.parent.name}/{path.stem}" for path in (REPOSITORY / "experiments").glob("*/*.yaml")}
    assert list(listed) == [
        *("variants", "losses", "penalties", "regularisers"),
        *("fidelity", "networks", "data", "experiments"),
    ]
    roots = (fidelity, fidelity.Fidelity), (losses, losses.Loss), (penalties, Penalty)
    for module, root in (*roots, (regularisers, Regulariser)):
        public = {
            name for name, kind in vars(module).items() if isinstance(kind, type) and issubclass(kind, root)
        }
        assert listed[module.__name__.partition(".")[2]].keys() == public - {root.__name__}
    assert listed["variants"].keys() == set(variants.__all__)
    assert listed["networks"].keys() == set(networks.__all__)
    assert listed["data"].keys() == concrete
    assert listed["experiments"].keys() == stems
    for entries in listed.values():
        for name, line in entries.items():
            assert len(line) > 10, name
            assert "\n" not in line, name
    for name in variants.__all__:
        assert " ".join(getattr(variants, name).__doc__.split()).startswith(listed["variants"][name])
    readable = here("list", folder=tmp_path)
    assert readable.code == 0
    assert all(name in readable.out for entries in listed.values() for name in entries)


def test_list_tells_the_experiments_of_the_folder_it_is_asked_in(tmp_path: Path) -> None:
    (tmp_path / "experiments" / "mine").mkdir(parents=True)
    write(tmp_path / "experiments" / "mine", "# My [/first].\n" + SMALL, "first.yaml")
    listed = json.loads(here("list", "--json", folder=tmp_path).out)
    assert listed["experiments"] == {"mine/first": "My [/first]."}
    assert "My [/first]." in here("list", folder=tmp_path).out


# What it refuses


def nearest(message: str) -> list[str]:
    (names,) = re.findall(r"Nearest: (.+)\.$", message, re.MULTILINE)
    return names.split(", ")


def optimizer(how: str) -> tuple[str, str]:
    return "    latent_size: 4\n", f"    latent_size: 4\n    generator_optimizer: {how}\n"


MISSPELT = {
    "model argument": (("latent_size", "latnt_size"), "latnt_size", "latent_size"),
    "variant's argument": (("latent_size", "gama"), "gama", "gamma"),
    "variant": (("R3GAN", "R3GAM"), "R3GAM", "R3GAN"),
    "variant in a module": (("R3GAN", "ganlab.variants.R3GAM"), "R3GAM", "R3GAN"),
    "network": (("MLPGenerator", "MLPGenrator"), "MLPGenrator", "MLPGenerator"),
    "network's argument": (("hidden", "hiden"), "hiden", "hidden"),
    "data": (("Digits", "Digts"), "Digts", "Digits"),
    "data's argument": (("batch_size", "batchsize"), "batchsize", "batch_size"),
    "optimizer": (optimizer("{class_path: Adm, init_args: {lr: 0.1}}"), "Adm", "Adam"),
    "optimizer's argument": (optimizer("{class_path: Adam, init_args: {lrr: 0.1}}"), "lrr", "lr"),
    "trainer key": (("max_steps", "max_step"), "trainer.max_step", "trainer.max_steps"),
    "samples key": (("every_n_steps: 3, count", "every: 3, count"), "samples.every", "samples.every_n_steps"),
    "top-level key": (("trainer:", "trainr:"), "trainr", "trainer"),
    "top-level model": (("model:", "modle:"), "modle", "model"),
}


@pytest.mark.parametrize("case", MISSPELT)
def test_a_misspelt_name_in_a_file_is_answered_with_the_nearest(case: str, tmp_path: Path) -> None:
    (right, wrong), misspelt, near = MISSPELT[case]
    assert right in SMALL
    write(tmp_path, SMALL.replace(right, wrong))
    message = refused(here("fit", "--config", "small.yaml", folder=tmp_path), tmp_path)
    assert f"'{misspelt}'" in message
    assert near in nearest(message)


@pytest.mark.parametrize(
    ("arguments", "misspelt", "near"),
    [
        ("--model.latnt_size 3", "latnt_size", "latent_size"),
        ("--model.init_args.latnt_size 3", "latnt_size", "latent_size"),
        ("--model R3GAM", "R3GAM", "R3GAN"),
        ("--model.generator MLPGenrator", "MLPGenrator", "MLPGenerator"),
        ("--model.generator.hiden [3]", "hiden", "hidden"),
        ("--model.generator_optimizer Adm", "Adm", "Adam"),
        ("--model.generator_optimizer.lrr 3", "lrr", "lr"),
        ("--model.generator_scheduler CosineAnealingLR", "CosineAnealingLR", "CosineAnnealingLR"),
        ("--data Digts", "Digts", "Digits"),
        ("--data.batchsize 3", "batchsize", "batch_size"),
        ("--trainer.mx_steps 3", "trainer.mx_steps", "trainer.max_steps"),
        ("--trainer.logger WandLogger", "WandLogger", "WandbLogger"),
        ("--checkpoints.kep 3", "checkpoints.kep", "checkpoints.keep"),
        ("--sed_everything 3", "sed_everything", "seed_everything"),
        ("--trainer.max_step 3", "trainer.max_step", "trainer.max_steps"),
        ("--samples.every 3", "samples.every", "samples.every_n_steps"),
        ("--run elsewhere", "run", "runs"),
        ("--modle R3GAN", "modle", "model"),
    ],
)
def test_a_misspelt_option_too(arguments: str, misspelt: str, near: str, tmp_path: Path) -> None:
    answer = here("fit", "--config", write(tmp_path), *arguments.split(), folder=tmp_path)
    message = refused(answer, tmp_path)
    assert f"'{misspelt}'" in message
    assert near in nearest(message)


def test_a_class_of_another_kind_is_not_told_to_be_nearest_to_itself(tmp_path: Path) -> None:
    answer = here("fit", "--config", write(tmp_path), "--model", "MLPGenerator", folder=tmp_path)
    message = refused(answer, tmp_path)
    assert "'MLPGenerator'" in message
    assert not re.search(r"Nearest:.*\bMLPGenerator\b", message)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--model.latent_size four", ("model.latent_size", "int", "four")),
        ("--model.generator.hidden wide", ("model.generator.hidden", "wide")),
        ("--data.batch_size many", ("data.batch_size", "int", "many")),
        ("--trainer.max_steps long", ("trainer.max_steps", "int", "long")),
        ("--trainer.precision bf16-mxied", ("trainer.precision", "bf16-mixed", "bf16-mxied")),
        ("--config missing.yaml", ("missing.yaml",)),
        ("--data.seed 3", ("--data.seed", "--seed_everything")),
        ("--ckpt_path missing.ckpt", ("missing.ckpt",)),
        ("--data MNIST --data.root nowhere", ("nowhere", "train-images-idx3-ubyte", "data.root")),
        ("--model my_gam.MyGAN", ("'my_gam'", "model", "current folder")),
        ("--model.discriminator my_nets.Mine", ("'my_nets'", "model.discriminator")),
        ("--model.critic_steps 0", ("critic_steps", "0", "at least 1")),
        ("--model.generator.hidden [0]", ("hidden", "0", "at least 1")),
        ("--data.batch_size 0", ("batch_size", "0", "at least 1")),
        ("--model.accumulation 3", ("accumulation 3", "multiple")),
        ("--trainer.max_epochs 3", ("trainer.max_epochs", "trainer.max_steps")),
        ("--trainer.precision bf16-true", ("bf16-true", "bf16-mixed")),
        ("--trainer.accelerator cppu", ("accelerator", "cppu")),
        ("--model.generator_optimizer.lr -0.1", ("learning rate", "-0.1")),
        ("--runs small.yaml", ("small.yaml", "runs")),
        ("--model GAN", ("GAN", "loss", "ganlab list")),
    ],
)
def test_what_cannot_work_is_refused(arguments: str, words: tuple[str, ...], tmp_path: Path) -> None:
    answer = here("fit", "--config", write(tmp_path), *arguments.split(), folder=tmp_path)
    message = refused(answer, tmp_path)
    for word in words:
        assert word in message


@pytest.mark.slow
def test_the_installed_command_refuses_without_a_warning(tmp_path: Path) -> None:
    unknown = alone("fti", folder=tmp_path)
    assert "'fti'" in refused(unknown, tmp_path)
    assert nearest(unknown.err)[0] == "fit"
    write(tmp_path, SMALL.replace("latent_size", "latnt_size"))
    message = refused(alone("fit", "--config", "small.yaml", folder=tmp_path), tmp_path)
    assert nearest(message) == ["latent_size"]


# What a run leaves behind


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write(folder)
    return folder


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    """Seven steps of a small game on small digits."""
    answer = here("fit", "--config", "small.yaml", folder=home)
    assert answer.code == 0, answer
    (folder,) = run_folders(home)
    assert f"run folder: {folder.relative_to(home)}\n" in answer.out
    return folder


@pytest.fixture
def untouched(run: Path) -> Iterator[None]:
    before = contents(run)
    yield
    assert contents(run) == before


def another(home: Path, *arguments: str, file: str | Path = "small.yaml") -> Path:
    """One more run beside those there are."""
    before = run_folders(home)
    answer = here("fit", "--config", file, *arguments, folder=home)
    assert answer.code == 0, answer
    (new,) = set(run_folders(home)) - set(before)
    return new


def test_a_runs_folder_is_named_for_data_experiment_time_and_seed(run: Path, home: Path) -> None:
    assert run.relative_to(home).parts[:3] == ("runs", "digits", "small")
    assert re.fullmatch(r"\d{8}-\d{6}-seed0", run.name)
    assert time.time() - time.mktime(time.strptime(run.name[:15], "%Y%m%d-%H%M%S")) < 600
    expected = {"config.yaml", "environment.json", "metrics.csv", "checkpoints", "samples", "status.json"}
    expected |= {"clock.jsonl", "verdict.json"}
    assert expected <= {path.name for path in run.iterdir()} <= expected | {"hparams.yaml", "code", ".lock"}
    assert {path.name for path in home.iterdir()} == {"small.yaml", "runs"}


def test_the_environment_is_told(run: Path) -> None:
    environment = json.loads((run / "environment.json").read_text())
    for package in ("ganlab", "torch", "lightning", "torchvision", "numpy"):
        assert environment[package] == metadata.version(package)
    assert environment["python"] == sys.version.split()[0]
    assert environment["cores"] >= 1
    assert environment["cpu"]
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    assert environment["gpus"] == gpus
    assert environment["commit"] is None


def test_the_commit_is_told_and_whether_files_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        me = ("-c", "user.name=me", "-c", "user.email=me@example.org")
        done = process("git", *me, *arguments, folder=tmp_path)
        assert done.code == 0, done
        return done.out.strip()

    def written_commit() -> str:
        (tmp_path / "environment.json").unlink(missing_ok=True)
        write_environment(tmp_path)
        return json.loads((tmp_path / "environment.json").read_text())["commit"]

    (tmp_path / ".gitignore").write_text("environment.json\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    monkeypatch.chdir(tmp_path)
    commit = git("rev-parse", "HEAD")
    assert written_commit() == commit
    (tmp_path / ".gitignore").write_text("environment.json\n\n")
    assert written_commit() == f"{commit}-dirty"


def test_every_term_is_in_the_metrics_by_generator_step(run: Path) -> None:
    rows = metrics(run)
    assert rows[0].keys() == TERMS | NORMS | {"step", "images"}
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    assert [float(row["images"]) for row in rows] == [step * 2 * 8 for step in (2, 4, 6)]
    for row in rows:
        assert all(np.isfinite(float(value)) for value in row.values()), row
    assert len({row["generator"] for row in rows}) == 3


def test_checkpoints_come_at_their_cadence_and_at_the_end(run: Path) -> None:
    names = [path.name for path in sorted((run / "checkpoints").iterdir())]
    assert names == [f"step-{step:09d}.ckpt" for step in (3, 6, 7)]
    assert [checkpoint(run, step)["global_step"] for step in (3, 6, 7)] == [3, 6, 7]


def test_a_checkpoint_tells_all_choices_as_plain_data(run: Path) -> None:
    choices = checkpoint(run)["hyper_parameters"]
    assert all(is_plain(value) for value in choices.values()), choices
    assert choices["latent_size"] == choices["generator"]["init_args"]["latent_size"] == 4
    for player in ("generator", "discriminator"):
        assert list(choices[player]["init_args"]["shape"]) == [1, 8, 8]
        assert list(choices[player]["init_args"]["hidden"]) == [16]
    assert choices["critic_steps"] == 2
    assert choices["seed"] == 0
    assert choices["generator_optimizer"]["class_path"].endswith(".Adam")


def by_hand(run: Path, step: int = 7) -> R3GAN:
    """The game as Python would build it, with the checkpoint's weights."""
    players = {
        "generator": MLPGenerator(shape=(1, 8, 8), latent_size=4, hidden=(16,)),
        "discriminator": MLPDiscriminator(shape=(1, 8, 8), hidden=(16,)),
    }
    game = R3GAN(**players, latent_size=4, critic_steps=2)
    game.load_state_dict(weights(run, step))
    return game


def test_a_checkpoint_rebuilds_the_game_that_was_trained(run: Path) -> None:
    loaded = ganlab.load(run / "checkpoints" / "step-000000007.ckpt")
    assert type(loaded) is R3GAN
    assert_same(weights(run), loaded.state_dict(), what="the loaded game")
    for raw in (False, True):
        assert torch.equal(loaded.sample(5, seed=3, raw=raw), by_hand(run).sample(5, seed=3, raw=raw))
    assert not torch.equal(loaded.sample(5, seed=3), loaded.sample(5, seed=3, raw=True))
    assert not torch.equal(loaded.sample(5, seed=3), by_hand(run, step=3).sample(5, seed=3))


def test_pictures_show_the_same_latents_at_each_cadence(run: Path) -> None:
    names = [path.name for path in sorted((run / "samples").iterdir()) if path.stem != "step-000000000"]
    assert names == [f"step-{step:09d}.png" for step in (3, 6, 7)]
    digits = Digits(size=8)
    for step in (3, 6, 7):
        samples = by_hand(run, step).sample(9, seed=seed_for("samples", 0))
        drawn = Image.open(run / "samples" / f"step-{step:09d}.png")
        assert np.array_equal(np.asarray(drawn), np.asarray(digits.media[0].sheet(samples)))


def test_what_was_chosen_by_itself_is_written_resolved(run: Path) -> None:
    settings = yaml.safe_load((run / "config.yaml").read_text())
    assert settings["trainer"]["precision"] == best_precision("cpu")
    assert settings["seed_everything"] == 0
    assert settings["trainer"]["max_steps"] == 7
    assert settings["model"]["class_path"].endswith("variants.R3GAN")
    assert settings["model"]["init_args"]["gamma"] == 1.0


@pytest.mark.usefixtures("untouched")
def test_the_written_configuration_repeats_the_run(run: Path, home: Path) -> None:
    repeated = another(home, file=run / "config.yaml")
    assert repeated.parent == run.parent
    assert_same(weights(run), weights(repeated), what="the repeated run")
    for name in ("metrics.csv", "samples/step-000000007.png", "config.yaml"):
        assert (repeated / name).read_bytes() == (run / name).read_bytes(), name


def test_no_run_overwrites_one_of_the_same_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda *_: "20260101-000000")
    path = new_run_path(tmp_path, data="Digits", experiment="ns", seed=4)
    folders = [create_folder(path) for _ in range(3)]
    assert len(set(folders)) == 3
    assert all(folder.is_dir() for folder in folders)
    assert folders[0] == tmp_path / "digits" / "ns" / "20260101-000000-seed4"
    assert {folder.parent for folder in folders} == {folders[0].parent}


@pytest.mark.usefixtures("untouched")
def test_one_seed_reaches_everything(run: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_seeds = []
    monkeypatch.setattr(Digits, "setup", lambda self, stage: data_seeds.append(self.seed))
    other_run = another(home, "--seed_everything", "1", "--checkpoints.keep", "1")
    assert other_run.name.endswith("-seed1")
    assert yaml.safe_load((other_run / "config.yaml").read_text())["seed_everything"] == 1
    assert data_seeds == [1]
    assert checkpoint(other_run)["hyper_parameters"]["seed"] == 1
    assert [path.name for path in (other_run / "checkpoints").iterdir()] == ["step-000000007.ckpt"]
    weights_0, weights_1 = weights(run), weights(other_run)
    matrices = [name for name in weights_0 if re.match(r"(generator|discriminator)\b.*weight$", name)]
    assert len(matrices) == 4
    assert not any(torch.equal(weights_0[name], weights_1[name]) for name in matrices)


@pytest.mark.parametrize(("chosen", "files"), [("false", 0), ("CSVLogger --trainer.logger.save_dir also", 1)])
@pytest.mark.usefixtures("untouched")
def test_whatever_the_logger_the_metrics_stay(chosen: str, files: int, run: Path, home: Path) -> None:
    other_run = another(home, "--trainer.max_steps", "2", "--trainer.logger", *chosen.split())
    (row,) = metrics(other_run)
    assert row == metrics(run)[0]
    assert len([*home.glob("also/**/metrics.csv")]) == files


@pytest.mark.usefixtures("untouched")
def test_a_resumed_run_is_the_straight_one(run: Path, home: Path) -> None:
    resumed = another(home, "--ckpt_path", str(run / "checkpoints" / "step-000000003.ckpt"))
    assert_same(weights(run), weights(resumed), what="the resumed run")
    states = [checkpoint(folder)["optimizer_states"] for folder in (run, resumed)]
    for state, resumed_state in zip(*states, strict=True):
        for index, values in state["state"].items():
            assert_same(values, resumed_state["state"][index], what=f"optimizer state {index}")
    assert [row["step"] for row in metrics(resumed)] == ["4", "6"]
    assert metrics(resumed) == metrics(run)[1:]


def test_a_run_that_is_over_takes_no_memory_from_the_next(tmp_path: Path) -> None:
    """Both in one process, as in a notebook."""
    config = write(tmp_path)
    before = {id(game) for game in gc.get_objects() if type(game) is R3GAN}
    for seed in ("0", "1"):
        assert here("fit", "--config", config, "--seed_everything", seed, folder=tmp_path).code == 0
        gc.collect()
        assert {id(game) for game in gc.get_objects() if type(game) is R3GAN} <= before


def test_a_trial_run_leaves_nothing_behind(tmp_path: Path) -> None:
    answer = here("fit", "--config", write(tmp_path), "--trainer.fast_dev_run", "2", folder=tmp_path)
    assert answer.code == 0, answer
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


def test_samples_that_no_picture_shows_cost_no_training(tmp_path: Path) -> None:
    """A user's points of five coordinates: either refused before the first step, or trained and kept."""
    write(tmp_path, MY_DATA.replace("(1, 4, 4)", "(5,)"), "my_points.py")
    write(
        tmp_path,
        re.sub("data: .*", "data: {class_path: my_points.MyData, init_args: {batch_size: 8}}", SMALL),
    )
    answer = here("fit", "--config", "small.yaml", folder=tmp_path)
    if answer.code == 0:
        assert checkpoint(*run_folders(tmp_path))["global_step"] == 7
    else:
        refused(answer, tmp_path)


@pytest.mark.parametrize("command", ["fit", "validate"])
def test_a_refused_command_removes_no_folder_but_its_own(command: str, run: Path, tmp_path: Path) -> None:
    """The command may be started by a run, whose folder's path is in the environment."""
    parent = shutil.copytree(run, tmp_path / "parent")
    wrong = ("--config", parent / "config.yaml", "--trainer.precision", "bf16-true")
    refused(here(command, *wrong, folder=tmp_path, GANLAB_RUN_FOLDER=str(parent)), tmp_path)
    assert contents(parent) == contents(run)


# Validation


@pytest.mark.usefixtures("untouched")
def test_validate_tells_how_held_out_images_are_judged(run: Path, home: Path) -> None:
    before = sorted(home.rglob("*"))
    path = run / "checkpoints" / "step-000000007.ckpt"
    answer = here("validate", "--config", run / "config.yaml", "--ckpt_path", path, folder=home)
    assert answer.code == 0, answer
    assert sorted(home.rglob("*")) == before
    (printed,) = re.findall(r"held_out_logit\W+(-?[\d.]+)", answer.out)
    digits = Digits(size=8)
    images = digits.played((digits.splits.held_out[torch.arange(300)][0],))[0]
    assert len(images) == 300
    expected = by_hand(run).discriminator.eval()(images).mean()
    tolerance = 2e-2 if best_precision("cpu") != "32" else 1e-5
    assert float(printed) == pytest.approx(float(expected), abs=tolerance)


# A user's own files

MY_GAN = '''\
from ganlab import GAN, losses


class MyGAN(GAN):
    """Mine."""

    loss = losses.hinge

    def penalties(self, turn):
        return {"mine": 0.1 * turn.real_logits.square().mean()}
'''

MY_NETWORK = """\
from torch import nn


class MyDiscriminator(nn.Module):
    def __init__(self, *, shape: tuple[int, ...], width: int = 8):
        super().__init__()
        inputs = shape[0] * shape[1] * shape[2]
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, images):
        return self.layers(images).squeeze(1)
"""

MY_DATA = """\
import torch
from torch.utils.data import TensorDataset

from ganlab.data import StreamData


class MyData(StreamData):
    shape = (1, 4, 4)

    def load(self):
        images = torch.rand(50, *self.shape, generator=torch.Generator().manual_seed(0))
        return TensorDataset(images), TensorDataset(images[:9])
"""

MINE = """\
model:
  class_path: my_gan.MyGAN
  init_args:
    latent_size: 4
    generator: {class_path: MLPGenerator, init_args: {hidden: [16]}}
    discriminator: {class_path: my_network.MyDiscriminator, init_args: {width: 12}}
data: {class_path: my_data.MyData, init_args: {batch_size: 8}}
trainer: {max_steps: 4, log_every_n_steps: 2, accelerator: cpu}
"""
FILES = {"my_gan.py": MY_GAN, "my_network.py": MY_NETWORK, "my_data.py": MY_DATA}


@pytest.fixture
def user_folder(tmp_path: Path) -> Path:
    """A user's folder outside the repository."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    assert len(MY_GAN.splitlines()) <= 10
    return folder


def check_my_run(folder: Path, processes: int) -> Path:
    """Check the only run's metrics, checkpoint and copy of the user's files; return its folder."""
    (run,) = run_folders(folder)
    assert run.parent.parent.name == "my_data"
    assert {path.name: path.read_text() for path in (run / "code").rglob("*.py")} == FILES
    rows = metrics(run)
    assert [float(row["images"]) for row in rows] == [2 * 8 * processes, 4 * 8 * processes]
    assert all(float(row["mine"]) > 0 for row in rows)
    saved = checkpoint(run, 4)
    assert saved["hyper_parameters"]["_class_path"] == "my_gan.MyGAN"
    assert saved["hyper_parameters"]["discriminator"]["init_args"] == {"shape": [1, 4, 4], "width": 12}
    return run


def check_it_needs_the_original_no_more(run: Path, user_folder: Path, elsewhere: Path, command: Any) -> None:
    shutil.rmtree(user_folder)
    elsewhere.mkdir()
    path = run / "checkpoints" / "step-000000004.ckpt"
    options = ("--config", run / "config.yaml", "--ckpt_path", path, "--trainer.devices", "1")
    answer = command("validate", *options, folder=elsewhere)
    assert answer.code == 0, answer
    assert re.search(r"held_out_logit\W+-?\d", answer.out)
    assert not [*elsewhere.iterdir()]


def test_my_files_are_found_in_the_folder_that_i_am_in(user_folder: Path, tmp_path: Path) -> None:
    config = write(tmp_path, MINE, "mine.yaml")
    answer = here("fit", "--config", config, folder=user_folder)
    assert answer.code == 0, answer
    run = check_my_run(user_folder, processes=1)
    moved = shutil.move(run, tmp_path / "runs" / "my_data" / "mine" / "moved")
    check_it_needs_the_original_no_more(Path(moved), user_folder, tmp_path / "third", here)


def test_a_misspelt_class_of_mine_is_answered_with_the_nearest(user_folder: Path) -> None:
    config = write(user_folder)
    answer = here("fit", "--config", config, "--model", "my_gan.MyGam", folder=user_folder)
    message = refused(answer, user_folder)
    assert "MyGam" in message
    assert nearest(message)[0] == "MyGAN"


def test_what_is_installed_is_not_taken_for_mine(user_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed packages may lie below the user's folder, for instance in a home folder."""
    installed = user_folder / ".local" / "lib" / "python3" / "site-packages" / "package"
    installed.mkdir(parents=True)
    (part := user_folder / "part").mkdir()
    for file in (installed / "__init__.py", part / "__init__.py", part / "inner.py"):
        file.write_text("")
        module = ModuleType(f"my_{file.parent.name}_{file.stem}")
        module.__file__ = str(file)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    user_code.copy_modules([user_folder], user_folder / "copy")
    assert contents(user_folder / "copy").keys() == {"part/__init__.py", "part/inner.py"}


@pytest.mark.parametrize("started", seldom(["beside", "elsewhere"], ["elsewhere"]))
def test_my_files_train_on_two_processes(started: str, user_folder: Path, tmp_path: Path) -> None:
    write(user_folder, MINE, "mine.yaml")
    folder = user_folder if started == "beside" else tmp_path / "elsewhere"
    folder.mkdir(exist_ok=True)
    config = "mine.yaml" if started == "beside" else "../mine/mine.yaml"
    both = ("--trainer.precision", "bf16-mixed", "--trainer.devices", "2", "--trainer.accelerator", "cpu")
    answer = Command("fit", "--config", config, *both, "--runs", tmp_path / "runs", folder=folder).end(300)
    assert answer.code == 0, answer.err
    assert not re.search("Traceback|Warning", answer.err), answer.err
    assert answer.out.count("run folder") == 1
    run = check_my_run(tmp_path, processes=2)
    settings = yaml.safe_load((run / "config.yaml").read_text())["trainer"]
    assert (settings["precision"], str(settings["devices"])) == ("bf16-mixed", "2")
    command = alone if started == "beside" else here
    check_it_needs_the_original_no_more(run, user_folder, tmp_path / "third", command)


def test_my_checkpoint_is_loaded_with_my_classes(
    user_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, become_another_user: Callable
) -> None:
    write(user_folder, MINE, "mine.yaml")
    assert here("fit", "--config", "mine.yaml", "--trainer.max_steps", "1", folder=user_folder).code == 0
    path = run_folders(user_folder)[0] / "checkpoints" / "step-000000001.ckpt"
    become_another_user()
    with pytest.raises(ganlab.errors.Refused, match=r"my_gan\.MyGAN"):
        ganlab.load(path)
    monkeypatch.syspath_prepend(user_folder)
    for name in ("my_gan", "my_network"):
        monkeypatch.setitem(sys.modules, name, import_module(name))
    classes = [sys.modules["my_gan"].MyGAN, *vars(sys.modules["my_network"]).values()]
    game = ganlab.load(path, classes=[kind for kind in classes if isinstance(kind, type)])
    assert type(game) is sys.modules["my_gan"].MyGAN
    assert game.sample(3, seed=0).shape == (3, 1, 4, 4)


# Conformance in a user's own tests

MY_TESTS = '''\
import time

import torch
from my_gan import MyGAN

from ganlab.testing import conformance


class Clocked(MyGAN):
    """Its noise follows from the time of day."""

    def generator_terms(self, turn):
        source = torch.Generator().manual_seed(time.time_ns() % 2**40)
        noise = torch.rand((), generator=source)
        return {"generator": (1 + noise) * super().generator_terms(turn)["generator"]}


class Meddling(MyGAN):
    """Its discriminator's turn moves the generator."""

    def discriminator_terms(self, turn):
        with torch.no_grad():
            next(self.generator.parameters()).mul_(0.99)
        return super().discriminator_terms(turn)


class Counting(MyGAN):
    """Its state is in no checkpoint."""

    played = 0

    def generator_terms(self, turn):
        self.played += 1
        return {"generator": self.played * super().generator_terms(turn)["generator"]}


test_my_gan = conformance(MyGAN)
test_clocked = conformance(Clocked)
test_meddling = conformance(Meddling)
test_counting = conformance(Counting)
'''


@pytest.mark.slow
def test_one_line_tests_my_variant_and_finds_what_is_wrong(user_folder: Path) -> None:
    (user_folder / "test_mine.py").write_text(MY_TESTS)
    chosen = (
        "my_gan or (clocked and follows_its_seed) or (meddling and moves_only_what_a_side_learns) or "
        "(counting and resumes_exactly)"
    )
    pytest_ = (sys.executable, "-m", "pytest", "-q", "-rA", "--tb=line", "-p", "no:cacheprovider")
    done = process(*pytest_, "-k", chosen, "test_mine.py", folder=user_folder)
    results = re.findall(r"^(PASSED|FAILED) \S+::(\S+)", done.out, re.MULTILINE)
    passed, failed = (
        {name for result, name in results if result == outcome} for outcome in ("PASSED", "FAILED")
    )
    left_out = "is_judged_by_several_critics"
    assert passed == {f"test_my_gan[{c.__name__}]" for c in CHECKS if c.__name__ != left_out}, done.out
    assert "MyGAN's penalties may be of a single critic" in done.out
    assert failed == {
        "test_clocked[follows_its_seed]",
        "test_meddling[moves_only_what_a_side_learns]",
        "test_counting[resumes_exactly]",
        "test_counting[resumes_exactly_on_two_processes]",
    }, done.out


def test_the_seed_decides_the_first_weights_the_generator_being_built_first(tmp_path: Path) -> None:
    """In any other order all runs would begin with other weights than those of earlier versions."""
    still = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.0}}
    kinds = {"generator": DCGANGenerator, "discriminator": DCGANDiscriminator}
    narrow = {"width": 4}
    networks = {name: {"class_path": kind.__name__, "init_args": narrow} for name, kind in kinds.items()}
    rates = {f"{name}_optimizer": still for name in kinds}
    config = {
        "model": {"class_path": "HingeGAN", "init_args": {"latent_size": 8, **networks, **rates}},
        "data": {"class_path": "Digits", "init_args": {"size": 8}},
        "trainer": {"max_steps": 1, "accelerator": "cpu", "precision": "32"},
    }
    (tmp_path / "still.yaml").write_text(yaml.safe_dump(config))
    assert here("fit", "--config", "still.yaml", "--seed_everything", "3", folder=tmp_path).code == 0
    (run,) = run_folders(tmp_path)
    found = checkpoint(run, 1)["state_dict"]
    torch.manual_seed(3)
    expected = {
        "generator": DCGANGenerator(shape=(1, 8, 8), latent_size=8, width=4),
        "discriminator": DCGANDiscriminator(shape=(1, 8, 8), width=4),
    }
    for name, network in expected.items():
        for parameter, value in network.named_parameters():
            assert torch.equal(value, found[f"{name}.{parameter}"]), f"{name}.{parameter}"
