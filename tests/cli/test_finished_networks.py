"""Networks of a finished run in a second one: read when it begins, and never again."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from command_line import Answer, checkpoint, here, refused, run_folders, write
from trained_runs import FAST, MY_GENERATOR, POINTS, train_run

from ganlab.checkpoints.checksummed import write_checksummed
from ganlab.checkpoints.pretrained import PRETRAINED
from ganlab.class_paths import public_path
from ganlab.networks import Pretrained

FIRST = f"""\
model:
  class_path: HingeGAN
  init_args:
    latent_size: 4
    ema_ramp: null
    {FAST}
    generator: {{class_path: my_generator.MyGenerator}}
    discriminator: {{class_path: MLPDiscriminator, init_args: {{hidden: [16]}}}}
data: {{class_path: Digits, init_args: {{size: 8, batch_size: 8}}}}
trainer: {{max_steps: 4, accelerator: cpu}}
"""
MY_SUM = '''\
import torch
from torch import nn

from ganlab import GAN, losses


class MyGame(GAN):
    loss = losses.hinge

    def __init__(self, *, features: nn.Module, **base):
        super().__init__(**base)
        self.features = features


class MySum(nn.Module):
    """The sum of finished networks."""

    def __init__(self, *, parts: list[nn.Module], shape: tuple[int, ...]):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.shade = nn.Parameter(torch.zeros(shape))

    def forward(self, latent):
        return sum(part(latent) for part in self.parts) + self.shade
'''
STILL = "{class_path: SGD, init_args: {lr: 0.0}}"  # so that weights are those that a run began with
SECOND = f"""\
model:
  class_path: my_sum.MyGame
  init_args:
    features: {{class_path: Pretrained, init_args: {{path: first, part: discriminator}}}}
    latent_size: 4
    generator_optimizer: {STILL}
    discriminator_optimizer: {STILL}
    generator:
      class_path: my_sum.MySum
      init_args:
        parts:
        - {{class_path: Pretrained, init_args: {{path: first}}}}
        - {{class_path: Pretrained, init_args: {{path: first, part: raw, trainable: true}}}}
    discriminator:
      class_path: Pretrained
      init_args: {{path: first, part: discriminator, trainable: true}}
