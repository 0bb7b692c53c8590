"""Small transformers for text: a token for each place of a line."""

from __future__ import annotations

from torch import Tensor, nn

from ganlab import bounds
from ganlab.media import Medium, Text
from ganlab.networks.characters import Characters, Distribution, critic_conditioning, known_channels, line
from ganlab.networks.conditioning import (
    DiscriminatorConditioning,
    generator_conditioning,
    required,
)
from ganlab.networks.layers import Layers
from ganlab.networks.transformer import FirstTokens, ModulatedLayerNorm, TokenFeatures, block, refuse_unfit


class TextTransformerGenerator(nn.Module):
    """`TransformerGenerator` for text: it writes all places at once, and they attend to one another.

    The latent, with labels beside it, is what the first tokens are linear in, and scales and shifts what the
    blocks normalise. A text that is known is added to the first tokens. It costs memory by the square of the
    length.

    Args:
        width: Numbers in a token.
        distribution: What is made of the logits: drawn characters (gumbel, straight_through), or softmax.
        temperature: Of drawn characters at the start.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 128,
        width: int = 128,
        blocks: int = 4,
        heads: int = 4,
        distribution: Distribution = "gumbel",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, latent_size=latent_size)
        refuse_unfit(self, width=width, blocks=blocks, heads=heads)
        channels, length = line(self, shape)
        self.shape, self.latent_size = tuple(shape), latent_size
        text = condition if isinstance(condition, Text) else None
        self.conditioning = generator_conditioning(self, None if text else condition, latent_size)
        self.known = nn.Linear(known_channels(self, text, length), width) if text else None
        size = latent_size + self.conditioning.added
        self.start = FirstTokens(length, width, size)
        self.blocks = Layers(
            *(block(width, heads, [ModulatedLayerNorm(width, size) for _ in range(2)]) for _ in range(blocks))
        )
        self.norm = ModulatedLayerNorm(width, size)
        self.logits = nn.Linear(width, channels)
        self.characters = Characters(distribution, temperature)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        vector = latent if self.known else self.conditioning.inputs(latent, condition)
        tokens = self.start(vector)
        if self.known:
            tokens = tokens + self.known(required(condition).transpose(1, 2))
        tokens = self.norm(self.blocks(tokens, vector), vector)
        return self.characters(self.logits(tokens).transpose(1, 2))


class TextTransformerDiscriminator(nn.Module):
    """`TransformerDiscriminator` for text: the logit is linear in a token that stands for the whole line.

    Labels are projected on the features, or lie beside the characters as one more channel; so does a text.

    Args:
        width: Numbers in a token.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        width: int = 128,
        blocks: int = 4,
        heads: int = 4,
        conditioning: DiscriminatorConditioning = "projection",
    ) -> None:
        super().__init__()
        refuse_unfit(self, width=width, blocks=blocks, heads=heads)
        channels, length = line(self, shape)
        self.shape = tuple(shape)
        self.conditioning = critic_conditioning(self, condition, conditioning, length=length, features=width)
        characters = nn.Conv1d(channels + self.conditioning.added, width, 1)
        self.features = TokenFeatures(characters, count=length, width=width, blocks=blocks, heads=heads)
        self.logit = nn.Linear(width, 1)

    def forward(self, texts: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.features(self.conditioning.inputs(texts, condition))
        return self.conditioning.logits(self.logit(features).squeeze(1), features, condition)
