"""Heads on a discriminator's features: what they see and say, in every family, and what is refused."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.judgements import head, judged
from ganlab.media import Labels
from ganlab.networks import (
    DCGANDiscriminator,
    Heads,
    MLPDiscriminator,
    MultiScale,
    PatchGANDiscriminator,
    Pretrained,
    R3GANDiscriminator,
    ResNetDiscriminator,
    Several,
)
from ganlab.penalties import zero_centred
from ganlab.testing import new, play
from ganlab.variants import R1GAN

SHAPE = (1, 8, 8)
FAMILIES = {
    "mlp": partial(MLPDiscriminator, hidden=(8,)),
    "dcgan": partial(DCGANDiscriminator, width=4),
    "dcgan, spectral": partial(DCGANDiscriminator, width=4, normalization="spectral"),
    "resnet": partial(ResNetDiscriminator, width=4),
    "r3gan": partial(R3GANDiscriminator, width=8),
    "patches": partial(PatchGANDiscriminator, width=4, layers=1),
}
each_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def images(count: int = 5) -> Tensor:
    return torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(1))


def heads_on(family: Any = FAMILIES["mlp"], **more: Any) -> Heads:
    torch.manual_seed(0)
    arguments = {
        "heads": {"class": "classes", "code": 4, "features": "features"},
        "shape": SHAPE,
        "classes": 3,
    }
    return Heads(network=family, **{**arguments, **more}).eval()


@each_family
@pytest.mark.parametrize("condition", [None, Labels(3)], ids=["unconditional", "conditional"])
def test_heads_see_what_the_logit_is_made_of(family: Any, condition: Labels | None) -> None:
    network = heads_on(family, condition=condition)
    told = () if condition is None else (torch.arange(5) % 3,)
    said = network(images(), *told)
    assert torch.equal(said.logits, network.network(images(), *told))
    features = said.heads["features"]
    alone = heads_on(family, condition=None) if condition else network
    if condition is None:
        logits = alone.network.logit(features).squeeze(1)
        torch.testing.assert_close(logits, said.logits)
    assert said.heads["class"].shape == (5, 3)
    (*_, linear) = network.heads["code"]
    mean = features.flatten(2).mean(2) if features.ndim > 2 else features
    torch.testing.assert_close(said.heads["code"], mean @ linear.weight.T + linear.bias)


@each_family
def test_a_gradient_penalty_goes_through_heads(family: Any) -> None:
    """The gradient of the squared slope of a head's numbers, against differences."""
    network = heads_on(family).double()
    inputs = images(3).double().requires_grad_()

    def penalty() -> Tensor:
        return zero_centred(inputs, network(inputs).heads["code"].sum(1))

    (weight,) = (layer.weight for layer in network.heads["code"] if isinstance(layer, nn.Linear))
    (gradient,) = torch.autograd.grad(penalty(), [weight])
    at, step = (1, 2), 1e-5
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[at] += sign * step
        values.append(float(penalty()))
        with torch.no_grad():
            weight[at] -= sign * step
    assert float(gradient[at]) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4, abs=1e-9)


def test_a_copy_has_heads_of_its_own() -> None:
    network = heads_on()
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.network.features[1].weight.zero_()
        other.network.features[1].bias.zero_()
    expected = network(images()).heads["features"]
    assert not other(images()).heads["features"].any()
    assert torch.equal(network(images()).heads["features"], expected)
    kept = Pretrained(network=network)
    assert torch.equal(kept(images()).heads["code"], network(images()).heads["code"])


def test_heads_may_be_deeper_and_have_spectral_norm() -> None:
    network = heads_on(heads={"code": 4}, hidden=(6, 5), spectral=True).train()
    for _ in range(50):
        network(images())
    weights = [layer.weight for layer in network.eval().heads["code"] if isinstance(layer, nn.Linear)]
    assert [tuple(weight.shape) for weight in weights] == [(6, 8), (5, 6), (4, 5)]
    for weight in weights:
        assert float(torch.linalg.matrix_norm(weight, 2)) == pytest.approx(1, abs=1e-3)


def test_several_critics_have_heads_each_and_some_none() -> None:
    make = partial(Heads, network=FAMILIES["dcgan"], heads={"code": 4})
    critics = Several(networks=[make, FAMILIES["mlp"], make], shape=SHAPE)
    said = judged(critics(images()))
    assert [each.shape for each in said.logits] == [(5,)] * 3
    first, last = head(said.heads, "code")
    assert not torch.equal(first, last)
    patches = MultiScale(networks=partial(Heads, network=FAMILIES["mlp"], heads={"code": 4}), shape=SHAPE)
    assert [each.shape for each in head(judged(patches(images())).heads, "code")] == [(5, 4)] * 2
    named = Several(networks={"code": make, "b": FAMILIES["mlp"]}, shape=SHAPE)
    assert len(head(judged(named(images())).heads, "code")) == 1


def test_a_head_that_nobody_has_is_refused() -> None:
    for heads in (None, {"class": images()}, [None, {"class": images()}]):
        with pytest.raises(Refused, match="no head named 'code'"):
            head(heads, "code")


class WithoutLogit(nn.Module):
    def __init__(self, *, shape: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 1)


class SkipsLogit(MLPDiscriminator):
    def forward(self, images: Tensor, condition: Any = None) -> Tensor:
        return images.flatten(1).sum(1)


def test_networks_without_features_are_refused() -> None:
    for network in (WithoutLogit, partial(Several, networks=[FAMILIES["mlp"]] * 2)):
        with pytest.raises(Refused, match="`logit`"):
            heads_on(network)
    with pytest.raises(Refused, match="without its layer"):
        heads_on(SkipsLogit)(images())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"heads": {}}, "empty"),
        ({"heads": {"code": 0}}, "heads.code is 0"),
        ({"hidden": (0,)}, r"hidden\[0\] is 0"),
        ({"classes": None}, "these data have none"),
        ({"heads": {"items": 2}}, "cannot name"),
    ],
    ids=["none", "of nothing", "hidden", "no classes", "a name of torch's"],
)
def test_heads_that_cannot_be_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        heads_on(**wrong)


def test_a_game_that_reads_no_heads_plays_as_without() -> None:
    """Of the same weights; the heads stand still."""
    players = {}
    for name, wrap in (("plain", False), ("heads", True)):
        torch.manual_seed(0)
        network = FAMILIES["mlp"](shape=SHAPE)
        made = Heads(network=lambda network=network: network, heads={"code": 4}) if wrap else network
        game = new(R1GAN, discriminator=made)
        play(game, steps=2)
        players[name] = network.state_dict()
    for name, value in players["plain"].items():
        assert torch.equal(players["heads"][name], value)


@pytest.mark.slow
def test_compiled_heads_say_the_same() -> None:
    network = heads_on(FAMILIES["dcgan"])
    expected = network(images())
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    for _ in range(2):
        said = compiled(images())
        torch.testing.assert_close(said.logits, expected.logits)
        torch.testing.assert_close(said.heads, expected.heads)
