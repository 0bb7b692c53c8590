"""Who learns what: heads of the other side's network, trunks of both, and parameters that nobody knows."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.judgements import Judged
from ganlab.testing import Discriminator, assert_same, new, play, state
from ganlab.variants import R3GAN, HingeGAN


class Coded(nn.Module):
    """A critic whose trunk has another head, that guesses the latent."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.LeakyReLU(0.2))
        self.logit, self.code = nn.Linear(16, 1), nn.Linear(16, 8)

    def forward(self, images: torch.Tensor) -> Judged:
        features = self.trunk(images)
        return Judged(self.logit(features).squeeze(1), self.code(features))


class Informed(HingeGAN):
    """The generator's side learns the head, too."""

    def learns(self, side: Any) -> Mapping[str, nn.Parameter]:
        head = dict(self.discriminator.code.named_parameters(prefix="head"))
        if side == "generator":
            return {**super().learns(side), **head}
        own = super().learns(side)
        return {name: parameter for name, parameter in own.items() if not name.startswith("code")}

    def generator_terms(self, turn: Any) -> Any:
        return super().generator_terms(turn) | {"code": (turn.fake_heads - turn.latent).square().mean()}


def parts(game: GAN) -> dict[str, list[torch.Tensor]]:
    modules = {
        "generator": game.generator,
        "trunk": game.discriminator.trunk,
        "head": game.discriminator.code,
    }
    return {name: [p.detach().clone() for p in module.parameters()] for name, module in modules.items()}


def test_a_head_of_the_critic_is_moved_by_the_generators_turns_alone() -> None:
    game = new(Informed, discriminator=Coded, critic_steps=2)
    seen = []
    original = game._play_turn

    def watched(side: Any, *arguments: Any) -> Any:
        before = parts(game)
        logged = original(side, *arguments)
        after = parts(game)
        moved = {n for n in after if not all(map(torch.equal, before[n], after[n]))}
        seen.append((side.name, moved))
        return logged

    game._play_turn = watched  # type: ignore[method-assign,assignment]
    trainer = play(game, steps=2, log_every_n_steps=1)
    turns = [("discriminator", {"trunk"}), ("discriminator", {"trunk"}), ("generator", {"generator", "head"})]
    assert seen == turns * 2
    assert {"code", "fake_logit"} <= trainer.callback_metrics.keys()
    sizes = [len(optimizer.param_groups[0]["params"]) for optimizer in trainer.optimizers]
    assert sizes == [4, 6 + 2]


def test_a_trunk_of_both_sides_has_a_state_in_each_optimizer() -> None:
    class Shared(Informed):
        def learns(self, side: Any) -> Mapping[str, nn.Parameter]:
            trunk = dict(self.discriminator.trunk.named_parameters(prefix="trunk"))
            return {**super().learns(side), **trunk}

    game = new(Shared, discriminator=Coded)
    trainer = play(game, steps=3)
    trunk = {id(parameter) for parameter in game.discriminator.trunk.parameters()}
    for optimizer in trainer.optimizers:
        known = {id(parameter) for parameter in optimizer.param_groups[0]["params"]}
        assert trunk <= known
        assert all(id(p) in known and float(optimizer.state[p]["step"]) == 3 for p in optimizer.state)
        assert len(optimizer.state) == len(known)


def test_clipping_and_norms_take_what_a_side_learns() -> None:
    # Beside a frozen generator only the head has a gradient, so that its norm is the side's.
    game = new(Informed, discriminator=Coded, generator_clip=1e-4, generator_optimizer=descent)
    before = parts(game)["head"]
    play(game, steps=1)
    moved = [after - old for after, old in zip(parts(game)["head"], before, strict=True)]
    norm = torch.stack([each.square().sum() for each in moved]).sum().sqrt()
    assert 0 < float(norm) <= 1e-4


def descent(parameters: Any) -> Any:
    return torch.optim.SGD(parameters, lr=1.0)


