"""A discriminator that is told how diffused its images are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganlab.diffusion import MOST
from ganlab.media import Medium
from ganlab.networks.several import Factory, Wrapping, told


class ToldSteps(Wrapping):
    """Tells a discriminator the steps of diffusion that each image has taken, in one more channel: t / 1000.

    Args:
        network: What makes the discriminator, which takes images of one channel more than the data's.
        shape: Of an image.
        classes: How many the data have.
        condition: What a batch's second column holds, in a conditional game.
    """

    def __init__(
        self,
        *,
        network: Factory,
        shape: tuple[int, ...],
        classes: int | None = None,
        condition: Medium | None = None,
    ) -> None:
        super().__init__()
        channels, *size = shape
        facts = {"shape": (channels + 1, *size), "classes": classes, "condition": condition}
        self.network, self.shape = told(network, facts), tuple(shape)

    def forward(self, images: Tensor, steps: Tensor, *condition: Any) -> Any:
        level = (steps / MOST).to(images.dtype).view(-1, *[1] * (images.ndim - 1))
        return self.network(torch.cat([images, level.expand_as(images[:, :1])], 1), *condition)
