"""Generators that make a picture again from a code of it."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from ganlab import bounds
from ganlab.networks.conditioning import required
from ganlab.networks.heads import Heads
from ganlab.networks.several import Factory, told


class Rebuilding(nn.Module):
    """An encoder, which makes a code of a picture, and a decoder, which makes a picture of that.

    Args:
        encoder: What makes the layers of a discriminator; a linear map takes the place of the last.
        decoder: What makes a generator of latents, or a finished one (`Pretrained`).
        code_size: Numbers in a code; a finished decoder's latent_size.
        again: A second encoder, of what was made, as GANomaly has it.
        shape: Of a picture.
    """

    def __init__(
        self,
        *,
        encoder: Factory,
        decoder: Factory,
        shape: tuple[int, ...],
        code_size: int = 128,
        again: bool = False,
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, code_size=code_size)
        self.shape = tuple(shape)
        encoded = partial(Heads, network=encoder, heads={"code": code_size}, shape=self.shape)
        self.encoder = encoded()
        self.decoder = told(decoder, {"shape": self.shape, "latent_size": code_size})
        self.again = encoded() if again else None

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.decoder(self.code(required(condition)))

    def code(self, pictures: Tensor) -> Tensor:
        return self.encoder(pictures).heads["code"]

    def code_again(self, made: Tensor) -> Tensor:
        """By the second encoder, if there is one."""
        return (self.again or self.encoder)(made).heads["code"]
