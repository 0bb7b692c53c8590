"""Of every network: shapes, ranges, derivatives, precisions, copies, and refusals that help."""

import copy
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, get_args

import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganlab import networks
from ganlab.errors import Refused
from ganlab.media import Pictures, PicturesWithHoles
from ganlab.networks import (
    BigGANDiscriminator,
    BigGANGenerator,
    DCGANDiscriminator,
    DCGANGenerator,
    MLPDiscriminator,
    MLPGenerator,
    R3GANDiscriminator,
    R3GANGenerator,
    ResNetDiscriminator,
    ResNetGenerator,
    StyleGAN2Discriminator,
    StyleGAN2Generator,
    TransformerDiscriminator,
    TransformerGenerator,
)
from ganlab.networks.layers import NORMALIZATIONS, NormalizationKind, Pyramid, Residual, widths
from ganlab.networks.mlp import ACTIVATIONS, ActivationKind
from ganlab.networks.strided import INITIAL_STD

LATENT = 12
BATCH = 4
KINDS = get_args(NormalizationKind)
SHAPES = [(channels, side, side) for channels, side in [(1, 8), (3, 8), (3, 16), (1, 28), (3, 32), (1, 64)]]
SHAPES.append((2, 8, 16))

Build = Callable[..., nn.Module]


def normalised(name: str, network: type[nn.Module]) -> dict[str, Build]:
    return {f"{name}-{kind}": partial(network, width=4, max_width=8, normalization=kind) for kind in KINDS}


SMALL_TRANSFORMER = {"width": 8, "blocks": 2, "heads": 2}
SMALL_R3GAN = {"width": 4, "max_width": 16, "group_size": 4, "blocks": 2}
SMALL_MAPS = {"width": 4, "max_width": 8}
GENERATORS: dict[str, Build] = {
    "mlp": partial(MLPGenerator, latent_size=LATENT, hidden=(16, 16)),
    "r3gan": partial(R3GANGenerator, latent_size=LATENT, **SMALL_R3GAN),
    # With noise of its own it makes no picture twice.
    "stylegan2": partial(StyleGAN2Generator, latent_size=LATENT, depth=2, noise=False, **SMALL_MAPS),
    "biggan": partial(BigGANGenerator, latent_size=LATENT, width=4, max_width=8),
    "transformer": partial(TransformerGenerator, latent_size=LATENT, **SMALL_TRANSFORMER),
    **{
        name: partial(build, latent_size=LATENT)
        for name, build in (
            normalised("dcgan", DCGANGenerator) | normalised("resnet", ResNetGenerator)
        ).items()
    },
}
DISCRIMINATORS: dict[str, Build] = {
    "mlp": partial(MLPDiscriminator, hidden=(16, 16)),
    "r3gan": partial(R3GANDiscriminator, **SMALL_R3GAN),
    "stylegan2": partial(StyleGAN2Discriminator, minibatch_std=0, **SMALL_MAPS),
    "biggan": partial(BigGANDiscriminator, width=4, max_width=8),
    "transformer": partial(TransformerDiscriminator, **SMALL_TRANSFORMER),
    **normalised("dcgan", DCGANDiscriminator),
    **normalised("resnet", ResNetDiscriminator),
}

every_generator = pytest.mark.parametrize("build", GENERATORS.values(), ids=GENERATORS.keys())
every_discriminator = pytest.mark.parametrize("build", DISCRIMINATORS.values(), ids=DISCRIMINATORS.keys())
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def latents(samples: int = BATCH, **kwargs: torch.dtype) -> Tensor:
    return torch.randn(samples, LATENT, **kwargs)


def pictures(shape: tuple[int, ...], samples: int = BATCH, **kwargs: torch.dtype) -> Tensor:
    return torch.randn(samples, *shape, **kwargs).tanh()


