"""What is written to disk names public paths only, however privately a configuration named the same."""

import json
import re
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from command_line import here, run_folders, write
from jsonargparse import Namespace

from ganlab.class_paths import configured, imported, name_publicly, public_path

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")

# The model's classes by their private paths, as someone may copy them from a traceback.
SMALL = """\
model:
  class_path: ganlab.variants.r3gan.R3GAN
  init_args:
    latent_size: 4
    generator_optimizer: {class_path: torch.optim.adamw.AdamW, init_args: {lr: 0.01}}
    generator_scheduler: {class_path: StepLR, init_args: {step_size: 3}}
    generator: {class_path: ganlab.networks.mlp.MLPGenerator, init_args: {hidden: [16]}}
    discriminator: {class_path: ganlab.networks.mlp.MLPDiscriminator, init_args: {hidden: [16]}}
data: {class_path: Digits, init_args: {size: 8, batch_size: 8}}
trainer:
  max_steps: 2
  accelerator: cpu
  callbacks: [{class_path: Preflight}]
  logger: {class_path: TensorBoard}
samples: {every_n_steps: 2, count: 4}
evaluation:
  extractor: {class_path: Classifier, init_args: {dataset: digits}}
  samples: 40
  every_n_steps: 2
"""
BARE = re.sub(r"class_path: [\w.]+\.", "class_path: ", SMALL)
OURS = re.compile(r"ganlab(\.\w+)+")


def texts(value: Any) -> Iterator[str]:
    """Every string in a value, the keys of mappings included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, below in value.items():
            yield from texts(name)
            yield from texts(below)
    elif isinstance(value, (list, tuple)):
        for below in value:
            yield from texts(below)


def class_paths(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (value[name] for name in ("class_path", "_class_path", "variant") if name in value)
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for below in value:
            yield from class_paths(below)


def private_paths(value: Any) -> set[str]:
    """ganlab's paths in a value that no package exports, and class paths that have a shorter public one."""
    ours = {text for text in texts(value) if OURS.fullmatch(text)}
    hidden = {path for path in ours if not is_exported(path)}
    return hidden | {path for path in class_paths(value) if public_path(imported(path)) != path}


def is_exported(path: str) -> bool:
    package, _, name = path.rpartition(".")
    try:
        return name in import_module(package).__all__
    except (ImportError, AttributeError):
        return False


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and its export."""
    return train_and_export(tmp_path_factory.mktemp("home"), BARE)


@pytest.fixture(scope="module")
def privately_named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, where the configuration names classes by private paths."""
    return train_and_export(tmp_path_factory.mktemp("private"), SMALL)


def train_and_export(home: Path, text: str) -> Path:
    write(home, text)
    answer = here("fit", "--config", "small.yaml", folder=home)
    assert answer.code == 0, answer
    answer = here("export", run_folders(home)[0], "--out", "export", folder=home)
    assert answer.code == 0, answer
    return home


def read_file(home: Path, name: str) -> Any:
    """The content of a file of the run, or of its export."""
    (run,) = run_folders(home)
    path = home / name if name.startswith("export/") else run / name
    if path.suffix == ".ckpt":
        return torch.load(path, weights_only=True)
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return yaml.safe_load(path.read_text())  # JSON as well


