"""WaveGAN's networks: lengths, what phase shuffle moves, conditions, derivatives and refusals."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import pad
from torch.nn.utils import parametrize

from ganlab.errors import Refused
from ganlab.media import Labels, Pictures
from ganlab.networks import WaveGANDiscriminator, WaveGANGenerator
from ganlab.networks.wavegan import PhaseShuffle

SMALL: dict[str, Any] = {"width": 4, "max_width": 8}
LENGTHS = [
    (1, 16384, 4, 16, 5),
    (1, 8192, 4, 32, 4),
    (2, 64, 4, 16, 1),
    (1, 20480, 4, 20, 5),
    (1, 96, 3, 32, 1),
]


@pytest.mark.parametrize(("channels", "length", "stride", "coarsest", "levels"), LENGTHS)
def test_any_length_that_divides_by_powers_of_the_stride(
    channels: int, length: int, stride: int, coarsest: int, levels: int
) -> None:
    shape = channels, length
    generator = WaveGANGenerator(shape=shape, latent_size=6, stride=stride, **SMALL)
    discriminator = WaveGANDiscriminator(shape=shape, stride=stride, **SMALL)
    sounds = generator(torch.randn(3, 6))
    assert sounds.shape == (3, *shape)
    assert sounds.abs().max() <= 1
    assert discriminator(sounds).shape == (3,)
    assert generator.project(torch.randn(3, 6)).shape[2] == coarsest
    layers = [layer for layer in discriminator.features if isinstance(layer, nn.Conv1d)]
    assert len(layers) == levels == 1 + len(generator.upsample)


@pytest.mark.parametrize(("kernel", "stride"), [(25, 4), (4, 4), (9, 2), (8, 2), (5, 3)])
def test_kernels_of_any_length_keep_lengths(kernel: int, stride: int) -> None:
    shape = 1, 32 * stride
    generator = WaveGANGenerator(shape=shape, kernel=kernel, stride=stride, **SMALL)
    assert generator(torch.randn(2, 128)).shape == (2, *shape)
    assert WaveGANDiscriminator(shape=shape, kernel=kernel, stride=stride, **SMALL)(
        torch.randn(2, *shape)
    ).shape


def weights(network: nn.Module, kind: type) -> list[tuple[int, ...]]:
    return [tuple(layer.weight.shape) for layer in network.modules() if isinstance(layer, kind)]


def test_the_layers_are_the_papers() -> None:
    """Tables 3 and 4, for 16,384 samples, with d = 8."""
    generator = WaveGANGenerator(shape=(1, 16384), latent_size=100, width=8)
    discriminator = WaveGANDiscriminator(shape=(1, 16384), width=8)
    doubled = [(128, 64, 25), (64, 32, 25), (32, 16, 25), (16, 8, 25), (8, 1, 25)]
    assert weights(generator, nn.ConvTranspose1d) == doubled
    assert weights(discriminator, nn.Conv1d) == doubled[::-1]  # (outputs, inputs) where those are the reverse
    assert weights(generator, nn.Linear) == [(2048, 100)]
    assert weights(discriminator, nn.Linear) == [(1, 2048)]
    assert sum(isinstance(each, PhaseShuffle) for each in discriminator.modules()) == 4


def moved(maps: Tensor, by: int, most: int) -> Tensor:
    """Each map moved by one number of places, mirrored at its ends."""
    return pad(maps, (most, most), mode="reflect")[..., most + by : most + by + maps.shape[-1]]


def test_phase_shuffle_moves_all_channels_of_a_sample_alike() -> None:
    torch.manual_seed(0)
    maps = torch.randn(200, 3, 10)
    shuffled = PhaseShuffle(2)(maps)
    found = torch.stack([(shuffled == moved(maps, by, 2)).flatten(1).all(1) for by in range(-2, 3)])
    assert (found.sum(0) == 1).all()
    assert (found.sum(1) > 20).all(), "each move is drawn equally often"


def test_phase_shuffle_rests_in_evaluation_and_of_zero_places() -> None:
    maps = torch.randn(4, 3, 10)
    before = torch.get_rng_state()
    assert torch.equal(PhaseShuffle(2).eval()(maps), maps)
    assert torch.equal(PhaseShuffle(0)(maps), maps)
    assert torch.equal(torch.get_rng_state(), before)
    assert PhaseShuffle(5)(torch.randn(4, 1, 2)).shape == (4, 1, 2)


def test_the_critic_has_two_derivatives() -> None:
    critic = WaveGANDiscriminator(shape=(1, 64), width=2, max_width=2, kernel=5, stride=2).double()

    def judged(sounds: Tensor) -> Tensor:
        torch.manual_seed(0)  # the same moves each time
        return critic(sounds)

    sounds = torch.randn(2, 1, 64, dtype=torch.float64, requires_grad=True)
    assert gradcheck(judged, sounds, fast_mode=True)
    assert gradgradcheck(judged, sounds, fast_mode=True)


def test_everything_learns() -> None:
    generator, discriminator = (
        WaveGANGenerator(shape=(1, 256), **SMALL),
        WaveGANDiscriminator(shape=(1, 256), **SMALL),
    )
    discriminator(generator(torch.randn(4, 128))).sum().backward()
    for network in (generator, discriminator):
        assert all(weight.grad is not None and weight.grad.any() for weight in network.parameters())


@pytest.mark.parametrize("conditioning", ["projection", "concatenation"])
def test_the_label_is_heard(conditioning: Any) -> None:
    facts: dict[str, Any] = {"shape": (1, 256), "condition": Labels(3), **SMALL}
    generator, discriminator = (
        WaveGANGenerator(**facts),
        WaveGANDiscriminator(conditioning=conditioning, **facts),
    )
    latent, labels = torch.randn(2, 128), torch.tensor([0, 2])
    sounds = generator(latent, labels)
    assert not torch.allclose(sounds, generator(latent, labels.flip(0)))
    assert not torch.allclose(discriminator(sounds, labels), discriminator(sounds, labels.flip(0)))


def test_spectral_norm_bounds_every_layer_of_the_critic() -> None:
    critic = WaveGANDiscriminator(shape=(1, 256), normalization="spectral", **SMALL)
    layers = [each for each in critic.modules() if isinstance(each, nn.Conv1d | nn.Linear)]
    assert all(parametrize.is_parametrized(layer, "weight") for layer in layers)


@pytest.mark.parametrize(
    ("network", "arguments", "expected"),
    [
        (WaveGANGenerator, {"shape": (1, 8000)}, "Take 8,192 samples"),
        (WaveGANDiscriminator, {"shape": (1, 16000)}, "Take 16,128 samples"),
        (WaveGANGenerator, {"shape": (1, 32, 32)}, r"\(channels, samples\)"),
        (WaveGANGenerator, {"shape": (1, 8192), "kernel": 3}, "below the stride"),
        (WaveGANDiscriminator, {"shape": (1, 8192), "normalization": "batch"}, "Known: none, spectral"),
        (WaveGANGenerator, {"shape": (1, 8192), "condition": Pictures((1, 8, 8))}, "takes labels"),
    ],
)
def test_what_does_not_fit_is_refused(network: Any, arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(Refused, match=expected) as error:
        network(**arguments)
    assert len(str(error.value).splitlines()) <= 3
