"""Of several networks as one: what each is told and given, what comes back, and what is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import nn

from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.media import Labels, Pictures
from ganlab.networks import (
    DCGANDiscriminator,
    MLPDiscriminator,
    MLPGenerator,
    MultiScale,
    PatchGANDiscriminator,
    Pretrained,
    Several,
)
from ganlab.testing import new, play
from ganlab.variants import R3GAN, HingeGAN

SHAPE = (1, 8, 8)
MLP = partial(MLPDiscriminator, hidden=(8,))
MAPS = partial(DCGANDiscriminator, width=4)


class Told(nn.Module):
    """Keeps what it is told and what it is given."""

    def __init__(
        self,
        *,
        shape: Any = None,
        classes: Any = None,
        condition: Any = None,
        latent_size: Any = None,
        other: int = 0,
    ) -> None:
        super().__init__()
        self.told = {"shape": shape, "classes": classes, "condition": condition, "latent_size": latent_size}
        self.other, self.weight = other, nn.Parameter(torch.randn(2))

    def forward(self, inputs: Any, condition: Any = None) -> Any:
        return inputs, condition


class OfShape(Told):
    """Passes what it does not name on to its parent."""

    def __init__(self, *, shape: Any, **more: Any) -> None:
        super().__init__(shape=shape, **more)


class Alone(nn.Module):
    """Takes no fact and no condition."""

    def forward(self, inputs: Any) -> Any:
        return inputs


def built_of_yaml(network: dict[str, Any]) -> Any:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(nn.Module, "network")
    return parser.instantiate(parser.parse_object({"network": network})).network


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


FACTS: dict[str, Any] = {"shape": SHAPE, "classes": 3, "condition": Labels(3), "latent_size": 5}


class TestFacts:
    @pytest.mark.parametrize("kind", [Told, OfShape], ids=lambda kind: kind.__name__)
    def test_each_network_is_told_those_that_it_takes(self, kind: type[nn.Module]) -> None:
        several = Several(networks=[kind, partial(kind, other=2), partial(partial(kind), other=3)], **FACTS)
        assert [network.told for network in several] == [FACTS] * 3
        assert [network.other for network in several] == [0, 2, 3]

    def test_a_function_makes_one_too(self) -> None:
        def make(shape: Any) -> nn.Module:
            return Told(shape=shape)

        assert Several(networks=[make], **FACTS)[0].told["shape"] == SHAPE

    def test_one_that_takes_none_is_told_nothing(self) -> None:
        assert type(Several(networks=[Alone], **FACTS)[0]) is Alone

    def test_what_a_network_was_given_stands_but_the_size_of_latents_is_the_games(self) -> None:
        own = {"shape": (2,), "classes": 7, "condition": Labels(7), "latent_size": 9}
        (network,) = Several(networks=[partial(Told, **own)], **FACTS)
        assert network.told == own | {"latent_size": 5}
        (network,) = Several(networks=[partial(Told, **own)])
        assert network.told == own
        (network,) = Several(networks=[partial(Told, shape=None)], **FACTS)
        assert network.told == FACTS

    def test_several_within_several_tell_theirs(self) -> None:
        inner = partial(Several, networks={"a": Told, "b": Alone})
        several = Several(networks=[inner, Told], **FACTS)
        assert several[0]["a"].told == several[1].told == FACTS

    def test_a_configuration_tells_them_alike(self) -> None:
        settings = {"class_path": "MLPDiscriminator", "init_args": {"hidden": [8]}}
        facts = {"shape": [*SHAPE], "condition": FACTS["condition"].plain()}
        network = {"class_path": "Several", "init_args": {"networks": [settings], "copies": 2, **facts}}
        one = built_of_yaml(network)
        torch.manual_seed(0)
        parser_free = Several(networks=[MLP], copies=2, shape=SHAPE, condition=Labels(3))
        assert str(one) == str(parser_free)


def test_it_holds_its_networks_as_torchs_lists_and_mappings_do() -> None:
    by_number = Several(networks=[MLP, MAPS], copies=2, shape=SHAPE)
    kinds = [MLPDiscriminator, MLPDiscriminator, DCGANDiscriminator, DCGANDiscriminator]
    assert [type(network) for network in by_number] == kinds
    assert (len(by_number), by_number[2]) == (4, [*by_number][2])
    by_name = Several(networks={"ab": MLP, "ba": MAPS}, shape=SHAPE)
    assert ([*by_name], len(by_name)) == (["ab", "ba"], 2)
    assert isinstance(by_name["ba"], DCGANDiscriminator)
    assert [name.split(".")[1] for name, _ in by_name.named_parameters()] == ["ab"] * 4 + ["ba"] * 4
    assert by_number.shape == by_name.shape == SHAPE


def test_copies_have_weights_of_their_own() -> None:
    one, other = Several(networks=[MLP], copies=2, shape=SHAPE)
    assert not torch.equal(one.logit.weight, other.logit.weight)
    assert one.logit.weight.data_ptr() != other.logit.weight.data_ptr()


class TestForward:
    def test_all_are_given_the_same(self) -> None:
        assert Several(networks=[Told, Told])("x", "c") == [("x", "c"), ("x", "c")]
        assert Several(networks={"a": Told, "b": Alone})("x") == {"a": ("x", None), "b": "x"}

    def test_each_is_given_its_own_of_inputs_by_the_networks_names(self) -> None:
        several = Several(networks={"a": Told, "b": Told})
        own = {"b": 2, "a": 1}
        assert several(own) == {"a": (1, None), "b": (2, None)}
        assert several(own, {"a": "c", "b": None}) == {"a": (1, "c"), "b": (2, None)}
        assert several("x", {"a": "c", "b": "d"}) == {"a": ("x", "c"), "b": ("x", "d")}

    @pytest.mark.parametrize("inputs", [{"a": 1}, {"a": 1, "b": 2, "c": 3}], ids=["fewer", "more"])
    def test_other_mappings_are_given_whole(self, inputs: dict[str, int]) -> None:
        assert Several(networks={"a": Told, "b": Told})(inputs)["a"] == (inputs, None)

    def test_logits_are_those_of_each_network_alone(self) -> None:
        several = Several(networks=[MLP, MAPS], shape=SHAPE)
        images = torch.randn(4, *SHAPE)
        for network, logits in zip(several, several(images), strict=True):
            assert torch.equal(logits, network(images))


class TestMultiScale:
    def test_each_judges_means_over_squares_of_its_size(self) -> None:
        critics = MultiScale(networks=Told, scales=(1, 2, 4), shape=SHAPE)
        images = torch.arange(128.0).view(2, *SHAPE)
        whole, halves, quarters = (seen for seen, _ in critics(images))
        assert torch.equal(whole, images)
        assert torch.equal(halves[0, 0, :2, :2], torch.tensor([[4.5, 6.5], [20.5, 22.5]]))
        by_hand = images.unflatten(3, (2, 4)).unflatten(2, (2, 4)).mean((3, 5))
        assert torch.allclose(quarters, by_hand)

    def test_each_is_told_its_smaller_shape(self) -> None:
        critics = MultiScale(networks=Told, scales=(1, 2, 4), shape=SHAPE, classes=3)
        assert [critic.told["shape"] for critic in critics] == [(1, 8, 8), (1, 4, 4), (1, 2, 2)]
        assert [critic.told["classes"] for critic in critics] == [3, 3, 3]
        assert critics.shape == SHAPE

    def test_labels_are_what_they_are(self) -> None:
        labels = Labels(3)
        critics = MultiScale(networks=Told, shape=SHAPE, condition=labels)
        given = torch.tensor([0, 2])
        for critic, (_, told) in zip(critics, critics(torch.zeros(2, *SHAPE), given), strict=True):
            assert critic.told["condition"] is labels
            assert told is given

    def test_pictures_that_are_the_condition_are_made_smaller_too(self) -> None:
        sources = Pictures((3, 16, 16))
        critics = MultiScale(networks=Told, scales=(1, 4), shape=SHAPE, condition=sources)
        assert [critic.told["condition"].shape for critic in critics] == [(3, 16, 16), (3, 4, 4)]
        assert sources.shape == (3, 16, 16)
        given = torch.randn(2, 3, 16, 16)
        (_, whole), (_, quarter) = critics(torch.zeros(2, *SHAPE), given)
        assert whole is given
        assert torch.allclose(quarter[0, 1, 0, 0], given[0, 1, :4, :4].mean())

    def test_each_scale_may_have_a_network_of_its_own(self) -> None:
        critics = MultiScale(networks=[MAPS, MLP], scales=[1, 2], shape=SHAPE, condition=Labels(3))
        assert [type(critic) for critic in critics] == [DCGANDiscriminator, MLPDiscriminator]
        assert [len(logits) for logits in critics(torch.randn(4, *SHAPE), torch.arange(4) % 3)] == [4, 4]

    def test_a_list_of_one_is_for_all_scales(self) -> None:
        """The command line makes one where an argument of the network is changed."""
        critics = MultiScale(networks=[MLP], scales=[1, 2], shape=SHAPE)
        assert [tuple(logits.shape) for logits in critics(torch.randn(3, *SHAPE))] == [(3,), (3,)]

    def test_patches_of_pairs_at_two_scales(self) -> None:
        make = partial(PatchGANDiscriminator, width=4, layers=1)
        critics = MultiScale(networks=make, shape=(1, 16, 16), condition=Pictures((2, 16, 16)))
        maps = critics(torch.randn(3, 1, 16, 16), torch.randn(3, 2, 16, 16))
        assert [tuple(logits.shape[:1]) for logits in maps] == [(3,), (3,)]
        assert maps[0].shape[1] > maps[1].shape[1]

    def test_several_of_them(self) -> None:
        make = partial(MultiScale, networks=MLP, scales=(1, 2))
        several = Several(networks={"a": make, "b": make}, shape=SHAPE)
        images = {"a": torch.randn(4, *SHAPE), "b": torch.randn(4, *SHAPE)}
        assert [len(scales) for scales in several(images).values()] == [2, 2]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        pytest.param(partial(Several, networks=[]), "networks is empty", id="no networks"),
        pytest.param(partial(Several, networks={}), "networks is empty", id="no names"),
        pytest.param(partial(Several, networks=[Told], copies=0), "copies is 0", id="no copies"),
        pytest.param(partial(Several, networks=[Told], copies=10**9), "copies is 10", id="endless copies"),
        pytest.param(partial(Several, networks={"a": Told}, copies=2), "copies", id="copies of names"),
        pytest.param(partial(Several, networks={"a.b": Told}), r"a\.b.*other names", id="a dot"),
        pytest.param(partial(Several, networks={"keys": Told}), "keys.*other names", id="a method's name"),
        pytest.param(partial(Several, networks={"": Told}), "other names", id="an empty name"),
        pytest.param(partial(Several, networks={3: Told}), "other names", id="a number for a name"),
        pytest.param(partial(MultiScale, networks=Told, scales=(1, 3)), "8 x 8.*3 x 3", id="a third"),
        pytest.param(partial(MultiScale, networks=Told, scales=(0,)), r"scales\[0\] is 0", id="scale zero"),
        pytest.param(partial(MultiScale, networks=Told, scales=()), "networks is empty", id="no scales"),
        pytest.param(
            partial(MultiScale, networks=[Told] * 2, scales=(1, 2, 4)),
            "2 networks for 3 scales",
            id="too few",
        ),
        pytest.param(partial(MultiScale, networks=Told, shape=(2,)), r"shape is \(2,\)", id="points"),
        pytest.param(
            partial(MultiScale, networks=Told, condition=Pictures((1, 5, 5))), "5 x 5", id="odd sources"
        ),
    ],
)
def test_what_cannot_work_is_refused(build: Callable[..., nn.Module], words: str) -> None:
    with pytest.raises(Refused, match=words) as refusal:
        build(**({"shape": SHAPE} if "shape" not in build.keywords else {}))
    assert len(str(refusal.value).splitlines()) <= 3


def in_a_game(discriminator: nn.Module, variant: type[GAN] = HingeGAN, **arguments: Any) -> GAN:
    facts: dict[str, Any] = {"shape": SHAPE, "condition": Labels(3) if "conditional" in arguments else None}
    generator = partial(MLPGenerator, latent_size=8, hidden=(8,), **facts)
    return new(variant, discriminator=discriminator, generator=generator, **arguments)


def test_critics_of_equal_weights_play_as_one_would() -> None:
    """Each of three has a third of the gradient, which three times the learning rate makes up for."""
    games = []
    for critics in (1, 3):
        torch.manual_seed(1)
        discriminator = Several(networks=[MLP], copies=critics, shape=SHAPE)
        for critic in discriminator:
            critic.load_state_dict(discriminator[0].state_dict())
        descent = partial(torch.optim.SGD, lr=0.1 * critics)
        game = in_a_game(discriminator, discriminator_optimizer=descent)
        play(game, steps=4, precision="64-true")
        games.append(game)
    one, other = games
    for name, weight in one.generator.named_parameters():
        assert torch.allclose(weight, other.generator.get_parameter(name)), name
    for critic in other.discriminator:
        assert torch.allclose(critic.logit.weight, one.discriminator[0].logit.weight)


@pytest.mark.parametrize(
    "critics",
    [
        pytest.param(partial(Several, networks=[MLP], copies=2), id="two"),
        pytest.param(partial(Several, networks={"a": MLP, "b": MAPS}), id="by name"),
        pytest.param(partial(MultiScale, networks=MLP), id="at two scales"),
    ],
)
@pytest.mark.parametrize("variant", [HingeGAN, R3GAN])
def test_critics_that_are_told_labels_all_learn_from_them(variant: type[GAN], critics: Any) -> None:
    discriminator = critics(shape=SHAPE, condition=Labels(3))
    before = copy.deepcopy(discriminator)
    game = in_a_game(discriminator, variant, conditional=True)
    play(game, steps=2)
    weights = {name: weight for name, weight in discriminator.named_parameters() if weight.ndim > 1}
    for name, weight in weights.items():
        assert not torch.equal(weight, before.get_parameter(name)), name
    assert sum("conditioning" in name for name in weights) == 2


@pytest.mark.parametrize("held", [Alone, partial(Pretrained, network=Alone())], ids=["itself", "finished"])
def test_a_critic_that_takes_no_condition_is_refused_in_a_conditional_game(held: Any) -> None:
    discriminator = Several(networks=[MLP, partial(Several, networks={"a": held})], shape=SHAPE)
    with pytest.raises(Refused, match="Alone takes images and no condition"):
        play(in_a_game(discriminator, conditional=True), steps=1)


class OneLogit(MLPDiscriminator):
    def forward(self, images: Any, condition: Any = None) -> Any:
        return super().forward(images, condition)[:1]


def test_a_critic_that_returns_too_few_logits_is_refused() -> None:
    discriminator = Several(networks=[MLP, partial(OneLogit, hidden=(8,))], shape=SHAPE)
    with pytest.raises(Refused, match=r"logits of the shape \(1,\) from 2 images"):
        play(in_a_game(discriminator), steps=1)


def test_a_copy_is_a_copy() -> None:
    several = Several(networks={"a": MLP, "b": MLP}, shape=SHAPE)
    images = torch.randn(2, *SHAPE)
    expected = several(images)
    made = copy.deepcopy(several)
    for name, logits in made(images).items():
        assert torch.equal(logits, expected[name])


def test_a_generator_whose_samples_are_several_is_refused_before_the_first_step() -> None:
    class Generators(nn.ModuleList):
        def forward(self, latent: torch.Tensor) -> list[torch.Tensor]:
            return [generator(latent) for generator in self]

    networks = [nn.Sequential(nn.Linear(8, 64), nn.Unflatten(1, (1, 8, 8))) for _ in range(2)]
    with pytest.raises(Refused, match=r"HingeGAN\.fake returned a list, but samples are one tensor"):
        play(new(HingeGAN, generator=Generators(networks)), steps=1)