data: {{class_path: Digits, init_args: {{size: 8, batch_size: 8}}}}
trainer: {{max_steps: 2, accelerator: cpu}}
evaluation: {{extractor: Pixels, samples: 40}}
"""
# Of each part the name in the second game, and in the first.
TAKEN = {
    "generator.parts.0.network": "ema.network",
    "ema.network.parts.0.network": "ema.network",
    "generator.parts.1.network": "generator",
    "discriminator.network": "discriminator",
    "features.network": "discriminator",
}


class Trained(NamedTuple):
    """A run that took networks of another, which is gone with its own code, and what that other one had."""

    home: Path
    run: Path
    weights: dict[str, torch.Tensor]
    said: Answer


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    there, home = tmp_path_factory.mktemp("there"), tmp_path_factory.mktemp("home")
    write(there, MY_GENERATOR, "my_generator.py")
    train_run(there, FIRST).rename(home / "first")
    weights = checkpoint(home / "first", 4)["state_dict"]
    write(home, MY_SUM, "my_sum.py")
    write(home, SECOND, "second.yaml")
    said = here("fit", "--config", "second.yaml", folder=home)
    assert said.code == 0, said
    shutil.rmtree(home / "first")
    (run,) = run_folders(home)
    return Trained(home, run, weights, said)


def part_of(weights: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    start = f"{name}."
    return {key.removeprefix(start): value for key, value in weights.items() if key.startswith(start)}


def check_parts(weights: dict[str, torch.Tensor], first: dict[str, torch.Tensor]) -> None:
    for name, original in TAKEN.items():
        taken, expected = part_of(weights, name), part_of(first, original)
        assert taken.keys() == expected.keys() != set()
        for key, value in expected.items():
            assert torch.equal(taken[key], value), (name, key)
    assert not torch.equal(first["generator.layer.weight"], first["ema.network.layer.weight"])


def test_a_run_begins_with_the_parts_that_it_names(trained: Trained) -> None:
    check_parts(checkpoint(trained.run, 2)["state_dict"], trained.weights)
    for part in ("generator", "raw", "discriminator"):
        assert f"taking the {part} of first/checkpoints/step-000000004.ckpt (step 4)" in trained.said.err


def test_settings_and_checkpoint_hold_what_it_is_made_of_and_where_it_came_from(trained: Trained) -> None:
    settings = yaml.safe_load((trained.run / "config.yaml").read_text())["model"]["init_args"]
    for model in (settings, checkpoint(trained.run, 2)["hyper_parameters"]):
        average, _ = model["generator"]["init_args"]["parts"]
        assert average["class_path"] == PRETRAINED == public_path(Pretrained)
        assert average["init_args"]["path"] == "first"
        made_of = average["init_args"]["network"]
        assert made_of["class_path"] == "my_generator.MyGenerator"
        assert made_of["init_args"] == {"shape": [1, 8, 8], "latent_size": 4, "hides": False}


@pytest.mark.parametrize("how", ["auto", "its folder", "its folder and the experiment"])
def test_it_goes_on_without_the_first_run(how: str, trained: Trained, tmp_path: Path) -> None:
    home = shutil.copytree(trained.home, tmp_path / "home")
    (run,) = run_folders(home)
    options = {
        "auto": ("--config", "second.yaml", "--resume", "auto"),
        "its folder": ("--resume", str(run)),
        "its folder and the experiment": ("--config", "second.yaml", "--resume", str(run)),
    }[how]
    answer = here("fit", *options, "--trainer.max_steps", "3", folder=home)
    assert answer.code == 0, answer
    assert run_folders(home) == [run]
    check_parts(checkpoint(run, 3)["state_dict"], trained.weights)


@pytest.mark.parametrize("option", ["--rollback", "--init_from"])
def test_a_run_that_begins_with_another_ones_weights_reads_no_path(
    option: str, trained: Trained, tmp_path: Path
) -> None:
    home = shutil.copytree(trained.home, tmp_path / "home")
    (run,) = run_folders(home)
    options = ("--config", f"{run}/config.yaml", "--trainer.max_steps", "3")
    answer = here("fit", *options, option, run / "checkpoints" / "step-000000002.ckpt", folder=home)
    assert answer.code == 0, answer
    (new,) = {*run_folders(home)} - {run}
    check_parts(checkpoint(new, 3)["state_dict"], trained.weights)


def test_nothing_else_needs_the_first_run(trained: Trained, tmp_path: Path) -> None:
    home, run = trained.home, trained.run
    for command in (("sample", "--count", "4", "--out", tmp_path / "a.npz"), ("evaluate", "--samples", "40")):
        answer = here(command[0], run, *command[1:], folder=home)
        assert answer.code == 0, answer
    assert here("export", run, "--out", tmp_path / "out", folder=home).code == 0
    again = ("--count", "4", "--out", tmp_path / "b.npz", "--trust_code")
    assert here("sample", tmp_path / "out", *again, folder=run / "code").code == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_an_export_tells_no_path_of_this_machine(trained: Trained, tmp_path: Path) -> None:
    assert here("export", trained.run, "--out", tmp_path / "out", folder=trained.home).code == 0
    told = json.loads((tmp_path / "out" / "config.json").read_text())["generator"]["init_args"]["parts"]
    assert [part["init_args"].keys() for part in told] == [{"part", "trainable", "network"}] * 2


def test_its_group_is_that_of_the_experiment(trained: Trained) -> None:
    answer = here("compare", "runs", "--json", folder=trained.home)
    assert [group["name"] for group in json.loads(answer.out)["groups"]] == ["second"]


# What begins, and is refused


SIMPLE = """\
model:
  class_path: HingeGAN
  init_args:
    latent_size: 4
    generator: {class_path: Pretrained, init_args: {path: PATH, part: PART, trainable: true}}
    discriminator: {class_path: MLPDiscriminator, init_args: {hidden: [16]}}
