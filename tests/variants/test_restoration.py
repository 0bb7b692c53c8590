"""Pictures from what is left of them: what the generator pays for, and what a turn makes of a batch."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganlab.data import Digits, Downscaled
from ganlab.data.degradations import Downscaling
from ganlab.errors import Refused
from ganlab.fidelity import L1, L2, Features
from ganlab.game.stages import Stage
from ganlab.losses import Hinge
from ganlab.media import PicturesWithHoles
from ganlab.networks import MLPDiscriminator, PatchGANDiscriminator, Pretrained, UNetGenerator
from ganlab.sampling.sources import read_sources
from ganlab.testing import SHAPE, new, play
from ganlab.testing.games import HOLED, SpecksWithHoles
from ganlab.variants import Restoration


class Enlarged(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, latent: Tensor, source: Tensor) -> Tensor:
        return source.repeat_interleave(2, 2).repeat_interleave(2, 3) + self.shift


class Watching(Restoration):
    def generator_terms(self, turn: Any) -> dict[str, Tensor]:
        terms = super().generator_terms(turn)
        self.seen = [*vars(self).get("seen", []), (turn, terms)]
        return terms


def features(**more: Any) -> Features:
    torch.manual_seed(0)
    return Features(**{"network": MLPDiscriminator(shape=SHAPE, hidden=(4, 4)), **more})


def test_its_generator_pays_for_its_logits_and_for_each_fidelity_by_weight() -> None:
    terms_of = [L1(7.0), L2(3.0), features(weight=0.5)]
    data = Downscaled(of=Digits(size=8), scale=2, batch_size=8)
    game = new(
        Watching, generator=Enlarged, fidelity=terms_of, adversarial_weight=0.1, loss=None, latent_size=0
    )
    play(game, data, steps=1, precision="64-true")
    ((turn, terms),) = game.seen
    difference = turn.fake - turn.real
    assert list(terms) == ["generator", "l1", "l2", "features"]
    assert float(terms["generator"]) == pytest.approx(0.1 * float(softplus(-turn.fake_logits).mean()))
    assert float(terms["l1"]) == pytest.approx(7 * float(difference.abs().mean()))
    assert float(terms["l2"]) == pytest.approx(3 * float(difference.square().mean()))
    assert float(terms["features"]) > 0


def test_a_turn_restores_pictures_as_they_were_mirrored_and_each_turn_anew() -> None:
    data = Downscaled(of=Digits(size=8, flip=True), scale=2, batch_size=16)
    plain = Downscaled(of=Digits(size=8), scale=2, batch_size=16)
    reals = []
    for each in (data, plain):
        game = new(Watching, generator=Enlarged, latent_size=0)
        play(game, each, steps=1)
        turn, _ = game.seen[0]
        left = Downscaling(SHAPE, 2, "bicubic").degraded(turn.real, turn.draws)
        assert (turn.condition - left.clamp(-1, 1)).abs().max() <= 1 / 255 + 1e-5
        reals.append(turn.real)
    mirrored = (reals[0] != reals[1]).flatten(1).any(1)
    assert 2 < int(mirrored.sum()) < 14
    assert torch.equal(reals[0][mirrored], reals[1][mirrored].flip(-1))
    game = new(Watching)
    play(game, SpecksWithHoles(images=8), steps=2)
    holes = [turn.condition[:, -1].sort(0).values for turn, _ in game.seen]
    assert not torch.equal(*holes), "the same pictures have other holes in the next turn"


def test_a_stage_of_the_generator_alone_trains_by_fidelity() -> None:
    game = new(Watching, stages=[Stage(2, "generator")])
    play(game, steps=3)
    assert [list(terms) for _, terms in game.seen][-3:] == [["l1"], ["l1"], ["generator", "l1"]]


def test_a_critic_is_told_what_is_left_if_the_game_says_so() -> None:
    critic = PatchGANDiscriminator(**HOLED, layers=1)
    game = new(Watching, discriminator=critic, tells=["generator", "discriminator"], loss=Hinge())
    play(game, steps=1)
    assert isinstance(game.loss, Hinge)
    assert game.seen[0][0].fake_logits.ndim == 3


def test_a_users_picture_with_a_transparent_hole_is_a_source(tmp_path: Path) -> None:
    image = Image.new("LA", (16, 16), (200, 255))
    image.paste((0, 0), (4, 4, 10, 10))
    image.save(tmp_path / "torn.png")
    medium = PicturesWithHoles((SHAPE[0] + 1, *SHAPE[1:]))
    sources = read_sources(tmp_path / "torn.png", medium)
    known = medium.played(sources.items)[0, 1] > 0
    assert not known[2:5, 2:5].any()
    assert known.sum() == 64 - 9
    game = new(Restoration, latent_size=0, generator=partial(UNetGenerator, **HOLED))
    game.meet(SpecksWithHoles())
    assert game.sample(1, seed=0, given=sources.items).shape == (1, *SHAPE)


def test_features_stand_still_and_are_those_of_the_named_layers() -> None:
    whole, some = features(network=Pretrained(network=features().network)), features(layers=["features.0"])
    made, real = torch.randn(3, *SHAPE, requires_grad=True), torch.randn(3, *SHAPE)
    first = some.network.features[0]
    flat = [first(side.flatten(1)) for side in (made, real)]
    assert float(some(made, real)) == pytest.approx(float((flat[0] - flat[1]).abs().mean()))
    squared = features(layers=["features.0"], squared=True)(made, real)
    assert float(squared) == pytest.approx(float((flat[0] - flat[1]).square().mean()))
    whole(made, real).backward()
    assert made.grad is not None
    assert not any(p.requires_grad for p in whole.parameters())
    assert not any(layer.training for layer in whole.train().modules())
    game = new(Restoration, fidelity=[features()])
    assert any(name.startswith("fidelity.0.network") for name in game.state_dict())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: new(Restoration, fidelity=[]), "the terms none"),
        (lambda: new(Restoration, fidelity=[L1(), L1()]), "l1, l1"),
        (lambda: new(Restoration, conditional=False), "would be told"),
        (lambda: new(Restoration, tells=["discriminator"]), "keep generator in tells"),
        (lambda: new(Restoration, adversarial_weight=-1.0), "adversarial_weight is -1"),
        (lambda: L1(-1.0), "weight is -1"),
        (lambda: features(layers=["maps.7"]), "no layer 'maps.7'"),
    ],
)
def test_what_cannot_work_is_refused(make: Any, words: str) -> None:
    with pytest.raises(Refused, match=words) as refusal:
        make()
    assert len(str(refusal.value).splitlines()) <= 3
