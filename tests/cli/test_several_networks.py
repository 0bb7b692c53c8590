"""Players of several networks by the command line: in YAML alone, repeated, rebuilt, scored, exported."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from command_line import checkpoint, here, refused, run_folders, weights, write
from trained_runs import export_run, import_for_test, train_run

import ganlab
from ganlab.errors import Refused
from ganlab.networks import DCGANDiscriminator, MLPDiscriminator, MultiScale, Several
from ganlab.testing import assert_same

pytestmark = pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")

CRITICS = """\
model:
  class_path: R3GAN
  init_args:
    conditional: true
    latent_size: 4
    generator: {class_path: MLPGenerator, init_args: {hidden: [16]}}
    discriminator:
      class_path: Several
      init_args:
        copies: 2
        networks:
        - {class_path: ganlab.networks.mlp.MLPDiscriminator, init_args: {hidden: [8]}}
        - class_path: MultiScale
          init_args: {networks: {class_path: DCGANDiscriminator, init_args: {width: 4}}, scales: [1]}
data: {class_path: Digits, init_args: {size: 8, batch_size: 8}}
trainer: {max_steps: 3, accelerator: cpu, log_every_n_steps: 1}
samples: {every_n_steps: 3, count: 4}
evaluation: {extractor: Pixels, samples: 40}
"""
TWO_SCALES = CRITICS.replace("size: 8, batch", "size: 16, batch").replace("scales: [1]", "scales: [1, 2]")

MY_CRITIC = """\
from torch import nn


class MyCritic(nn.Sequential):
    '''Takes a width first, and is told what the data hold.'''

    def __init__(self, *, width: int, classes: int, shape: tuple[int, ...]):
        size = shape[0] * shape[1] * shape[2]
        super().__init__(nn.Flatten(), nn.Linear(size, width), nn.ReLU(), nn.Linear(width, 1), nn.Flatten(0))
        self.classes = classes
"""
MY_PAIR = """\
import torch

from ganlab import GAN, losses


class Pair(GAN):
    '''Two generators, there and back; samples are of the first.'''

    loss = losses.hinge

    def fake(self, generator, latent, condition):
        return generator["there"](latent)

    def generator_terms(self, turn):
        back = self.generator["back"](turn.latent)
        return {**super().generator_terms(turn), "back": (turn.fake - back).abs().mean()}
"""
PAIR = """\
model:
  class_path: my_pair.Pair
  init_args:
    latent_size: 4
    ema_ramp: null
    generator:
      class_path: Several
      init_args:
        networks:
          there: {class_path: DCGANGenerator, init_args: {width: 4}}
          back: {class_path: MLPGenerator, init_args: {hidden: [8]}}
    discriminator: {class_path: MLPDiscriminator, init_args: {hidden: [16]}}
data: {class_path: Digits, init_args: {size: 8, batch_size: 8}}
trainer: {max_steps: 3, accelerator: cpu}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_run(tmp_path_factory.mktemp("critics"), CRITICS)


def test_each_network_is_told_the_facts_of_the_data(run: Path) -> None:
    critics: Any = ganlab.load(run).discriminator
    assert isinstance(critics, Several)
    assert [type(critic) for critic in critics] == [MLPDiscriminator] * 2 + [MultiScale] * 2
    first, _, scales, _ = critics
    assert first.shape == scales[0].shape == (1, 8, 8)
    assert first.conditioning.embedding.num_embeddings == 10
    assert isinstance(scales[0], DCGANDiscriminator)


def test_its_configuration_repeats_the_run(run: Path, tmp_path: Path) -> None:
    answer = here("fit", "--config", run / "config.yaml", "--runs", tmp_path / "runs", folder=tmp_path)
    assert answer.code == 0, answer
    (again,) = run_folders(tmp_path)
    assert_same(weights(run, 3), weights(again, 3), what="the repeated run")
    one, other = (checkpoint(each, 3)["hyper_parameters"] for each in (run, again))
    assert one == other


def test_a_stopped_run_goes_on(run: Path, tmp_path: Path) -> None:
    stopped = train_run(tmp_path, CRITICS, "--trainer.max_steps", "2")
    answer = here("fit", "--config", "small.yaml", "--resume", stopped, folder=tmp_path)
    assert answer.code == 0, answer
    assert_same(weights(run, 3), weights(stopped, 3), what="the resumed run")


def test_its_files_name_public_paths(run: Path) -> None:
    for text in ((run / "config.yaml").read_text(), yaml.safe_dump(checkpoint(run, 3)["hyper_parameters"])):
        assert "ganlab.networks.MLPDiscriminator" in text
        assert "networks.mlp" not in text


