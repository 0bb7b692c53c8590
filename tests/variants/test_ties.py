"""Players that share a part: an encoder that the critic alone trains, and a trunk that both sides train."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np
import pytest
import torch
from command_line import here, run_folders
from torch import Tensor, nn
from trained_runs import import_for_test

import ganlab
from ganlab.game.gan import GAN
from ganlab.testing import SpeckPairs, assert_same, conformance, new, play, state
from ganlab.variants import HingeGAN

FILES = Path(__file__).resolve().parents[1] / "user_files"


class Encoder(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 4, 3, 2, 1), nn.LeakyReLU(0.2))


class Translator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = nn.Sequential(nn.ConvTranspose2d(4, 1, 4, 2, 1), nn.Tanh())

    def forward(self, latent: Tensor, source: Tensor) -> Tensor:
        return self.decoder(self.encoder(source))


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.logits = nn.Conv2d(8, 1, 3, 1, 1)

    def forward(self, images: Tensor, source: Tensor) -> Tensor:
        return self.logits(torch.cat([self.encoder(images), self.encoder(source)], 1))


class BothLearnTheEncoder(HingeGAN):
    """Both sides learn the encoder."""

    def tie(self) -> None:
        self.generator.encoder = self.discriminator.encoder


class CriticsEncoder(BothLearnTheEncoder):
    """The critic's side alone learns it: Chen et al. 2020, arXiv:2003.00273, section 3.2."""

    def learns(self, side: Any) -> Mapping[str, nn.Parameter]:
        own = super().learns(side)
        return {n: p for n, p in own.items() if side == "discriminator" or not n.startswith("encoder.")}


TIED: dict[str, Any] = {
    "conditional": True,
    "latent_size": 0,
    "generator": Translator,
    "discriminator": Critic,
}
tied = partial(new, **TIED)
test_a_critics_encoder_conforms = conformance(CriticsEncoder, SpeckPairs, **TIED)
test_a_shared_trunk_conforms = conformance(BothLearnTheEncoder, SpeckPairs, **TIED)


@pytest.mark.parametrize(
    ("variant", "by"),
    [(CriticsEncoder, {"discriminator"}), (BothLearnTheEncoder, {"discriminator", "generator"})],
    ids=["of the critic", "of both"],
)
def test_the_encoder_is_moved_by_those_who_learn_it(variant: type[GAN], by: set[str]) -> None:
    game = tied(variant)
    original, movers = game._play_turn, set()

    def watched(side: Any, *arguments: Any) -> Any:
        before = state(game)["discriminator.encoder.0.weight"]
        logged = original(side, *arguments)
        if not torch.equal(before, game.discriminator.encoder[0].weight):
            movers.add(side.name)
        return logged

    game._play_turn = watched  # type: ignore[method-assign,assignment]
    trainer = play(game, SpeckPairs(), steps=3)
    assert movers == by
    weight = game.discriminator.encoder[0].weight
    with_state = {
        side.name
        for side, optimizer in zip(game._sides, trainer.optimizers, strict=True)
        if weight in optimizer.state
    }
    assert with_state == by


@pytest.mark.parametrize("variant", [CriticsEncoder, BothLearnTheEncoder])
def test_the_average_follows_the_encoder_and_is_not_tied_to_it(variant: type[GAN]) -> None:
    game = tied(variant, ema_half_life=0.0)
    play(game, SpeckPairs(), steps=3)
    average = game.ema.network
    assert average.encoder is not game.generator.encoder
    assert_same(average.state_dict(), game.generator.state_dict(), what="an average of the last step alone")
    kept = tied(variant, ema_half_life=1e9, ema_ramp=None)
    before = {name: tensor.clone() for name, tensor in kept.ema.state_dict().items()}
    play(kept, SpeckPairs(), steps=3)
    for name, tensor in kept.ema.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=1e-4, atol=1e-6)


SHARED_TRUNK = """\
from ganlab import GAN
from my_shared_encoder import SharedEncoder


class BothLearnTheEncoder(SharedEncoder):
    def learns(self, side):
        return GAN.learns(self, side)
"""


def test_a_run_with_a_shared_trunk_is_resumed_loaded_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in FILES.glob("my_shared_encoder.*"):
        copy(path, tmp_path)
    (tmp_path / "my_trunk.py").write_text(SHARED_TRUNK)
    config = (tmp_path / "my_shared_encoder.yaml").read_text()
    (tmp_path / "trunk.yaml").write_text(config.replace("my_shared_encoder.Shared", "my_trunk.Shared"))
    config = (tmp_path / "trunk.yaml").read_text().replace("SharedEncoder", "BothLearnTheEncoder")
    (tmp_path / "trunk.yaml").write_text(config)
    fit = ("fit", "--config", "trunk.yaml", "--trainer.accelerator", "cpu", "--trainer.max_steps")
    answer = here(*fit, "3", folder=tmp_path)
    assert answer.code == 0, answer
    assert here(*fit, "6", "--resume", "auto", folder=tmp_path).code == 0
    (run,) = run_folders(tmp_path)
    assert here("export", run, "--out", "mine", "--with_sources", folder=tmp_path).code == 0
    monkeypatch.syspath_prepend(str(tmp_path))
    _, user = (import_for_test(monkeypatch, name) for name in ("my_shared_encoder", "my_trunk"))
    game, exported = ganlab.load(run, trust_code=True), ganlab.load(tmp_path / "mine", trust_code=True)
    assert type(game) is user.BothLearnTheEncoder
    assert game.generator.encoder is game.discriminator.encoder
    data = ganlab.data.Digits(size=8)
    game.meet(data)
    given = data.splits.train[torch.arange(5)][0]
    made = [each.sample(5, seed=0, given=given).numpy() for each in (game, exported)]
    assert np.array_equal(*made)
