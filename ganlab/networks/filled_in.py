"""Generators that leave what is known of a line as it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.media import Medium, Text
from ganlab.networks.conditioning import required
from ganlab.networks.several import Factory, told


class FilledIn(nn.Module):
    """Lines with the known characters of their sources, and what a network makes in their blanks alone.

    The end of a line is known, too.

    Args:
        network: What makes the generator, which makes the whole line.
        shape: Of a line.
        condition: Lines with blanks, as `Blanked` data have them.
        latent_size: Numbers in a latent.
    """

    def __init__(
        self,
        *,
        network: Factory,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 128,
    ) -> None:
        super().__init__()
        if not isinstance(condition, Text) or condition.shape != (shape[0] + 1, *shape[1:]):
            raise Refused(
                "FilledIn takes lines with blanks as its condition: a channel more than the lines have.\n"
                "It needs conditional: true in the model, and Blanked data."
            )
        self.shape, self.latent_size = tuple(shape), latent_size
        facts = {"shape": self.shape, "condition": condition, "latent_size": latent_size}
        self.network = told(network, facts)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        source = required(condition)
        made = self.network(latent, source)
        return torch.where(source[:, -1:] > 0, made, source[:, :-1].to(made.dtype))
