"""Of networks that are told labels: what the labels change, by which formula, and what stays as it was."""

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganlab import GAN
from ganlab.checkpoints.rebuild import rebuild
from ganlab.errors import Refused
from ganlab.media import Labels, Medium, Pictures, Points
from ganlab.networks import (
    BigGANDiscriminator,
    BigGANGenerator,
    DCGANDiscriminator,
    DCGANGenerator,
    MLPDiscriminator,
    MLPGenerator,
    PatchGANDiscriminator,
    R3GANDiscriminator,
    R3GANGenerator,
    ResNetDiscriminator,
    ResNetGenerator,
    StyleGAN2Discriminator,
    StyleGAN2Generator,
    TransformerDiscriminator,
    TransformerGenerator,
)
from ganlab.networks.conditioning import (
    ConditionalNorm,
    DiscriminatorConditioning,
    GeneratorConditioning,
    embedding,
)

SHAPE = (3, 8, 8)
LATENT = 6
CLASS = Labels(5)
ATTRIBUTES = Labels(3, several=True)
MAPS = {"width": 4, "max_width": 8}
TRANSFORMER = {"width": 8, "blocks": 1, "heads": 2}
R3GAN = {"width": 4, "max_width": 8, "group_size": 4, "blocks": 1}

Build = Callable[..., nn.Module]

GENERATORS: dict[str, Build] = {
    "mlp": partial(MLPGenerator, hidden=(16,)),
    "r3gan": partial(R3GANGenerator, **R3GAN),
    "stylegan2": partial(StyleGAN2Generator, depth=2, noise=False, **MAPS),
    "biggan": partial(BigGANGenerator, embedding_size=3, **MAPS),
    "transformer": partial(TransformerGenerator, **TRANSFORMER),
    **{
        f"{name}-{kind}-{norm}": partial(network, conditioning=kind, normalization=norm, **MAPS)
        for name, network in (("dcgan", DCGANGenerator), ("resnet", ResNetGenerator))
        for kind, norm in (
            ("concatenation", "none"),
            ("concatenation", "spectral"),
            ("normalization", "batch"),
            ("normalization", "spectral_batch"),
            ("normalization", "instance"),
        )
    },
}
GENERATORS = {name: partial(build, latent_size=LATENT) for name, build in GENERATORS.items()}
BY_NORM = {name: build for name, build in GENERATORS.items() if "-normalization-" in name}
DISCRIMINATORS: dict[str, Build] = {
    f"{name}-{kind}": partial(build, conditioning=kind)
    for name, build in {
        "mlp": partial(MLPDiscriminator, hidden=(16,)),
        "mlp-flat": partial(MLPDiscriminator, hidden=()),
        "r3gan": partial(R3GANDiscriminator, **R3GAN),
        "stylegan2": partial(StyleGAN2Discriminator, minibatch_std=0, **MAPS),
        "biggan": partial(BigGANDiscriminator, **MAPS),
        "transformer": partial(TransformerDiscriminator, **TRANSFORMER),
        "dcgan": partial(DCGANDiscriminator, **MAPS),
        "dcgan-spectral": partial(DCGANDiscriminator, normalization="spectral", **MAPS),
        "resnet": partial(ResNetDiscriminator, **MAPS),
        "resnet-none": partial(ResNetDiscriminator, normalization="none", **MAPS),
    }.items()
    for kind in get_args(DiscriminatorConditioning)
}
PROJECTIONS = {name: build for name, build in DISCRIMINATORS.items() if name.endswith("projection")}
DISCRIMINATORS["patches"] = partial(PatchGANDiscriminator, layers=1, **MAPS)


