"""What discriminators see of the other samples in a batch."""

import math
from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from ganlab.media import Labels
from ganlab.networks import DCGANDiscriminator, MLPDiscriminator
from ganlab.networks.batch_statistics import BATCH_STATISTICS, BatchStatisticsKind, MinibatchDiscrimination

KIND = "minibatch_discrimination"
CRITICS = {
    "points": (MLPDiscriminator, {"shape": (2,), "hidden": (16,)}),
    "pictures": (DCGANDiscriminator, {"shape": (1, 8, 8), "width": 4, "normalization": "none"}),
    "flat": (MLPDiscriminator, {"shape": (1, 8, 8), "hidden": ()}),
}
every_critic = pytest.mark.parametrize(("build", "arguments"), CRITICS.values(), ids=CRITICS.keys())


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


class TestMinibatchDiscrimination:
    def test_adds_the_sums_of_the_papers_closeness(self) -> None:
        layer = MinibatchDiscrimination(6, kernels=3, size=2).double()
        features = torch.randn(4, 6, dtype=torch.float64)
        made = layer(features)
        assert made.shape == (4, 6 + layer.added)
        assert torch.equal(made[:, :6], features)
        matrices = layer.compared.weight.view(3, 2, 6)
        for i in range(4):
            for b in range(3):
                distances = [(matrices[b] @ (features[i] - features[j])).abs().sum() for j in range(4)]
                expected = sum(math.exp(-distance.item()) for distance in distances)
                assert made[i, 6 + b].item() == pytest.approx(expected)

    def test_equal_samples_are_as_close_as_can_be(self) -> None:
        layer = MinibatchDiscrimination(6, kernels=3)
        assert torch.equal(layer(torch.ones(5, 6))[:, 6:], torch.full((5, 3), 5.0))
        assert (layer(torch.randn(5, 6))[:, 6:] < 5).all()

    def test_the_order_of_a_batch_is_nothing_to_it(self) -> None:
        layer, features = MinibatchDiscrimination(6), torch.randn(5, 6)
        order = torch.randperm(5)
        assert torch.allclose(layer(features[order]), layer(features)[order], atol=1e-5)

    def test_has_second_derivatives(self) -> None:
        layer = MinibatchDiscrimination(3, kernels=2, size=2).double()
        assert torch.autograd.gradgradcheck(layer, torch.randn(3, 3, dtype=torch.float64, requires_grad=True))

    def test_half_precision_keeps_its_type_and_takes_differences_in_float32(self) -> None:
        layer, features = MinibatchDiscrimination(6), 8 + 0.01 * torch.randn(9, 6)
        exact = layer(features)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = layer(features.bfloat16())
        assert rounded.dtype == torch.bfloat16
        assert (rounded - exact).abs().max() < 0.2 * exact.abs().max()


@every_critic
def test_a_critic_sees_the_others_of_its_batch(build: type[nn.Module], arguments: dict) -> None:
    images = torch.randn(6, *arguments["shape"])
    for kind in get_args(BatchStatisticsKind):
        critic = build(**arguments, batch_statistics=kind)
        alone = torch.cat([critic(image[None]) for image in images])
        assert torch.allclose(critic(images), alone, atol=1e-5) == (kind == "none"), kind


@every_critic
def test_every_parameter_acts_on_the_logits_and_on_their_penalty(
    build: type[nn.Module], arguments: dict
) -> None:
    critic = build(**arguments, condition=Labels(3), batch_statistics=KIND).double()
    images = torch.randn(6, *arguments["shape"], dtype=torch.float64, requires_grad=True)
    logits = critic(images, torch.arange(6) % 3)
    assert logits.shape == (6,)
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    (gradient.square().sum() + (logits * torch.randn_like(logits)).sum()).backward()
    for name, parameter in critic.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_spectral_norm_is_that_of_the_network() -> None:
    critic = DCGANDiscriminator(shape=(1, 8, 8), width=4, normalization="spectral", batch_statistics=KIND)
    assert parametrize.is_parametrized(critic.statistics.compared)


def test_without_it_the_weights_are_named_as_ever() -> None:
    critic = MLPDiscriminator(shape=(2,), hidden=(4,))
    assert [*critic.state_dict()] == ["features.1.weight", "features.1.bias", "logit.weight", "logit.bias"]


def test_the_kinds_that_a_signature_offers_are_the_rows_of_its_table() -> None:
    assert set(get_args(BatchStatisticsKind)) == set(BATCH_STATISTICS)
