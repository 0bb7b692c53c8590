"""Small transformers: pictures as patches, which attend to one another."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media import Medium
from ganlab.networks.attention import attended
from ganlab.networks.conditioning import (
    DiscriminatorConditioning,
    discriminator_conditioning,
    generator_conditioning,
)
from ganlab.networks.layers import Conditional, Layers, Residual, picture

EXPANSION = 4  # the hidden layer of a block to its tokens, as in Vaswani et al. 2017, arXiv:1706.03762
ADDED_STD = 0.02  # of positions that are added to patches, as in Dosovitskiy et al. 2021, arXiv:2010.11929


def _grid(network: nn.Module, shape: tuple[int, ...], patch: int) -> tuple[int, int, int]:
    """Channels, and how many patches there are in the height and in the width."""
    channels, height, width = picture(shape)
    bounds.at_least(1, network, patch=patch)
    if height % patch or width % patch:
        raise Refused(
            f"{type(network).__name__}: patches of {patch} x {patch} pixels do not fill {height} x {width}.\n"
            "Take a patch that divides both sides, or another size in the data."
        )
    return channels, height // patch, width // patch


def refuse_unfit(network: nn.Module, *, width: int, blocks: int, heads: int) -> None:
    bounds.at_least(1, network, width=width, blocks=blocks, heads=heads)
    if width % heads:
        raise Refused(f"{type(network).__name__}: width is {width}, no multiple of heads, {heads}.")


def positions(count: int, width: int, *, std: float) -> nn.Parameter:
    return nn.Parameter(std * torch.randn(count, width))


class FirstTokens(nn.Module):
    """A token for each place: a learned one, and beside it one that is linear in a vector.

    As in Jiang et al. 2021 (TransGAN), arXiv:2102.07074, section 3.2, but that the learned ones start as
    large as the others: a block's branches would drown smaller ones.
    """

    def __init__(self, count: int, width: int, size: int) -> None:
        super().__init__()
        self.learned = positions(count, width, std=1.0)
        self.linear = nn.Linear(size, count * width)

    def forward(self, vector: Tensor) -> Tensor:
        return self.learned + self.linear(vector).unflatten(1, self.learned.shape)


class TokenAttention(nn.Module):
    """Attention between tokens by several heads: Vaswani et al. 2017, arXiv:1706.03762, section 3.2."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = 1 / math.sqrt(width // heads)
        self.inputs = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        by_head = self.inputs(tokens).unflatten(2, (3, self.heads, -1)).transpose(1, 3)
        query, key, value = by_head.unbind(2)
        return self.out(attended(self.scale * query, key, value).transpose(1, 2).flatten(2))