def over(table: dict[str, Build]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("build", table.values(), ids=table.keys())


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def perturb(network: nn.Module) -> nn.Module:
    """Add noise to all parameters, because those that start at zero would let no label through."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return network


def some(labels: Labels, count: int) -> Tensor:
    """Labels of which the first two differ, and the second and the third do not."""
    if labels.several:
        return torch.tensor([[1, 0, 1], [0, 1, 1], [0, 1, 1], [0, 0, 0]])[torch.arange(count) % 4]
    return torch.tensor([3, 0, 0, 4])[torch.arange(count) % 4]


def same_inputs(*shape: int, count: int = 4) -> Tensor:
    return torch.randn(1, *shape).expand(count, *shape).contiguous()


both = pytest.mark.parametrize("labels", [CLASS, ATTRIBUTES], ids=["class", "attributes"])


class TestEveryGenerator:
    @over(GENERATORS)
    @both
    def test_the_label_alone_changes_a_latents_sample(self, build: Build, labels: Labels) -> None:
        generator = perturb(build(shape=SHAPE, condition=labels)).eval()
        first, second, third, fourth = generator(same_inputs(LATENT), some(labels, 4))
        assert first.shape == SHAPE
        assert torch.allclose(second, third, atol=1e-6)
        assert not torch.allclose(first, second, atol=1e-3)
        assert not torch.allclose(third, fourth, atol=1e-3)
        other = generator(torch.randn(1, LATENT), some(labels, 1))
        assert not torch.allclose(other[0], first, atol=1e-3)

    @over(GENERATORS)
    @both
    def test_every_parameter_learns(self, build: Build, labels: Labels) -> None:
        generator = perturb(build(shape=SHAPE, condition=labels))
        condition = torch.eye(3).long() if labels.several else torch.arange(5)
        images = generator(torch.randn(len(condition), LATENT), condition)
        (images * torch.randn_like(images)).sum().backward()
        for name, parameter in generator.named_parameters():
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name

    @over(GENERATORS)
    def test_an_embedding_learns_of_its_own_label_alone(self, build: Build) -> None:
        generator = build(shape=SHAPE, condition=CLASS)
        labels = torch.tensor([1, 3, 3, 1])
        images = generator(torch.randn(4, LATENT), labels)
        (images * torch.randn_like(images)).sum().backward()
        layers = [layer for layer in generator.modules() if isinstance(layer, nn.Embedding)]
        assert layers
        for layer in layers:
            learned = layer.weight.grad.abs().sum(1) > 0
            assert learned.tolist() == [False, True, False, True, False]

    @over(BY_NORM)
    @both
    def test_conditional_norms_start_as_plain_ones(self, build: Build, labels: Labels) -> None:
        conditional, plain = build(shape=SHAPE, condition=labels), build(shape=SHAPE)
        assert isinstance(conditional.conditioning, nn.Module)
        plain.load_state_dict(conditional.state_dict(), strict=False)
        wanted = {name.replace(".norm.", ".") for name in conditional.state_dict() if "running" in name}
        assert wanted == {name for name in plain.state_dict() if "running" in name}
        latent = torch.randn(4, LATENT)
        assert torch.allclose(conditional(latent, some(labels, 4)), plain(latent), atol=1e-5)

    @pytest.mark.parametrize("norm", [nn.BatchNorm2d, nn.InstanceNorm2d])
    @both
    def test_a_conditional_norm_scales_and_shifts_by_the_label(
        self, norm: type[nn.Module], labels: Labels
    ) -> None:
        layer = perturb(ConditionalNorm(labels, norm, 7))
        maps, condition = torch.randn(4, 7, 5, 5), some(labels, 4)
        normalised = norm(7, affine=False)(maps)
        for item, vector in enumerate(layer.embedding(condition)):
            for channel in range(7):
                expected = (1 + vector[channel]) * normalised[item, channel] + vector[7 + channel]
                assert torch.allclose(layer(maps, condition)[item, channel], expected, atol=1e-5)

    @pytest.mark.parametrize("several", [False, True])
    def test_the_embedding_beside_the_latent_spreads_as_it_does(self, several: bool) -> None:
        layer = embedding(Labels(64, several=several), 256)
        labels = torch.rand(500, 64).round().long() if several else torch.randint(64, (500,))
        assert layer(labels).std().item() == pytest.approx(1, abs=0.1)


class TestEveryDiscriminator:
    @over(DISCRIMINATORS)
    @both
    def test_the_label_alone_changes_an_images_logit(self, build: Build, labels: Labels) -> None:
        discriminator = perturb(build(shape=SHAPE, condition=labels)).eval()
        first, second, third, fourth = discriminator(same_inputs(*SHAPE), some(labels, 4))
        assert torch.allclose(second, third, atol=1e-6)
        assert not torch.allclose(first, second, atol=1e-4)
        assert not torch.allclose(third, fourth, atol=1e-4)

    @over(PROJECTIONS)
    @both
    def test_projection_adds_the_inner_product_of_features_and_embedding(
        self, build: Build, labels: Labels
    ) -> None:
        discriminator = build(shape=SHAPE, condition=labels).eval()
        seen = {}
        discriminator.logit.register_forward_hook(
            lambda _, inputs, output: seen.update(x=inputs[0], y=output)
        )
        condition = some(labels, 4)
        logits = discriminator(torch.randn(4, *SHAPE), condition)
        vectors = discriminator.conditioning.embedding.weight
        if labels.several:
            embedded = condition.float() @ vectors.T
        else:
            embedded = torch.stack([vectors[label] for label in condition])
        expected = [y[0] + torch.dot(e, x) for x, y, e in zip(seen["x"], seen["y"], embedded, strict=True)]
        assert logits.shape == (4,)
        assert torch.allclose(logits, torch.stack(expected), atol=1e-5)

    @over(PROJECTIONS)
    def test_a_projected_label_starts_no_larger_than_the_rest(self, build: Build) -> None:
        discriminator = build(shape=(3, 32, 32), condition=Labels(10))
        images = torch.randn(64, 3, 32, 32).tanh()
        logits = discriminator(images, torch.arange(64) % 10)
        features = discriminator.features(images)
        features = features.sum((2, 3)) if features.ndim > 2 else features
        projected = logits - discriminator.logit(features)[:, 0]
        assert 0 < projected.square().mean() < 2 * features.square().mean()

    @over(DISCRIMINATORS)
    @both
    def test_penalties_reach_every_weight(self, build: Build, labels: Labels) -> None:
        discriminator = perturb(build(shape=SHAPE, condition=labels))
        images = torch.randn(4, *SHAPE, requires_grad=True)
        condition = some(labels, 4)
        logits = discriminator(images, condition)
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        (gradient.square().sum() + logits.square().sum()).backward()
        for name, parameter in discriminator.named_parameters():
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name

    @pytest.mark.parametrize("network", [DCGANDiscriminator, ResNetDiscriminator])
    @both
    def test_spectral_norm_bounds_the_projection_too(self, network: Build, labels: Labels) -> None:
        discriminator = network(shape=SHAPE, condition=labels, normalization="spectral", **MAPS)
        layer = discriminator.conditioning.embedding
        assert parametrize.is_parametrized(layer, "weight")
        for _ in range(30):
            discriminator(torch.randn(4, *SHAPE), some(labels, 4))
        discriminator.eval()
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.02)


@over(GENERATORS | DISCRIMINATORS)
class TestEveryNetwork:
    def inputs(self, network: nn.Module) -> Tensor:
        torch.manual_seed(1)
        return torch.randn(4, *(SHAPE if "Discriminator" in type(network).__name__ else (LATENT,)))

    def call(self, network: nn.Module, *condition: Tensor) -> Tensor:
        return network(self.inputs(network), *condition)

    def test_no_condition_draws_the_same_numbers_as_leaving_it_out(self, build: Build) -> None:
        networks = []
        for arguments in ({}, {"condition": None}):
            torch.manual_seed(0)
            networks.append(build(shape=SHAPE, **arguments))
        one, other = networks
        assert torch.equal(self.call(one), self.call(other))
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name])
        assert not any("conditioning" in name for name in one.state_dict())

    def test_a_condition_where_none_belongs_and_none_where_one_does_are_refused(self, build: Build) -> None:
        with pytest.raises(Refused, match="built to take none"):
            self.call(build(shape=SHAPE), some(CLASS, 4))
        with pytest.raises(Refused, match="is given none"):
            self.call(build(shape=SHAPE, condition=CLASS))

    def test_precisions_and_copies_agree(self, build: Build) -> None:
        network = perturb(build(shape=SHAPE, condition=CLASS)).eval()
        outputs = self.call(network, some(CLASS, 4))
        assert torch.equal(self.call(copy.deepcopy(network), some(CLASS, 4)), outputs)
        scale = outputs.abs().mean()
        with torch.autocast("cpu", torch.bfloat16):
            assert (self.call(network, some(CLASS, 4)) - outputs).abs().mean() < 0.1 * scale + 0.02
        exact = network.double()(self.inputs(network).double(), some(CLASS, 4))
        assert exact.dtype == torch.float64
        assert torch.allclose(exact.float(), outputs, atol=1e-3 * scale.item() + 1e-4)

    @pytest.mark.parametrize("condition", [Points((2,)), Pictures(SHAPE)], ids=["points", "pictures"])
    def test_other_conditions_are_refused_by_name(self, build: Build, condition: Medium) -> None:
        if build.func is PatchGANDiscriminator and isinstance(condition, Pictures):
            pytest.skip("It takes them.")
        with pytest.raises(Refused, match="UNetGenerator and PatchGANDiscriminator") as refusal:
            build(shape=SHAPE, condition=condition)
        assert type(condition).__name__ in str(refusal.value)
        assert len(str(refusal.value).splitlines()) <= 3


@pytest.mark.parametrize("network", [DCGANGenerator, ResNetGenerator])
@pytest.mark.parametrize("norm", ["none", "spectral"])
def test_conditional_norms_need_a_norm(network: Build, norm: str) -> None:
    with pytest.raises(Refused, match=r"conditioning is 'normalization'.*\n.*=concatenation"):
        network(shape=SHAPE, condition=CLASS, conditioning="normalization", normalization=norm)


@pytest.mark.parametrize("network", [DCGANGenerator, ResNetGenerator, DCGANDiscriminator, MLPDiscriminator])
def test_a_misspelt_way_is_refused_with_those_that_exist(network: Build) -> None:
    ways = DiscriminatorConditioning if "Discr" in network.__name__ else GeneratorConditioning
    for condition in (None, CLASS):
        with pytest.raises(Refused, match="'projecting'.*\nKnown: " + ", ".join(get_args(ways))):
            network(shape=SHAPE, condition=condition, conditioning="projecting")


class Game(GAN):
    """A game that no file may name by itself, so that it is built without being tried."""


PLAIN = {
    "class": {
        "class_path": "ganlab.media.Labels",
        "init_args": {"classes": 10, "names": None, "several": False},
    },
    "attributes": Labels(4, names=["a", "b", "c", "d"], several=True).plain(),
}


@pytest.mark.parametrize("condition", PLAIN.values(), ids=PLAIN.keys())
@pytest.mark.parametrize("family", ["MLP", "DCGAN", "ResNet", "R3GAN"])
@pytest.mark.parametrize("trusted", [False, True])
def test_plain_hyperparameters_build_networks_with_conditions(
    family: str, condition: dict[str, Any], trusted: bool
) -> None:
    facts = {"shape": [1, 8, 8], "condition": condition}
    players = {
        player.lower(): {"class_path": f"ganlab.networks.{family}{player}", "init_args": dict(facts)}
        for player in ("Generator", "Discriminator")
    }
    path = f"{Game.__module__}.Game"
    game = rebuild({"_class_path": path, **players}, Path("a.ckpt"), classes=[Game], trusted=trusted)
    several = condition["init_args"]["several"]
    labels = torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0]]) if several else torch.tensor([9, 0])
    images = game.generator(torch.randn(2, 128), labels)
    assert images.shape == (2, 1, 8, 8)
    assert game.discriminator(images, labels).shape == (2,)