data: {class_path: Gaussians, init_args: {batch_size: 8}}
trainer: {max_steps: 1, accelerator: cpu}
"""


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of ganlab's own networks, `first`, and its export, `exported`."""
    home = tmp_path_factory.mktemp("points")
    train_run(home, POINTS).rename(home / "first")
    assert here("export", "first", "--out", "exported", folder=home).code == 0
    shutil.rmtree(home / "runs")
    return home


def begin(home: Path, path: str | Path, part: str = "generator", *options: str) -> Answer:
    write(home, SIMPLE.replace("PATH", str(path)).replace("PART", part), "simple.yaml")
    return here("fit", "--config", "simple.yaml", *options, folder=home)


@pytest.mark.parametrize("path", ["first", "first/checkpoints/step-000000002.ckpt", "exported"])
def test_a_run_a_checkpoint_or_an_export_is_taken(path: str, points: Path, tmp_path: Path) -> None:
    home = shutil.copytree(points, tmp_path / "home")
    answer = begin(home, path)
    assert answer.code == 0, answer


@pytest.mark.parametrize(
    ("path", "part", "words"),
    [
        ("nowhere", "generator", "There is no nowhere"),
        ("runless", "generator", "runless holds neither checkpoints"),
        ("exported", "raw", "part raw: .*exported holds the generator's average alone"),
        ("exported", "discriminator", "part discriminator: .*exported holds no discriminator"),
    ],
)
def test_a_path_without_what_it_names_is_refused(path: str, part: str, words: str, points: Path) -> None:
    (points / "runless").mkdir(exist_ok=True)
    assert_refused(begin(points, path, part), points, words)


def assert_refused(answer: Answer, home: Path, words: str) -> None:
    assert re.search(words, refused(answer, home)), answer.err


def test_weights_that_do_not_fit_are_refused(points: Path) -> None:
    other = ("--model.generator.network", "MLPGenerator", "--model.generator.network.shape", "[2]")
    answer = begin(points, "first", "generator", *other, "--model.generator.network.latent_size", "4")
    assert_refused(answer, points, r"generator of first/.*does not fit(.|\n)*layers")


def test_latents_of_another_size_are_refused(points: Path) -> None:
    answer = begin(points, "first", "generator", "--model.latent_size", "6")
    assert_refused(answer, points, r"latent_size is 6, but the finished generator of first\n.*latent_size 4$")


def test_a_file_of_somebody_else_may_name_classes_of_ganlab_alone(trained: Trained, tmp_path: Path) -> None:
    """The run that is left holds classes of the user's own, and is his; a changed one is nobody's."""
    write(tmp_path, MY_SUM, "my_sum.py")
    foreign = shutil.copytree(trained.run, tmp_path / "foreign")
    with (foreign / "config.yaml").open("a") as file:
        file.write("# changed\n")
    answer = begin(tmp_path, "foreign")
    assert_refused(answer, tmp_path, "none of ganlab's classes(.|\n)*--trust_code")


def test_a_text_that_the_command_line_would_import_is_refused(points: Path, tmp_path: Path) -> None:
    """For whoever checks it, it is plain data; the command line reads YAML in it."""
    write(tmp_path, "open('ran', 'w')\n\n\nclass Net: ...\n", "my_evil.py")
    content: dict[str, Any] = checkpoint(points / "first", 2)
    hidden = {"class_path": "torch.nn.Identity", "init_args": {"x": "{class_path: my_evil.Net}"}}
    content["hyper_parameters"] |= {"generator": hidden, "latent_size": 2}
    content["state_dict"] = part_of({f".{key}": value for key, value in content["state_dict"].items()}, "")
    for name in [name for name in content["state_dict"] if name.startswith(("generator.", "ema."))]:
        del content["state_dict"][name]
    write_checksummed(tmp_path / "hostile.ckpt", content)
    assert_refused(begin(tmp_path, "hostile.ckpt"), tmp_path, "more than a text(.|\n)*--trust_code")
    assert not (tmp_path / "ran").exists()
