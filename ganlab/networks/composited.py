"""Generators that leave what is known as it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.media import Medium, PicturesWithHoles, Text
from ganlab.networks.conditioning import required
from ganlab.networks.several import Factory, told


class Composited(nn.Module):
    """What is known of its sources, and what a network makes in their holes or blanks alone.

    As in Pathak et al. 2016, arXiv:1604.07379, section 3.2, and Yu et al. 2019, arXiv:1806.03589, section 3.

    Args:
        network: What makes the generator, which makes the whole picture or line.
        shape: Of a picture or line.
        condition: Pictures with holes, as `Masked` data have them, or lines with blanks, as `Blanked` have.
        latent_size: Numbers in a latent.
    """

    def __init__(
        self,
        *,
        network: Factory,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 0,
    ) -> None:
        super().__init__()
        self.shape, self.latent_size = tuple(shape), latent_size
        holes = isinstance(condition, PicturesWithHoles) and condition.shape[1:] == self.shape[1:]
        blanks = isinstance(condition, Text) and condition.shape == (shape[0] + 1, *shape[1:])
        if not (holes or blanks):
            raise Refused(
                "Composited takes pictures with holes, or lines with blanks, as its condition, as large as\n"
                "what it makes: it needs conditional: true in the model, data such as Masked or Blanked,\n"
                "and to be told (tells)."
            )
        self.last_is_known = holes  # the last channel of a line is 1 where it is blank
        facts = {"shape": self.shape, "condition": condition, "latent_size": latent_size}
        self.network = told(network, facts)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        source = required(condition)
        made = self.network(latent, source)
        known = (source[:, -1:] > 0) == self.last_is_known
        return torch.where(known, source[:, :-1].to(made.dtype), made)
