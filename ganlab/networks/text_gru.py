"""A generator that writes a line character by character."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganlab.media import Medium
from ganlab.networks.characters import Characters, Distribution, Start, line


class GRUGenerator(nn.Module):
    """Each character is drawn by what a gated recurrent unit has read of those before it.

    Cho et al. 2014, arXiv:1406.1078, trained through softened draws as in Nie et al. 2019 (RelGAN, ICLR).
    Latents, with labels beside them, and a text that is known enter at each place. It takes a step for each
    place, one after the other.

    Args:
        width: Numbers that it remembers.
        distribution: What is made of the logits: drawn characters (gumbel, straight_through), or softmax.
        temperature: Of drawn characters at the start.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 128,
        width: int = 256,
        distribution: Distribution = "gumbel",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        channels, length = line(self, shape)
        self.shape, self.latent_size = tuple(shape), latent_size
        self.start = Start(self, condition, latent_size, width, length)
        self.read = nn.Linear(channels, width, bias=False)
        self.cell = nn.GRUCell(width, width)
        self.logits = nn.Linear(width, channels)
        self.characters = Characters(distribution, temperature)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        starts = self.start(latent, condition).unbind(2)
        noise = self.characters.noise(latent.new_zeros(len(latent), *self.shape)).unbind(2)
        written: list[Tensor] = []
        state = torch.zeros_like(starts[0])
        for start, drawn in zip(starts, noise, strict=True):
            state = self._next(start, written[-1] if written else None, state)
            written.append(self.characters(self.logits(state), drawn))
        return torch.stack(written, 2)

    def after_real(self, texts: Tensor, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """The logits of each character after the real ones before it, for training by their likelihood."""
        starts = self.start(latent, condition).unbind(2)
        before = [None, *texts.unbind(2)[:-1]]
        state, logits = torch.zeros_like(starts[0]), []
        for start, last in zip(starts, before, strict=True):
            state = self._next(start, last, state)
            logits.append(self.logits(state))
        return torch.stack(logits, 2)

    def _next(self, start: Tensor, last: Tensor | None, state: Tensor) -> Tensor:
        return self.cell(start if last is None else start + self.read(last), state)
