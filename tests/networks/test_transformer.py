"""Of the transformers: attention against torch's, patches of any size, and what their order is to them."""

import pytest
import torch
from torch import nn

from ganlab.networks import TransformerDiscriminator, TransformerGenerator
from ganlab.networks.transformer import ModulatedLayerNorm, TokenAttention

SMALL = {"width": 8, "blocks": 2, "heads": 2}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_attention_by_heads_is_torchs() -> None:
    layer, oracle = TokenAttention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    oracle.in_proj_weight.data, oracle.in_proj_bias.data = layer.inputs.weight.data, layer.inputs.bias.data
    oracle.out_proj.load_state_dict(layer.out.state_dict())
    tokens = torch.randn(2, 5, 12)
    expected, _ = oracle(tokens, tokens, tokens)
    assert torch.allclose(layer(tokens), expected, atol=1e-6)


def test_a_vector_scales_and_shifts_each_samples_normalised_tokens() -> None:
    layer, tokens, vector = ModulatedLayerNorm(4, 3), torch.randn(2, 5, 4), torch.randn(2, 3)
    for made, own, told in zip(layer(tokens, vector), tokens, vector, strict=True):
        gain, shift = layer.scale_and_shift(told).chunk(2)
        expected = nn.functional.layer_norm(own, (4,)) * (1 + gain) + shift
        assert torch.allclose(made, expected, atol=1e-6)


SIZES = [((1, 28, 28), 7), ((3, 10, 6), 2), ((2, 4, 4), 4), ((1, 5, 3), 1)]


@pytest.mark.parametrize(("shape", "patch"), SIZES)
def test_any_shape_that_patches_fill(shape: tuple[int, ...], patch: int) -> None:
    generator = TransformerGenerator(shape=shape, latent_size=5, patch=patch, **SMALL)
    images = generator(torch.randn(3, 5))
    assert images.shape == (3, *shape)
    assert TransformerDiscriminator(shape=shape, patch=patch, **SMALL)(images).shape == (3,)


def test_a_patch_is_made_of_its_token_alone_and_read_as_one() -> None:
    generator = TransformerGenerator(shape=(1, 8, 8), latent_size=5, patch=4, **SMALL)
    tokens = torch.randn(1, 8, 2, 2)
    moved = tokens.clone()
    moved[:, :, 0, 1] += 1
    changed = (generator.image(moved) != generator.image(tokens))[0, 0]
    assert changed[:4, 4:].all()
    assert changed.sum() == 16


def test_a_discriminator_without_positions_does_not_see_the_order_of_patches() -> None:
    critic = TransformerDiscriminator(shape=(1, 8, 8), patch=4, overlap=0, **SMALL).double()
    images = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    assert not torch.allclose(critic(images), critic(images.roll(4, 3)))
    nn.init.zeros_(critic.features.positions)
    assert torch.allclose(critic(images), critic(images.roll(4, 3)))
    assert not torch.allclose(critic(images), critic(images.roll(1, 3)))


def test_the_pixels_start_with_a_spread_like_that_of_pictures() -> None:
    images = TransformerGenerator(shape=(3, 32, 32))(torch.randn(8, 128))
    assert 0.3 < images.std() < 0.8
