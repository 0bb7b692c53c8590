"""Self-attention between the places of a map: its equations by a loop, and where networks have it."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from ganlab import penalties
from ganlab.errors import Refused
from ganlab.networks import (
    BigGANDiscriminator,
    BigGANGenerator,
    DCGANDiscriminator,
    DCGANGenerator,
    ResNetDiscriminator,
    ResNetGenerator,
)
from ganlab.networks.attention import SelfAttention, attended

SMALL = {"width": 4, "max_width": 8}
GENERATORS = [DCGANGenerator, ResNetGenerator, BigGANGenerator]
DISCRIMINATORS = [DCGANDiscriminator, ResNetDiscriminator, BigGANDiscriminator]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def layers(network: nn.Module) -> list[SelfAttention]:
    return [layer for layer in network.modules() if isinstance(layer, SelfAttention)]


def strengthen(network: nn.Module) -> nn.Module:
    for layer in layers(network):
        nn.init.constant_(layer.strength, 0.7)
    return network


class TestSelfAttention:
    @torch.no_grad()
    def test_each_place_is_given_the_softmax_weighted_mean_of_all(self) -> None:
        layer = SelfAttention(16).double()
        nn.init.constant_(layer.strength, 0.5)
        maps = torch.randn(2, 16, 3, 4, dtype=torch.float64)
        query, key, value = (part.weight[:, :, 0, 0] for part in (layer.query, layer.key, layer.value))
        assert query.shape == (2, 16)
        expected = maps.clone()
        for number, own in enumerate(maps):
            places = own.flatten(1).T
            for index, place in enumerate(places):
                scores = [math.exp((query @ place) @ (key @ other)) for other in places]
                mean = sum(s / sum(scores) * (value @ other) for s, other in zip(scores, places, strict=True))
                expected[number, :, index // 4, index % 4] += 0.5 * layer.out.weight[:, :, 0, 0] @ mean
        assert torch.allclose(layer(maps), expected)

    def test_starts_as_the_identity_and_learns_to_be_more(self) -> None:
        layer, maps = SelfAttention(8), torch.randn(2, 8, 4, 4)
        assert torch.equal(layer(maps), maps)
        (layer(maps) * torch.randn_like(maps)).sum().backward()
        assert layer.strength.grad != 0

    def test_moving_places_moves_the_result(self) -> None:
        layer, maps = strengthen(nn.Sequential(SelfAttention(8))), torch.randn(2, 8, 4, 4)
        assert torch.allclose(layer(maps.flip(2)), layer(maps).flip(2), atol=1e-5)

    def test_has_second_derivatives(self) -> None:
        layer = strengthen(nn.Sequential(SelfAttention(4))).double()
        maps = torch.randn(1, 4, 2, 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradgradcheck(layer, maps)

    def test_the_softmax_of_half_precision_is_that_of_float32(self) -> None:
        query, key, value = (torch.randn(2, 500, 4).bfloat16() for _ in range(3))
        rounded, exact = attended(query, key, value), attended(query.float(), key.float(), value.float())
        assert rounded.dtype == torch.bfloat16
        assert (rounded - exact).abs().mean() < 0.01

    def test_a_narrow_map_is_compared_by_one_number(self) -> None:
        assert SelfAttention(3).query.weight.shape == (1, 3, 1, 1)


class TestNetworks:
    @pytest.mark.parametrize("build", GENERATORS + DISCRIMINATORS)
    def test_it_follows_the_maps_of_these_sides(self, build: type[nn.Module]) -> None:
        network, sides = build(shape=(3, 32, 16), attention=(8, 4)[: 2 - (build in GENERATORS)], **SMALL), []
        for layer in layers(network):
            layer.register_forward_hook(lambda _, inputs, __: sides.append([*inputs[0].shape[2:]]))
        network(torch.randn(2, 128) if build in GENERATORS else torch.randn(2, 3, 32, 16))
        assert sides == ([[16, 8]] if build in GENERATORS else [[16, 8], [8, 4]])

    @pytest.mark.parametrize("build", GENERATORS + DISCRIMINATORS)
    def test_it_acts_once_its_strength_is_not_zero(self, build: type[nn.Module]) -> None:
        network = build(shape=(3, 16, 16), attention=(8,), **SMALL).eval()
        inputs = torch.randn(2, 128) if build in GENERATORS else torch.randn(2, 3, 16, 16)
        before = network(inputs)
        assert not torch.equal(strengthen(network)(inputs), before)
        assert not layers(build(shape=(3, 16, 16), **SMALL))

    @pytest.mark.parametrize("build", GENERATORS + DISCRIMINATORS)
    @pytest.mark.parametrize("side", [3, 16, 32])
    def test_a_side_that_no_such_map_has_is_refused(self, build: type[nn.Module], side: int) -> None:
        if side == 16 and build in (ResNetGenerator, BigGANGenerator):
            return  # They have a map of the image's size.
        with pytest.raises(Refused, match=rf"shorter side of {side} pixels.\n.*8") as refusal:
            build(shape=(3, 16, 16), attention=(8, side), **SMALL)
        assert len(str(refusal.value).splitlines()) <= 3

    @pytest.mark.parametrize("build", [DCGANDiscriminator, ResNetDiscriminator, ResNetGenerator])
    def test_spectral_norm_is_that_of_the_network(self, build: type[nn.Module]) -> None:
        for kind, normalised in (("spectral", True), ("none", False)):
            (layer,) = layers(build(shape=(3, 16, 16), attention=(8,), normalization=kind, **SMALL))
            for part in (layer.query, layer.key, layer.value, layer.out):
                assert parametrize.is_parametrized(part) == normalised

    @pytest.mark.parametrize("build", DISCRIMINATORS)
    def test_r1_through_it_has_the_slope_of_finite_differences(self, build: type[nn.Module]) -> None:
        critic = strengthen(build(shape=(1, 8, 8), attention=(4,), **SMALL)).double().eval()
        images = torch.randn(3, 1, 8, 8, dtype=torch.float64, requires_grad=True)
        (layer,) = layers(critic)

        def penalty(step: float) -> torch.Tensor:
            with torch.no_grad():
                layer.strength += step
            return penalties.zero_centred(images, critic(images))

        (slope,) = torch.autograd.grad(penalty(0.0), layer.strength)
        difference = penalty(1e-6) - penalty(-2e-6)
        assert slope != 0
        assert slope.item() == pytest.approx(difference.item() / 2e-6, rel=1e-3)
