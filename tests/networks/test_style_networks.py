"""Of StyleGAN2's layers and networks: known answers, computed in other ways."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from ganlab.errors import Refused
from ganlab.media import Labels
from ganlab.networks import (
    DCGANDiscriminator,
    MLPDiscriminator,
    StyleGAN2Discriminator,
    StyleGAN2Generator,
)
from ganlab.networks.batch_statistics import MinibatchStd
from ganlab.networks.equalised import EqualisedConv2d, EqualisedLinear, RunningMean
from ganlab.networks.layers import Noise
from ganlab.networks.resampling import Blur, Doubled
from ganlab.networks.stylegan2 import Halving, Modulated, mixed

STYLE, SIZE = 6, 12
SMALL = partial(StyleGAN2Generator, latent_size=SIZE, width=4, max_width=8, depth=2)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


class TestEqualised:
    LAYERS = (
        (lambda inputs: EqualisedLinear(inputs, 400), lambda inputs: torch.randn(50, inputs)),
        (
            lambda inputs: EqualisedConv2d(inputs, 40, 3, padding=1),
            lambda inputs: torch.randn(4, inputs, 9, 9),
        ),
    )

    @pytest.mark.parametrize(("layer", "inputs"), LAYERS, ids=["linear", "convolution"])
    def test_weights_start_alike_and_the_variance_stays(self, layer, inputs) -> None:
        for width in (8, 200):
            built = layer(width)
            assert built.weight.std().item() == pytest.approx(1, abs=0.05)
            outputs = built(inputs(width))
            inner = outputs[..., 1:-1, 1:-1] if outputs.ndim == 4 else outputs
            assert inner.std().item() == pytest.approx(1, abs=0.1)

    def test_a_rate_changes_what_is_learned_and_not_what_is_said(self) -> None:
        slow, plain = (EqualisedLinear(SIZE, 5, bias=2.0, rate=rate).double() for rate in (0.01, 1.0))
        with torch.no_grad():
            plain.weight.copy_(slow.weight * 0.01)
        inputs = torch.randn(3, SIZE).double()
        assert torch.allclose(slow(inputs), plain(inputs), atol=1e-6)
        moved = []
        for layer in (slow, plain):
            before = layer(inputs)
            optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
            layer(inputs).sum().backward()
            optimizer.step()
            moved.append((layer(inputs) - before).detach())
        assert torch.allclose(moved[0], 0.01 * moved[1], rtol=1e-2)

    def test_the_running_mean_is_that_of_training_alone(self) -> None:
        layer, batches = RunningMean(2, keep=0.75), torch.randn(3, 5, 4, 2)
        expected = torch.zeros(2)
        for batch in batches:
            assert torch.equal(layer(batch), batch)
            expected = 0.75 * expected + 0.25 * batch.reshape(-1, 2).mean(0)
        layer.eval()(100 + batches[0])
        assert torch.allclose(layer.mean, expected)


class TestResampling:
    TAPS = torch.tensor([[1.0, 3, 3, 1]]).T @ torch.tensor([[1.0, 3, 3, 1]]) / 64

    def test_an_impulse_becomes_the_taps(self) -> None:
        impulse = torch.zeros(1, 2, 7, 7)
        impulse[0, 1, 3, 3] = 1
        blurred = Blur(2)(impulse)
        assert torch.allclose(blurred[0, 1, 2:6, 2:6], self.TAPS)
        assert blurred.sum().item() == pytest.approx(1)
        assert blurred[0, 0].abs().max() == 0
        doubled = Doubled()(impulse)
        assert doubled.shape == (1, 2, 14, 14)
        assert torch.allclose(doubled[0, 1, 5:9, 5:9], 4 * self.TAPS)
        assert doubled.abs().sum().item() == pytest.approx(4)

    def test_what_is_alike_everywhere_stays_so(self) -> None:
        ones = torch.ones(1, 3, 8, 8)
        assert torch.allclose(Doubled()(ones)[..., 1:-1, 1:-1], torch.ones(1, 3, 14, 14))
        assert torch.allclose(Blur(stride=2)(ones)[..., 1:-1, 1:-1], torch.ones(1, 3, 2, 2))

    @pytest.mark.parametrize("side", [8, 10])
    def test_a_halving_halves(self, side: int) -> None:
        assert Halving(3, 5)(torch.randn(2, 3, side, side)).shape == (2, 5, side // 2, side // 2)


class TestModulated:
    @staticmethod
    def weights(layer: Modulated, style: Tensor) -> Tensor:
        """Each sample's own: Karras et al. 2020, arXiv:1912.04958, eqs. 1 and 3, as they stand there."""
        weights = layer.weight * layer.scale * layer.scales(style)[:, None, :, None, None]
        if not layer.demodulated:
            return weights
        return weights / (weights.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()

    @pytest.mark.parametrize("demodulated", [True, False])
    @pytest.mark.parametrize(("size", "doubling"), [(1, False), (3, False), (3, True)])
    def test_it_is_a_convolution_with_weights_of_each_sample(
        self, size: int, doubling: bool, demodulated: bool
    ) -> None:
        layer = Modulated(STYLE, 4, 5, size, demodulated=demodulated, doubling=doubling).double()
        maps, style = torch.randn(3, 4, 6, 6).double(), torch.randn(3, STYLE).double()
        weights = self.weights(layer, style)
        grouped, many = maps.reshape(1, 12, 6, 6), weights.flatten(0, 1)
        if doubling:
            turned = weights.transpose(1, 2).flatten(0, 1)
            expected = layer.blur(conv_transpose2d(grouped, turned, stride=2, groups=3))
        else:
            expected = conv2d(grouped, many, padding=size // 2, groups=3)
        side = 12 if doubling else 6
        assert torch.allclose(layer(maps, style), expected.view(3, 5, side, side))

    def test_demodulated_maps_have_unit_variance(self) -> None:
        layer = Modulated(STYLE, 16, 8, 3)
        maps = layer(torch.randn(6, 16, 40, 40), 5 * torch.randn(6, STYLE))[..., 1:-1, 1:-1]
        assert maps.std((2, 3)).flatten().tolist() == pytest.approx([1.0] * 48, abs=0.15)


class TestMinibatchStd:
    def test_the_channel_is_the_mean_deviation_of_the_group(self) -> None:
        maps = torch.randn(6, 4, 3, 5)
        added = MinibatchStd(3)(maps)
        assert torch.equal(added[:, :4], maps)
        for group in ([0, 2, 4], [1, 3, 5]):
            expected = maps[group].std(0, unbiased=False).mean()
            assert torch.allclose(added[group, 4], expected.expand(3, 3, 5), atol=1e-5)

    @pytest.mark.parametrize(("count", "size"), [(8, 4), (6, 3), (7, 1), (2, 2), (1, 1)])
    def test_groups_divide_the_batch(self, count: int, size: int) -> None:
        features = torch.arange(float(count))[:, None]
        expected = torch.arange(0, count, count // size).float().std(unbiased=False)
        assert torch.allclose(MinibatchStd(4)(features)[:, 1], expected.expand(count), atol=2e-4)

    @pytest.mark.parametrize(
        ("build", "name", "some", "none"),
        [
            (partial(StyleGAN2Discriminator, width=4, max_width=8), "minibatch_std", 4, 0),
            *(
                (build, "batch_statistics", "minibatch_std", "none")
                for build in (
                    partial(DCGANDiscriminator, width=4, max_width=8, normalization="none"),
                    partial(MLPDiscriminator, hidden=(16,)),
                    partial(MLPDiscriminator, hidden=()),
                )
            ),
        ],
        ids=["stylegan2", "dcgan", "mlp", "mlp-flat"],
    )
    def test_a_critic_sees_that_all_samples_are_one(
        self, build: Callable[..., nn.Module], name: str, some: Any, none: Any
    ) -> None:
        pictures, labels = torch.randn(4, 1, 8, 8), torch.zeros(4, dtype=torch.long)
        same = pictures[:1].expand(4, -1, -1, -1)
        for value, alike in ((some, False), (none, True)):
            critic = build(shape=(1, 8, 8), **{name: value})
            assert torch.allclose(critic(pictures)[0], critic(same)[0]) is alike
            told = build(shape=(1, 8, 8), condition=Labels(3), **{name: value})
            assert torch.allclose(told(pictures, labels)[0], told(same, labels)[0]) is alike

    def test_equal_samples_have_a_gradient(self) -> None:
        maps = torch.ones(4, 2, 3, 3, requires_grad=True)
        MinibatchStd()(maps).square().sum().backward()
        assert maps.grad is not None
        assert maps.grad.isfinite().all()


class TestGenerator:
    def test_a_latent_for_each_layer(self) -> None:
        generator = SMALL(shape=(1, 28, 28), noise=False)
        assert generator.layers == 6
        latent = torch.randn(3, SIZE)
        each = latent[:, None].expand(-1, 6, -1)
        assert torch.allclose(generator(latent), generator(each), atol=1e-6)

    @pytest.mark.parametrize("first", [1, 3, 5])
    def test_mixed_styles_are_those_of_either_latent(self, first: int) -> None:
        generator = SMALL(shape=(3, 16, 16), noise=False)
        one, other = torch.randn(2, 4, SIZE)
        latent = mixed(one, other, generator.layers, torch.full((4, 1), first))
        styles, own, others = (generator.styles(each) for each in (latent, one, other))
        assert torch.allclose(styles[:, :first], own[:, :first], atol=1e-6)
        assert torch.allclose(styles[:, first:], others[:, first:], atol=1e-6)
        same = mixed(one, one, generator.layers, torch.full((4, 1), first))
        assert torch.allclose(generator(same), generator(one), atol=1e-5)

    def test_labels_are_those_of_the_sample_in_each_layer(self) -> None:
        generator = SMALL(shape=(1, 8, 8), condition=Labels(3), noise=False)
        latent, labels = torch.randn(4, SIZE), torch.tensor([0, 1, 1, 2])
        each = latent[:, None].expand(-1, generator.layers, -1)
        assert torch.allclose(generator(latent, labels), generator(each, labels), atol=1e-6)
        assert not torch.allclose(generator(latent, labels), generator(latent, labels.flip(0)))

    def test_truncation_is_a_share_of_the_way_from_the_mean(self) -> None:
        generator = SMALL(shape=(1, 8, 8), noise=False)
        for _ in range(3):
            generator(torch.randn(8, SIZE))
        mean, latent = generator.eval().mean_style.mean, torch.randn(3, SIZE)
        styles = generator.styles(latent)
        assert torch.allclose(
            generator.styles(latent, truncation=torch.tensor([0.0, 0.5, 1.0])),
            torch.stack([mean.expand(styles.shape[1:]), (mean + styles[1]) / 2, styles[2]]),
            atol=1e-6,
        )
        pictures = generator(latent, truncation=torch.zeros(3))
        assert torch.allclose(pictures, generator.synthesis(mean.expand(3, generator.layers, -1)), atol=1e-6)

    def test_the_length_of_a_latent_says_nothing(self) -> None:
        generator, latent = SMALL(shape=(1, 8, 8), noise=False), torch.randn(3, SIZE)
        assert torch.allclose(generator(latent), generator(7 * latent), atol=1e-5)

    def test_half_precision_does_not_round_the_mapping(self) -> None:
        network, latent = SMALL(shape=(1, 8, 8)).eval(), torch.randn(3, SIZE)
        exact = network.styles(latent)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(network.styles(latent), exact)

    def test_the_noise_of_every_layer_acts(self) -> None:
        generator = SMALL(shape=(1, 16, 16)).double()
        generator(torch.randn(2, SIZE).double()).square().sum().backward()
        layers = [layer for layer in generator.modules() if isinstance(layer, Noise)]
        assert len(layers) == 5
        assert all(layer.strength.grad != 0 for layer in layers)

    def test_maps_keep_their_scale(self) -> None:
        generator = StyleGAN2Generator(shape=(3, 64, 64), width=8, max_width=32, depth=4)
        styles = generator.styles(torch.randn(8, 128))
        assert 0.5 < styles.std() < 2
        maps = generator.convolutions[0](generator.start, styles[:, 0])
        for number in range(1, len(generator.convolutions)):
            maps = generator.convolutions[number](maps, styles[:, number])
        # Of what is not smooth a doubling keeps 0.6 of the spread: three of four places are 0, and blurred.
        assert 0.1 < maps.square().mean().sqrt() < 2
        logits = StyleGAN2Discriminator(shape=(3, 64, 64), width=8, max_width=32)(torch.randn(8, 3, 64, 64))
        assert 0.05 < logits.square().mean().sqrt() < 5

    @pytest.mark.parametrize("shape", [(1, 30, 30), (3, 8, 21), (2,)], ids=str)
    def test_a_size_that_cannot_work_is_refused(self, shape: tuple[int, ...]) -> None:
        for network in (StyleGAN2Generator, StyleGAN2Discriminator):
            with pytest.raises(Refused, match="shape"):
                network(shape=shape)


def test_layers_count_the_weights_of_a_fan_in() -> None:
    layer = Modulated(STYLE, 4, 5, 3)
    assert layer.scale == pytest.approx(1 / math.sqrt(36))
    assert isinstance(layer.scales, nn.Linear)
    assert torch.equal(layer.scales.bias, torch.ones(4))