class ModulatedLayerNorm(Conditional):
    """Layer norm whose scale and shift are linear in a vector: Chen et al. 2019, arXiv:1810.01365."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.scale_and_shift = nn.Linear(size, 2 * width)

    def forward(self, tokens: Tensor, condition: Tensor | None = None) -> Tensor:
        gain, shift = self.scale_and_shift(condition)[:, None].chunk(2, 2)
        return self.norm(tokens) * (1 + gain) + shift


def block(width: int, heads: int, norms: list[nn.Module]) -> Layers:
    hidden = EXPANSION * width
    first, second = norms
    return Layers(
        Residual(branch=Layers(first, TokenAttention(width, heads)), shortcut=nn.Identity()),
        Residual(
            branch=Layers(second, nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)),
            shortcut=nn.Identity(),
        ),
    )


class TransformerGenerator(nn.Module):
    """A generator of patches, after Lee et al. 2022 (ViTGAN), arXiv:2107.04589, section 3.3.

    Its first tokens are learned, and linear in the latent (`FirstTokens`), which also scales and shifts what
    the blocks normalise. A linear map makes the pixels of a patch of its token, where the paper has a small
    network. The picture's sides are multiples of `patch`. It costs memory by the square of the number of
    patches.

    Labels lie beside the latent.

    Args:
        patch: Its side in pixels.
        width: Numbers in a token.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 128,
        patch: int = 4,
        width: int = 128,
        blocks: int = 4,
        heads: int = 4,
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, latent_size=latent_size)
        refuse_unfit(self, width=width, blocks=blocks, heads=heads)
        channels, *self.grid = _grid(self, shape, patch)
        self.shape, self.latent_size = tuple(shape), latent_size
        self.conditioning = generator_conditioning(self, condition, latent_size)
        size = latent_size + self.conditioning.added
        self.start = FirstTokens(math.prod(self.grid), width, size)
        self.blocks = Layers(
            *(block(width, heads, [ModulatedLayerNorm(width, size) for _ in range(2)]) for _ in range(blocks))
        )
        self.norm = ModulatedLayerNorm(width, size)
        pixels = nn.ConvTranspose2d(width, channels, patch, stride=patch)
        # torch takes the fan-in of a transposed convolution from the pixels of a patch.
        nn.init.normal_(pixels.weight, std=1 / math.sqrt(width))
        self.image = nn.Sequential(pixels, nn.Tanh())

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        vector = self.conditioning.inputs(latent, condition)
        tokens = self.blocks(self.start(vector), vector)
        return self.image(self.norm(tokens, vector).transpose(1, 2).unflatten(2, self.grid))


class TokenFeatures(nn.Module):
    """From samples to the numbers of one more token, which stands for the whole.

    Args:
        patches: From samples to `count` tokens: (n, width, count).
    """

    def __init__(self, patches: nn.Module, *, count: int, width: int, blocks: int, heads: int) -> None:
        super().__init__()
        self.patches = patches
        self.whole = positions(1, width, std=ADDED_STD)
        self.positions = positions(count, width, std=ADDED_STD)
        self.blocks = Layers(
            *(block(width, heads, [nn.LayerNorm(width) for _ in range(2)]) for _ in range(blocks))
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patches(images).transpose(1, 2)
        tokens = torch.cat([self.whole.expand(len(images), -1, -1), patches + self.positions], 1)
        return self.norm(self.blocks(tokens)[:, 0])


class TransformerDiscriminator(nn.Module):
    """The vision transformer of Dosovitskiy et al. 2021, arXiv:2010.11929, as a discriminator, small.

    The logit is linear in the token that stands for the whole picture. The picture's sides are multiples of
    `patch`. It costs memory by the square of the number of patches.

    Labels are projected on the features, or lie beside the images as one more channel.

    Args:
        patch: Its side in pixels.
        overlap: Pixels that a token sees beyond its patch on each side (Lee et al. 2022, section 3.2); by
            default half a patch.
        width: Numbers in a token.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        patch: int = 4,
        overlap: int | None = None,
        width: int = 128,
        blocks: int = 4,
        heads: int = 4,
        conditioning: DiscriminatorConditioning = "projection",
    ) -> None:
        super().__init__()
        refuse_unfit(self, width=width, blocks=blocks, heads=heads)
        channels, *grid = _grid(self, shape, patch)
        self.shape = tuple(shape)
        self.conditioning = discriminator_conditioning(
            self, condition, conditioning, inputs=(1, *shape[1:]), features=width
        )
        inputs = channels + self.conditioning.added
        beyond = patch // 2 if overlap is None else overlap
        bounds.at_least(0, self, overlap=beyond)
        seen = nn.Conv2d(inputs, width, patch + 2 * beyond, stride=patch, padding=beyond)
        patches = nn.Sequential(seen, nn.Flatten(2))
        sizes = {"width": width, "blocks": blocks, "heads": heads}
        self.features = TokenFeatures(patches, count=math.prod(grid), **sizes)
        self.logit = nn.Linear(width, 1)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.features(self.conditioning.inputs(images, condition))
        return self.conditioning.logits(self.logit(features).squeeze(1), features, condition)