def perturb(network: nn.Module) -> nn.Module:
    """Add noise to all parameters, because those that start at zero would let no gradient through."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return network


def penalty(discriminator: nn.Module, images: Tensor) -> Tensor:
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
    return gradient.square().sum()


def weighted_layers(network: nn.Module) -> list[nn.Module]:
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    return [layer for layer in network.modules() if isinstance(layer, kinds)]


def residuals(network: nn.Module) -> list[Residual]:
    return [layer for layer in network.modules() if isinstance(layer, Residual)]


def assert_all_move(network: nn.Module) -> None:
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # In float64 a bias that a batch norm subtracts has a gradient of about 1e-17.
        assert parameter.grad.abs().max() > 1e-10, f"{name} has no effect"


class TestEveryGenerator:
    @every_generator
    @every_shape
    def test_draws_images_between_minus_one_and_one(self, build: Build, shape: tuple[int, ...]) -> None:
        generator = build(shape=shape)
        images = generator(10 * latents())
        assert images.shape == (BATCH, *shape)
        assert images.abs().max() <= 1
        assert not torch.allclose(images[0], images[1])
        assert (generator.shape, generator.latent_size) == (shape, LATENT)

    @every_generator
    def test_every_parameter_acts(self, build: Build) -> None:
        generator = perturb(build(shape=(3, 16, 16)).double())
        images = generator(latents(dtype=torch.float64))
        (images * torch.randn_like(images)).sum().backward()
        assert_all_move(generator)

    @every_generator
    def test_a_copy_is_equal_and_independent(self, build: Build) -> None:
        generator = build(shape=(1, 8, 8))
        generator(latents()).sum().backward()
        duplicate = copy.deepcopy(generator).eval()
        latent, generator = latents(), generator.eval()
        before = generator(latent)
        assert torch.equal(duplicate(latent), before)
        perturb(generator)
        assert torch.equal(duplicate(latent), before)
        assert not torch.equal(generator(latent), before)
        duplicate.load_state_dict(generator.state_dict())
        assert torch.equal(duplicate(latent), generator(latent))

    @every_generator
    def test_evaluation_judges_each_latent_alone(self, build: Build) -> None:
        generator = build(shape=(1, 8, 8)).double()
        generator(latents(dtype=torch.float64))
        latent = latents(dtype=torch.float64)
        images = generator.eval()(latent)
        assert torch.equal(generator(latent), images)
        assert torch.allclose(generator(latent[:1]), images[:1])

    @every_generator
    def test_precisions_and_memory_formats_agree(self, build: Build) -> None:
        generator = perturb(build(shape=(3, 16, 16))).eval()
        latent = latents()
        images = generator(latent)
        with torch.autocast("cpu", torch.bfloat16):
            assert (generator(latent) - images).abs().mean() < 0.05
        generator.to(memory_format=torch.channels_last)
        assert torch.allclose(generator(latent), images, atol=1e-5)
        exact = generator.double()(latent.double())
        assert exact.dtype == torch.float64
        assert torch.allclose(exact.float(), images, atol=1e-4)


class TestEveryDiscriminator:
    @every_discriminator
    @every_shape
    def test_gives_one_logit_an_image(self, build: Build, shape: tuple[int, ...]) -> None:
        discriminator = build(shape=shape)
        logits = discriminator(pictures(shape))
        assert logits.shape == (BATCH,)
        assert logits.isfinite().all()
        assert logits.unique().numel() == BATCH
        assert discriminator.eval()(pictures(shape, samples=1)).shape == (1,)
        assert discriminator.shape == shape

    @every_discriminator
    def test_every_parameter_acts(self, build: Build) -> None:
        discriminator = perturb(build(shape=(3, 16, 16)).double())
        logits = discriminator(pictures((3, 16, 16), dtype=torch.float64))
        (logits * torch.randn_like(logits)).sum().backward()
        assert_all_move(discriminator)

    @every_discriminator
    def test_the_penalty_has_the_gradient_of_finite_differences(self, build: Build) -> None:
        # In eval mode, where spectral norm stands still; the graph of the weight is the same.
        shape = (2, 16, 16)
        discriminator = perturb(build(shape=shape).double())
        images = pictures(shape, dtype=torch.float64)
        discriminator(images)
        discriminator.eval()
        parameters = list(discriminator.parameters())
        gradients = torch.autograd.grad(penalty(discriminator, images), parameters, allow_unused=True)
        # A step so small that hardly a leaky ReLU changes sides: the penalty jumps where one does.
        step, slope, values = 1e-8, 0.0, []
        directions = [torch.randn_like(parameter) for parameter in parameters]
        for gradient, direction in zip(gradients, directions, strict=True):
            slope += 0.0 if gradient is None else (gradient * direction).sum().item()
        for sign in (1, -2):
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.data += sign * step * direction
            values.append(penalty(discriminator, images).item())
        assert slope != 0
        assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4)

    @every_discriminator
    def test_a_penalised_turn_trains_and_repeats_itself(self, build: Build, deterministic: None) -> None:
        shape = (1, 16, 16)
        images, twins = pictures(shape), []
        original = build(shape=shape)
        for memory_format in (torch.contiguous_format, torch.contiguous_format, torch.channels_last):
            discriminator = copy.deepcopy(original).to(memory_format=memory_format)
            batch = images.contiguous(memory_format=memory_format)
            logits = discriminator(batch)
            (nn.functional.softplus(-logits).mean() + penalty(discriminator, batch)).backward()
            twins.append([p.grad for p in discriminator.parameters() if p.grad is not None])
        assert all(gradient.isfinite().all() for gradient in twins[0])
        assert all(torch.equal(a, b) for a, b in zip(twins[0], twins[1], strict=True))
        for a, b in zip(twins[0], twins[2], strict=True):
            assert torch.allclose(a, b, rtol=1e-3, atol=1e-4 * a.abs().max().item())

    @every_discriminator
    def test_evaluation_judges_each_image_alone(self, build: Build) -> None:
        shape = (1, 8, 8)
        discriminator = build(shape=shape).double()
        discriminator(pictures(shape, dtype=torch.float64))
        images = pictures(shape, dtype=torch.float64)
        logits = discriminator.eval()(images)
        assert logits.dtype == torch.float64
        assert torch.equal(discriminator(images), logits)
        assert torch.allclose(discriminator(images[:1]), logits[:1])
        assert torch.equal(copy.deepcopy(discriminator)(images), logits)

    @every_discriminator
    def test_bf16_autocast_trains_and_stays_close(self, build: Build) -> None:
        shape = (3, 16, 16)
        discriminator, images = build(shape=shape), pictures(shape, samples=16)
        with torch.autocast("cpu", torch.bfloat16):
            logits = discriminator(images)
        logits.float().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in discriminator.parameters())
        discriminator.eval()
        exact = discriminator(images)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = discriminator(images).float()
        assert (rounded - exact).abs().mean() < 0.1 * exact.abs().mean() + 0.02


class TestMLP:
    def test_points_in_the_plane(self) -> None:
        generator = MLPGenerator(shape=(2,), latent_size=LATENT, bounded=False)
        points = generator(100 * latents())
        assert points.shape == (BATCH, 2)
        assert points.abs().max() > 1
        assert MLPDiscriminator(shape=(2,))(points).shape == (BATCH,)

    def test_the_defaults_are_the_classic_example(self) -> None:
        sizes = [layer.weight.shape for layer in weighted_layers(MLPDiscriminator(shape=(1, 28, 28)))]
        assert sizes == [(256, 784), (256, 256), (1, 256)]
        assert MLPDiscriminator(shape=(1, 28, 28)).features[2].negative_slope == 0.2

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_every_activation_is_used(self, activation: ActivationKind) -> None:
        kind = type(ACTIVATIONS[activation]())
        for network in (MLPGenerator, MLPDiscriminator):
            layers = network(shape=(2,), hidden=(8, 8, 8), activation=activation).modules()
            assert sum(isinstance(layer, kind) for layer in layers) == 3 + (
                activation == "tanh" and network is MLPGenerator
            )


class TestDCGAN:
    # A doubling reads 2x2 of the 4x4 taps of each channel, a halving all.
    INPUTS = (
        (DCGANGenerator, [128, 256 * 4, 128 * 4, 64 * 4]),
        (DCGANDiscriminator, [1 * 16, 64 * 16, 128 * 16, 256 * 16]),
    )

    @pytest.mark.parametrize(("network", "inputs"), INPUTS)
    def test_weights_start_as_the_paper_says_or_by_their_inputs(
        self, network: Build, inputs: list[int]
    ) -> None:
        expected = {"batch": [0.02] * 4, "none": [math.sqrt(2 / count) for count in inputs]}
        for kind, stds in expected.items():
            layers = weighted_layers(network(shape=(1, 32, 32), normalization=kind))
            assert [layer.weight.std().item() for layer in layers] == pytest.approx(stds, rel=0.1)

    def test_without_normalisation_the_signal_keeps_its_scale(self) -> None:
        generator = DCGANGenerator(shape=(1, 64, 64), width=32, normalization="none")
        before_tanh = nn.Sequential(generator.project, generator.upsample, generator.image[0])
        assert 0.5 < before_tanh(torch.randn(16, 128)).std() < 2
        discriminator = DCGANDiscriminator(shape=(1, 64, 64), width=32, normalization="none")
        assert 0.3 < discriminator(torch.randn(64, 1, 64, 64)).square().mean().sqrt() < 3

    def test_batch_norm_spares_the_image_and_the_logit(self) -> None:
        def norms(network: nn.Module) -> int:
            return sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())

        discriminator = DCGANDiscriminator(shape=(1, 64, 64), width=2)
        generator = DCGANGenerator(shape=(1, 64, 64), width=2)
        assert norms(discriminator) == 3
        assert norms(discriminator.features[0]) == 0
        assert norms(generator) == 4
        assert norms(generator.image) == 0


class TestSpectralNorm:
    @pytest.mark.parametrize("kind", ["spectral", "spectral_batch"])
    @pytest.mark.parametrize("name", ["dcgan", "resnet"])
    @pytest.mark.parametrize("table", [GENERATORS, DISCRIMINATORS], ids=["generator", "discriminator"])
    def test_the_largest_singular_value_is_one(self, table: dict[str, Build], name: str, kind: str) -> None:
        network = table[f"{name}-{kind}"](shape=(3, 16, 16)).double()
        # Torch iterates 15 times when it wraps a weight. Had the weight changed since, 1 would be far off.
        assert self.largest(network) == pytest.approx(torch.ones(len(weighted_layers(network))), abs=0.3)
        perturb(network)
        inputs = latents if table is GENERATORS else partial(pictures, (3, 16, 16))
        for _ in range(100):
            network(inputs(dtype=torch.float64))
        assert self.largest(network) == pytest.approx(torch.ones(len(weighted_layers(network))), abs=0.05)

    def largest(self, network: nn.Module) -> Tensor:
        network.eval()
        values = []
        for layer in weighted_layers(network):
            assert parametrize.is_parametrized(layer, "weight")
            transposed = isinstance(layer, nn.ConvTranspose2d)
            matrix = layer.weight.transpose(0, 1).flatten(1) if transposed else layer.weight.flatten(1)
            values.append(torch.linalg.matrix_norm(matrix, 2).item())
        network.train()
        return torch.tensor(values)

    def test_other_kinds_leave_the_weights_alone(self) -> None:
        for kind in ("batch", "none"):
            network = ResNetDiscriminator(shape=(1, 16, 16), width=4, normalization=kind)
            assert not any(parametrize.is_parametrized(layer) for layer in weighted_layers(network))


class TestResNet:
    def test_the_logit_is_linear_in_the_sum_over_positions(self) -> None:
        discriminator = ResNetDiscriminator(shape=(1, 16, 16), width=4, normalization="none")
        discriminator.features = nn.Identity()
        discriminator.logit = nn.Linear(2, 1, bias=False)
        maps = torch.rand(BATCH, 2, 4, 4)
        assert torch.allclose(discriminator(maps), discriminator.logit(maps.sum((2, 3)))[:, 0])

    def test_the_first_block_has_no_activation_before_it_and_the_last_keeps_the_size(self) -> None:
        discriminator = ResNetDiscriminator(shape=(3, 32, 32), width=4)
        first, *middle, last = residuals(discriminator)
        assert isinstance(first.branch[0], nn.Conv2d)
        assert all(isinstance(block.branch[1], nn.ReLU) for block in [*middle, last])
        assert isinstance(last.shortcut, nn.Identity)
        assert discriminator.features(pictures((3, 32, 32))).shape == (BATCH, 16, 4, 4)


class TestR3GAN:
    NETWORKS = (R3GANGenerator, R3GANDiscriminator)

    @pytest.mark.parametrize("network", NETWORKS)
    def test_every_block_starts_as_the_identity(self, network: Build) -> None:
        blocks = residuals(network(shape=(1, 28, 28), blocks=3))
        assert len(blocks) == 9
        for block in blocks:
            maps = torch.randn(2, block.branch[0].in_channels, 5, 5)
            assert torch.equal(block(maps), maps)

    @pytest.mark.parametrize("network", NETWORKS)
    def test_fixup_scales_the_other_layers_by_the_number_of_branches(self, network: Build) -> None:
        for blocks in (1, 4):
            branches = residuals(network(shape=(1, 32, 32), blocks=blocks))
            assert len(branches) == 4 * blocks
            for layer in (branches[-1].branch[0], branches[-1].branch[2]):
                he = math.sqrt(2 / (1 + 0.2**2) / layer.weight[0].numel())
                assert layer.weight.std().item() == pytest.approx(he * (4 * blocks) ** -0.25, rel=0.1)

    @pytest.mark.parametrize("network", NETWORKS)
    def test_blocks_are_inverted_bottlenecks_of_grouped_convolutions(self, network: Build) -> None:
        sizes = {"width": 8, "group_size": 4, "expansion": 3}
        for block in residuals(network(shape=(1, 8, 8), **sizes)):
            widen, mix, narrow = (layer for layer in block.branch if isinstance(layer, nn.Conv2d))
            assert widen.out_channels == 3 * widen.in_channels == 3 * narrow.out_channels
            assert mix.weight.shape == (widen.out_channels, 4, 3, 3)

    @pytest.mark.parametrize("network", NETWORKS)
    def test_no_normalisation_and_a_laptop_sized_default(self, network: Build) -> None:
        built = network(shape=(3, 32, 32))
        assert 1e6 < sum(parameter.numel() for parameter in built.parameters()) < 2e6
        assert not any("Norm" in type(layer).__name__ for layer in built.modules())

    def test_the_latent_scales_the_channels_of_one_learned_map(self) -> None:
        generator = R3GANGenerator(shape=(1, 28, 28), width=8)
        generator.upsample, generator.image = nn.Identity(), nn.Identity()
        maps = generator(torch.randn(2, 128))
        ratio = maps / generator.basis
        assert maps.shape == (2, 32, 7, 7)
        assert torch.allclose(ratio, ratio[:, :, :1, :1].expand_as(ratio), rtol=1e-4)


def test_a_pyramid_halves_to_between_four_and_seven() -> None:
    for side, coarsest, doublings in [(8, 4, 1), (28, 7, 2), (48, 6, 3), (64, 4, 4), (80, 5, 4)]:
        pyramid = Pyramid.of((3, side, side))
        assert pyramid == Pyramid(channels=3, coarsest=(coarsest, coarsest), doublings=doublings)


def test_a_pyramid_tells_the_shorter_sides_from_the_image_down() -> None:
    assert Pyramid.of((3, 28, 28)).sides == [28, 14, 7]
    assert Pyramid.of((3, 64, 32)).sides == [32, 16, 8, 4]


def test_widths_double_up_to_the_cap() -> None:
    assert widths(5, width=64, max_width=300) == [64, 128, 256, 300, 300]


@pytest.mark.parametrize("network", [ResNetGenerator, DCGANDiscriminator, R3GANGenerator, R3GANDiscriminator])
@pytest.mark.parametrize(
    "shape", [(1, 30, 30), (1, 7, 7), (32, 32, 3), (1, 4, 4), (3, 8, 21), (2,), (0, 32, 32)], ids=str
)
def test_a_size_that_cannot_work_is_refused(network: Build, shape: tuple[int, ...]) -> None:
    with pytest.raises(Refused, match=r"shape|channels is 0") as refusal:
        network(shape=shape)
    message = str(refusal.value)
    assert len(message.splitlines()) <= 3
    assert str(shape) in message or "channels is 0" in message


@pytest.mark.parametrize(
    ("build", "arguments", "words"),
    [
        (DCGANGenerator, {"width": 0}, "width is 0"),
        (DCGANGenerator, {"latent_size": 0}, "latent_size is 0"),
        (MLPGenerator, {"latent_size": -1}, "latent_size is -1"),
        (ResNetDiscriminator, {"width": 32, "max_width": 16}, "max_width is 16.* 32"),
        (ResNetGenerator, {"normalization": "bach"}, "'bach'.*\n.*batch, spectral"),
        (DCGANDiscriminator, {"normalization": "Batch"}, "'Batch'.*\n.*batch, spectral"),
        (MLPDiscriminator, {"activation": "rely"}, "'rely'.*\n.*leaky_relu, relu"),
        (MLPDiscriminator, {"hidden": (8, 0)}, r"hidden\[1\] is 0"),
        (MLPDiscriminator, {"shape": ()}, r"shape is \(\)"),
        (MLPGenerator, {"shape": (2, 0)}, r"shape is \(2, 0\)"),
        (R3GANGenerator, {"blocks": 0}, "blocks is 0"),
        (R3GANDiscriminator, {"group_size": 24}, "group_size is 24.* 64"),
        (R3GANGenerator, {"width": 32, "max_width": 100}, "group_size is 16.* 200"),
        (StyleGAN2Generator, {"depth": 0}, "depth is 0"),
        (StyleGAN2Discriminator, {"minibatch_std": -1}, "group is -1"),
        (BigGANGenerator, {"latent_size": 3}, "latent_size is 3; it must be .* at least 4"),
        (BigGANGenerator, {"embedding_size": 0}, "embedding_size is 0"),
        (TransformerGenerator, {"patch": 5}, "patches of 5 x 5 pixels do not fill 32 x 32"),
        (TransformerDiscriminator, {"patch": 0}, "patch is 0"),
        (TransformerDiscriminator, {"width": 30, "heads": 4}, "width is 30, no multiple of heads, 4"),
        (TransformerGenerator, {"blocks": 0}, "blocks is 0"),
        (
            DCGANDiscriminator,
            {"batch_statistics": "std"},
            r"'std'.*\n.*none, minibatch_std, minibatch_d",
        ),
    ],
)
def test_arguments_that_cannot_work_are_refused(build: Build, arguments: dict, words: str) -> None:
    with pytest.raises(Refused, match=words) as refusal:
        build(**({"shape": (1, 32, 32)} | arguments))
    assert len(str(refusal.value).splitlines()) <= 3


def test_the_kinds_that_a_signature_offers_are_the_rows_of_its_table() -> None:
    assert set(get_args(NormalizationKind)) == set(NORMALIZATIONS) == set(INITIAL_STD)
    assert set(get_args(ActivationKind)) == set(ACTIVATIONS)


# Of what they make or judge; all others are of pictures.
SHAPES = {
    **{name: (1, 1024) for name in networks.__all__ if name.startswith("WaveGAN")},
    **{name: (3, 8) for name in networks.__all__ if name.startswith("Text")},
    "GRUGenerator": (3, 8),
    **dict.fromkeys(("ClipDiscriminator", "MoCoGANGenerator", "RandomFrames"), (4, 1, 32, 32)),
}


@pytest.mark.parametrize("name", [name for name in networks.__all__ if name != "Pretrained"])
def test_a_configuration_builds_every_network(name: str) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(nn.Module, "network")
    shape: tuple[int, ...] = SHAPES.get(name, (1, 32, 32))
    arguments: dict[str, Any] = {"shape": [*shape]}
    sources = {"EncodedGenerator", "GatedGenerator", "RRDBGenerator", "ResNetTranslator", "SRResNetGenerator"}
    if name in {*sources, "UNetGenerator"}:
        arguments["condition"] = Pictures((1, 32, 32)).plain()
    if name in ("AroundHole", "Composited"):
        arguments["condition"] = PicturesWithHoles((2, 32, 32)).plain()
        arguments["network"] = {"class_path": "UNetGenerator" if name == "Composited" else "MLPDiscriminator"}
    if name == "MoCoGANGenerator":
        arguments["network"] = {"class_path": "MLPGenerator"}
    if name in ("MultiScale", "Several"):
        arguments["networks"] = [{"class_path": "MLPDiscriminator"}] * 2
    if name in ("Heads", "Packed", "RandomFrames", "RandomProjection", "SharedTrunk", "ToldSteps"):
        arguments["network"] = {"class_path": "MLPDiscriminator"}
    if name == "Heads":
        arguments["heads"] = {"code": 3}
    if name == "Rebuilding":
        arguments["encoder"] = {"class_path": "MLPDiscriminator"}
        arguments["decoder"] = {"class_path": "MLPGenerator"}
    settings = {"class_path": f"ganlab.networks.{name}", "init_args": arguments}
    built = parser.instantiate(parser.parse_object({"network": settings})).network
    assert type(built) is getattr(networks, name)
    assert built.shape == shape
    for misspelt in ({"image_sape": 3}, {"shape": "round"}):
        with pytest.raises(ArgumentError):
            parser.parse_object({"network": settings | {"init_args": misspelt}})