FILES = {
    "config.yaml": {"ganlab.variants.R3GAN", "ganlab.data.Digits", "ganlab.metrics.Classifier"}
    | {"ganlab.callbacks.Preflight", "ganlab.loggers.TensorBoard", "torch.optim.AdamW", "torch.optim.Adam"},
    "hparams.yaml": {"ganlab.networks.MLPGenerator", "torch.optim.AdamW"},
    "checkpoints/step-000000002.ckpt": {"ganlab.variants.R3GAN", "torch.optim.lr_scheduler.StepLR"},
    "checkpoints/best.ckpt": {"ganlab.networks.MLPDiscriminator", "torch.optim.Adam"},
    "scores.jsonl": set(),
    "export/config.json": {"ganlab.GAN", "ganlab.variants.R3GAN", "ganlab.networks.MLPGenerator"},
    "export/contract.json": set(),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_names_public_paths_only(name: str, home: Path) -> None:
    value = read_file(home, name)
    assert FILES[name] <= {*class_paths(value)}
    assert private_paths(value) == set()


@pytest.mark.parametrize("name", FILES)
def test_it_does_so_where_the_configuration_names_private_paths(name: str, privately_named: Path) -> None:
    value = read_file(privately_named, name)
    assert FILES[name] <= {*class_paths(value)}
    assert private_paths(value) == set()


@pytest.mark.parametrize("name", FILES)
def test_a_private_path_in_it_would_be_detected(name: str, home: Path) -> None:
    value = [read_file(home, name), {"deep": [{"within": "ganlab.game.gan.GAN"}]}]
    assert private_paths(value) == {"ganlab.game.gan.GAN"}
    assert private_paths([value, {"class_path": "torch.optim.adam.Adam"}]) >= {"torch.optim.adam.Adam"}


def test_no_other_file_names_private_modules(home: Path) -> None:
    """The bytes are searched, also of a checkpoint's pickled part, the model card, TensorBoard's events."""
    modules = rb"ganlab\.(game|checkpoints|runs|cli)\.|ganlab\.\w+\.[a-z_]+\.[A-Z]"
    for path in [*home.rglob("*.*")]:
        if path.is_file() and path != home / "small.yaml":
            content = path.read_bytes()
            if path.suffix == ".ckpt":
                with zipfile.ZipFile(path) as archive:
                    content = archive.read(
                        next(name for name in archive.namelist() if name.endswith("data.pkl"))
                    )
            assert not re.search(modules, content), path


def test_files_name_the_version(home: Path) -> None:
    version = import_module("ganlab").__version__
    assert read_file(home, "checkpoints/step-000000002.ckpt")["ganlab"] == version
    config = read_file(home, "export/config.json")
    assert (config["format"], config["ganlab"]) == (2, version)


@pytest.mark.parametrize(
    ("module", "name", "path"),
    [
        ("ganlab.game.gan", "GAN", "ganlab.GAN"),
        ("ganlab.loggers.wandb", "SteadyWandbLogger", "ganlab.loggers.SteadyWandbLogger"),
        ("ganlab.metrics.extractors.inception", "Inception", "ganlab.metrics.Inception"),
        ("torch.optim.adam", "Adam", "torch.optim.Adam"),
        ("torch.nn.modules.linear", "Linear", "torch.nn.Linear"),
        ("ganlab.networks.layers", "Residual", "ganlab.networks.layers.Residual"),
        ("builtins", "dict", "builtins.dict"),
    ],
)
def test_the_public_path_is_the_shortest_that_leads_to_the_class(module: str, name: str, path: str) -> None:
    kind = vars(import_module(module))[name]
    assert public_path(kind) == path
    assert imported(path) is kind
    assert configured(kind, a=1) == {"class_path": path, "init_args": {"a": 1}}


def test_another_class_of_the_same_name_is_not_confused_with_it() -> None:
    kind = type("GAN", (), {"__module__": "ganlab.game.other"})
    assert public_path(kind) == "ganlab.game.other.GAN"


class Outer:
    class Inner:
        pass


def test_a_configuration_is_named_publicly_at_every_level() -> None:
    settings = {
        "class_path": "ganlab.variants.r3gan.R3GAN",
        "init_args": Namespace(
            parts=[{"class_path": "torch.nn.modules.linear.Identity"}, {"class_path": "ganlab.GAN"}, None],
            inner=Namespace(class_path=f"{__name__}.Outer.Inner", init_args={"class_path": 5}),
        ),
    }
    name_publicly(settings)
    assert settings["class_path"] == "ganlab.variants.R3GAN"
    assert settings["init_args"].parts == [
        {"class_path": "torch.nn.Identity"},
        {"class_path": "ganlab.GAN"},
        None,
    ]
    assert settings["init_args"].inner.class_path == f"{__name__}.Outer.Inner"