def test_it_is_sampled_scored_and_exported(run: Path, tmp_path: Path) -> None:
    answer = here("evaluate", run, "--samples", "40", "--json", folder=tmp_path)
    assert answer.code == 0, answer
    export = export_run(run, tmp_path / "export", "--onnx")
    drawn = []
    for source in (run, export):
        assert here("sample", source, "--out", "x.npz", "--count", "5", folder=tmp_path).code == 0
        with np.load(tmp_path / "x.npz") as file:
            drawn.append(file["images"])
    assert np.array_equal(*drawn)


def test_pictures_are_judged_at_two_scales(tmp_path: Path) -> None:
    critics: Any = ganlab.load(train_run(tmp_path, TWO_SCALES)).discriminator
    assert [critic.shape for critic in critics[2]] == [(1, 16, 16), (1, 8, 8)]


def test_a_critic_of_ones_own_among_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder from elsewhere names it, and is refused unless its reader passes the class or trusts it."""
    (tmp_path / "my_critic.py").write_text(MY_CRITIC)
    own = "{class_path: my_critic.MyCritic, init_args: {width: 3}}"
    mine = CRITICS.replace("conditional: true", "conditional: false")
    mine = mine.replace("{class_path: DCGANDiscriminator, init_args: {width: 4}}", own)
    run = train_run(tmp_path, mine)
    file = run / "checkpoints" / "step-000000003.ckpt"
    elsewhere = tmp_path / "elsewhere.ckpt"
    elsewhere.write_bytes(file.read_bytes())
    with pytest.raises(Refused, match=r"my_critic\.MyCritic(.|\n)*classes=\[MyCritic\]"):
        ganlab.load(elsewhere)
    monkeypatch.syspath_prepend(str(tmp_path))
    kind = import_for_test(monkeypatch, "my_critic").MyCritic
    for game in (ganlab.load(elsewhere, classes=[kind]), ganlab.load(elsewhere, trust_code=True)):
        discriminator: Any = game.discriminator
        assert discriminator[2][0].classes == 10
        assert_same(dict(game.state_dict()), weights(run, 3), what="the loaded game")


def test_a_generator_that_is_two_networks_is_rebuilt_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_pair.py").write_text(MY_PAIR)
    run = train_run(tmp_path, PAIR)
    export = export_run(run, tmp_path / "export", "--trust_code")
    config = json.loads((export / "config.json").read_text())["generator"]["init_args"]
    assert config["networks"]["there"]["class_path"] == "ganlab.networks.DCGANGenerator"
    assert (config["shape"], config["latent_size"]) == ([1, 8, 8], 4)
    monkeypatch.syspath_prepend(str(tmp_path))
    kind = import_for_test(monkeypatch, "my_pair").Pair
    games = [ganlab.load(source, classes=[kind]) for source in (run, export)]
    one, other = (game.sample(5, seed=0) for game in games)
    assert torch.equal(one, other)
    assert not torch.equal(one, games[0].sample(5, seed=0, raw=True))


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("networks", "[]", "networks is empty"),
        ("networks", "[{class_path: MLPDiscriminatr}]", "Nearest: MLPDiscriminator"),
        ("networks", "[{class_path: MLPDiscriminator, init_args: {hiden: [3]}}]", "Nearest: hidden"),
        ("networks", "[{class_path: MLPDiscriminator, init_args: {shape: [1, 8, 8]}}]", "told its shape"),
        ("networks", "[{class_path: MLPDiscriminator, init_args: {hidden: 3}}]", "networks.hidden"),
        ("networks", "[{class_path: torch.optim.Adam}]", "Adam"),
        ("networks", "[{class_path: torch.nn.Identity}]", "Identity takes images and no condition"),
        ("copies", "0", "copies is 0"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(
    option: str, value: str, words: str, tmp_path: Path
) -> None:
    write(tmp_path, CRITICS)
    answer = here("fit", "--config", "small.yaml", f"--model.discriminator.{option}", value, folder=tmp_path)
    assert words in refused(answer, tmp_path)


def test_generators_of_which_none_is_chosen_are_refused(tmp_path: Path) -> None:
    write(tmp_path, CRITICS)
    several = ["--model.generator=Several", "--model.generator.networks=[MLPGenerator, MLPGenerator]"]
    answer = here("fit", "--config", "small.yaml", "--model", "HingeGAN", *several, folder=tmp_path)
    assert "HingeGAN.fake returned a list" in refused(answer, tmp_path)
