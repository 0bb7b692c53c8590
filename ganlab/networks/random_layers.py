"""Layers that draw random numbers in evaluation, too: while a game draws samples, each sample its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property

import torch
from torch import Generator, Tensor, nn

from ganlab import bounds
from ganlab.seeds import seed_for


class SampleNoise:
    """What random layers draw for the samples of a chunk: each sample's numbers follow from its own.

    They are drawn on the CPU, so that they are the same on every device.

    Args:
        numbers: Of the samples, in the order of the chunk's rows.

    Attributes:
        drawn: Whether any were drawn.
    """

    def __init__(self, seed: int, numbers: Sequence[int]) -> None:
        self.seed, self.numbers, self.drawn = seed, numbers, False

    @cached_property
    def sources(self) -> list[Generator]:
        """One a sample. A layer goes on where the one before it stopped."""
        self.drawn = True
        return [Generator().manual_seed(seed_for("inside", self.seed, number)) for number in self.numbers]


CURRENT: ContextVar[SampleNoise | None] = ContextVar("sample_noise", default=None)


@contextmanager
def drawing(noise: SampleNoise) -> Iterator[None]:
    """Within, random layers draw this noise."""
    token = CURRENT.set(noise)
    try:
        yield
    finally:
        CURRENT.reset(token)


def normal_like(inputs: Tensor) -> Tensor:
    """Normal numbers of this shape: those of the rows' samples while a game draws samples.

    Else, as in training, they come from torch's global generator; so they do for a tensor whose rows are not
    those of the samples, one each, and the game then draws its samples one at a time.
    """
    return _drawn(inputs, inputs.dtype, torch.randn_like, Tensor.normal_)


def uniform_like(inputs: Tensor) -> Tensor:
    """Numbers between 0 and 1, drawn in the same way, in float32 at least: bfloat16 has too few of them."""
    dtype = torch.promote_types(inputs.dtype, torch.float32)
    return _drawn(inputs, dtype, torch.rand_like, Tensor.uniform_)


def _drawn(
    inputs: Tensor, dtype: torch.dtype, together: Callable[..., Tensor], fill: Callable[..., Tensor]
) -> Tensor:
    # A compiled network draws from the global generator at all times: nothing else can be compiled.
    noise = None if torch.compiler.is_compiling() else CURRENT.get()
    if noise is None or len(inputs) != len(noise.numbers) or inputs.is_meta:
        return together(inputs, dtype=dtype)
    drawn = torch.empty(inputs.shape, dtype=torch.float32, device="cpu")
    for row, source in zip(drawn, noise.sources, strict=True):
        fill(row, generator=source)
    return drawn.to(inputs.device, dtype)


class Noise(nn.Module):
    """Adds normal noise, one map a sample for all channels alike, times a strength that is learned from 0 on.

    With `channels` each of these has a strength of its own, as in StyleGAN (Karras et al. 2019,
    arXiv:1812.04948, sections 2 and 3.2); without, all have the same, as in StyleGAN2 (Karras et al. 2020,
    arXiv:1912.04958).
    """

    def __init__(self, channels: int | None = None) -> None:
        super().__init__()
        bounds.at_least(1, self, channels=channels)
        self.channels = channels
        self.strength = nn.Parameter(torch.zeros(() if channels is None else channels))

    def forward(self, maps: Tensor) -> Tensor:
        strength = self.strength.to(maps.dtype)
        if self.channels is not None:
            strength = strength.view(-1, *[1] * (maps.ndim - 2))
        return maps + strength * normal_like(maps[:, :1])


class Dropout(nn.Module):
    """Dropout in evaluation as in training, as pix2pix draws samples (Isola et al. 2017, arXiv:1611.07004,
    section 3.1). torch.nn.Dropout is the ordinary one, which stops there.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        bounds.between(0, 0.99, self, p=p)
        self.p = p

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * (uniform_like(inputs) >= self.p) / (1 - self.p) if self.p else inputs