def test_a_parameter_that_nobody_learns_is_refused() -> None:
    class Forgetful(HingeGAN):
        def __init__(self, **base: Any) -> None:
            super().__init__(**base)
            self.scale = nn.Parameter(torch.ones(()))

    with pytest.raises(Refused, match=r"No side of Forgetful learns 'scale'[\s\S]*requires_grad_\(False\)"):
        play(new(Forgetful), steps=1)
    frozen = new(Forgetful)
    frozen.scale.requires_grad_(False)
    assert play(frozen, steps=1).global_step == 1


def test_a_parameter_of_elsewhere_is_refused() -> None:
    class Strange(HingeGAN):
        def learns(self, side: Any) -> Mapping[str, nn.Parameter]:
            return {**super().learns(side), "stranger": nn.Parameter(torch.ones(()))}

    class OfTheAverage(HingeGAN):
        def learns(self, side: Any) -> Mapping[str, nn.Parameter]:
            return {**super().learns(side), "mean": next(self.ema.parameters())}

    for variant in (Strange, OfTheAverage):
        with pytest.raises(Refused, match=r"no parameter of this game"):
            play(new(variant), steps=1)


def test_what_is_frozen_by_hand_stays_frozen() -> None:
    game = new(HingeGAN)
    first = game.discriminator[0]
    first.requires_grad_(False)
    before = first.weight.clone()
    play(game, steps=3)
    assert torch.equal(before, first.weight)
    assert not first.weight.requires_grad


class Encoding(nn.Module):
    """A generator of pictures of latents, with an encoder of pictures that the game ties to the critic's."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(64, 8)
        self.decoder = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return self.decoder(latent)


class Judging(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.logit = nn.Linear(64, 8), nn.Linear(8, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logit(self.encoder(images.flatten(1))).squeeze(1)


class Tied(HingeGAN):
    def tie(self) -> None:
        self.generator.encoder = self.discriminator.encoder


def test_players_may_share_parameters() -> None:
    game = new(Tied, generator=Encoding, discriminator=Judging)
    assert game.generator.encoder is game.discriminator.encoder
    start = game.ema.network.encoder.weight.clone()
    assert torch.equal(start, game.discriminator.encoder.weight)
    trainer = play(game, steps=4)
    assert not torch.equal(game.discriminator.encoder.weight, start)
    assert not torch.equal(game.ema.network.encoder.weight, start), "the average follows what both share"
    again = new(Tied, generator=Encoding, discriminator=Judging)
    assert_same(state(game, trainer), state(again, play(again, steps=4)), what="the same game")


def test_critics_that_judge_alike_are_one_critic() -> None:
    """A list of two critics of equal weights has the terms of one of them, its penalties included."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            first = Discriminator()
            second = Discriminator()
            second.load_state_dict(first.state_dict())
            self.critics = nn.ModuleList([first, second]).eval()

        def train(self, mode: bool = True) -> "Both":
            return super().train(False)  # without dropout, which would differ

        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            return [critic(images) for critic in self.critics]

    class One(Both):
        def forward(self, images: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            return self.critics[0](images)

    still = partial(torch.optim.SGD, lr=0.0)
    one, both = (new(R3GAN, discriminator=kind, discriminator_optimizer=still) for kind in (One, Both))
    terms = [play(game, steps=1, log_every_n_steps=1, precision="64-true") for game in (one, both)]
    for name in ("discriminator", "r1", "r2", "generator", "real_logit", "fake_logit"):
        first, second = (float(trainer.callback_metrics[name]) for trainer in terms)
        assert first == pytest.approx(second, rel=1e-6), name


@pytest.mark.parametrize("returned", [None, list], ids=["nothing", "a list"])
def test_parameters_without_names_are_refused(returned: Any) -> None:
    class Nameless(HingeGAN):
        def learns(self, side: Any) -> Any:
            return returned and returned(super().learns(side).values())

    with pytest.raises(Refused, match=r"Nameless\.learns\('discriminator'\) returned"):
        play(new(Nameless), steps=1)
