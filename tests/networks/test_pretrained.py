"""A finished network as a part of a new game: it stands still, or learns further."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

import ganlab
from ganlab.errors import Refused
from ganlab.game.checks import networks_of_conditions
from ganlab.game.ema import Average
from ganlab.game.gan import GAN
from ganlab.networks import MLPDiscriminator, MLPGenerator, Pretrained
from ganlab.testing import new
from ganlab.variants import HingeGAN


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_a_fixed_network_is_the_same_after_others_have_learnt_through_it() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), Pretrained(network=network()))
    model.train()
    before = state(model[1])
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(torch.randn(5, 2)).square().mean().backward()
    first = model[0].weight.clone()
    optimizer.step()
    assert not torch.equal(model[0].weight, first)
    for name, value in model[1].state_dict().items():
        assert torch.equal(value, before[name]), name  # Statistics of batches included.


def test_a_trainable_network_learns_as_a_whole_though_it_was_an_average() -> None:
    average = Average(network())
    part = Pretrained(network=average.network, trainable=True)
    assert part.train().network[1].training
    part(torch.randn(5, 3)).square().mean().backward()
    assert all(p.grad is not None for p in part.parameters())
    assert part.network[1].num_batches_tracked == 1


def test_what_stands_still_within_a_network_that_learns_stays_so() -> None:
    whole = Pretrained(network=nn.Sequential(network(), Pretrained(network=network())), trainable=True)
    learnt, fixed = whole.train().network
    assert all(p.requires_grad for p in learnt.parameters())
    assert not any(p.requires_grad for p in fixed.parameters())
    assert learnt.training
    assert not fixed.network.training
    still = Pretrained(network=Pretrained(network=network(), trainable=True)).train()
    assert not any(p.requires_grad for p in still.parameters())
    assert not any(module.training for module in still.modules())


def test_what_it_is_given_is_copied() -> None:
    given = network()
    parts = Pretrained(network=given), Pretrained(network=given, trainable=True)
    with torch.no_grad():
        for parameter in parts[1].parameters():
            parameter.zero_()
    assert given.training
    assert all(p.requires_grad for p in given.parameters())
    assert torch.equal(parts[0].network[0].weight, given[0].weight)
    assert given[0].weight.count_nonzero()


def test_it_passes_on_what_it_is_given() -> None:
    inner = MLPDiscriminator(shape=(1, 8, 8), condition=ganlab.media.Labels(10))
    images, labels = torch.randn(2, 1, 8, 8), torch.tensor([3, 7])
    part = Pretrained(network=inner)
    assert torch.equal(part(images, labels), inner(images, labels))
    assert torch.equal(part(images, condition=labels), inner(images, labels))


def test_a_game_keeps_its_weights_under_their_own_names() -> None:
    shape = (1, 8, 8)
    players = MLPGenerator(shape=shape), MLPDiscriminator(shape=shape)
    game = HingeGAN(generator=Pretrained(network=players[0]), discriminator=players[1])
    kept = {
        name.removeprefix("generator.network.") for name in game.generator.state_dict(prefix="generator.")
    }
    assert kept == set(players[0].state_dict())


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_conditional_game_refuses_a_finished_network_that_takes_no_condition(player: str) -> None:
    class Told(nn.Identity):
        def forward(self, inputs: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
            return super().forward(inputs)

    makers: dict[str, type[nn.Module]] = {"generator": Told, "discriminator": Told, player: nn.Identity}
    game = new(HingeGAN, conditional=True, **{name: finished(kind) for name, kind in makers.items()})
    with pytest.raises(Refused, match=r"Identity takes .* and no condition, but the game is conditional"):
        networks_of_conditions(game, GAN)
    told = new(HingeGAN, conditional=True, generator=finished(Told), discriminator=finished(Told))
    networks_of_conditions(told, GAN)


def finished(kind: type[nn.Module]) -> Callable[[], nn.Module]:
    return lambda: Pretrained(network=Pretrained(network=kind()))


def test_without_a_network_it_says_what_to_do() -> None:
    for arguments in ({}, {"path": "runs/somewhere"}):
        with pytest.raises(Refused, match=r"path: a run's folder(.|\n)*network=ganlab\.load") as refusal:
            Pretrained(**arguments)
        assert len(str(refusal.value).splitlines()) <= 3
