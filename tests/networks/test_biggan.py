"""Of BigGAN's networks: the parts of a latent, what modulates which block, and the first weights."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from ganlab.media import Labels
from ganlab.networks import BigGANDiscriminator, BigGANGenerator
from ganlab.networks.biggan import parts
from ganlab.networks.conditioning import ModulatedNorm

SMALL = {"width": 4, "max_width": 16}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("latent_size", "count", "expected"),
    [(120, 5, [24] * 5), (128, 5, [26, 26, 26, 25, 25]), (6, 4, [2, 2, 1, 1]), (3, 3, [1, 1, 1])],
)
def test_a_latent_is_cut_as_equally_as_can_be(latent_size: int, count: int, expected: list[int]) -> None:
    assert parts(latent_size, count) == expected


def test_the_papers_channels_for_128_pixels() -> None:
    generator = BigGANGenerator(shape=(3, 128, 128), latent_size=120, width=2, max_width=32)
    discriminator = BigGANDiscriminator(shape=(3, 128, 128), width=2, max_width=32)
    assert generator.parts == [20] * 6
    widths = [stage.shortcut[0].out_channels for stage in generator.upsample]
    assert generator.project[0].out_features == 16 * 2 * 4 * 4
    assert widths == [16 * 2, 8 * 2, 4 * 2, 2 * 2, 2]
    assert discriminator.logit.in_features == 16 * 2


@pytest.mark.parametrize("condition", [None, Labels(5)], ids=["alone", "labels"])
def test_a_part_of_the_latent_moves_its_block_and_what_follows(condition: Labels | None) -> None:
    generator = BigGANGenerator(shape=(3, 32, 32), condition=condition, latent_size=8, **SMALL).eval()
    told = () if condition is None else (torch.tensor([2]),)
    latent, stages = torch.randn(1, 8), [generator.project, *generator.upsample]
    maps: list[torch.Tensor] = []
    for stage in stages:
        stage.register_forward_hook(lambda _, __, made: maps.append(made))
    generator(latent, *told)
    before = [*maps]
    for number in range(4):
        maps.clear()
        moved = latent.clone()
        moved[:, 2 * number : 2 * number + 2] += 3
        generator(moved, *told)
        same = [torch.equal(one, other) for one, other in zip(maps, before, strict=True)]
        assert same == [index < number for index in range(4)]


def test_labels_share_one_embedding_that_reaches_every_block() -> None:
    generator = BigGANGenerator(
        shape=(3, 32, 32), condition=Labels(5), latent_size=8, embedding_size=3, **SMALL
    )
    embeddings = [layer for layer in generator.modules() if isinstance(layer, nn.Embedding)]
    norms = [layer for layer in generator.modules() if isinstance(layer, ModulatedNorm)]
    assert [embedding.weight.shape for embedding in embeddings] == [(5, 3)]
    assert len(norms) == 2 * len(generator.upsample)
    assert {norm.embedding.in_features for norm in norms} == {2 + 3}


@pytest.mark.parametrize("build", [BigGANGenerator, BigGANDiscriminator])
def test_weights_start_orthogonal_under_spectral_norm(build: type[nn.Module]) -> None:
    network = build(shape=(3, 16, 16), attention=(8,), **SMALL)
    kinds = (nn.Linear, nn.Conv2d)
    weighted = [layer for layer in network.modules() if isinstance(layer, kinds)]
    assert weighted
    for layer in weighted:
        assert parametrize.is_parametrized(layer, "weight")
        matrix = layer.parametrizations.weight.original.flatten(1)
        products = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
        assert torch.allclose(products, torch.eye(len(products)), atol=1e-5)
