"""WaveGAN's networks: DCGAN's in one dimension, with long kernels and a stride of four."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media import Medium
from ganlab.networks.conditioning import (
    DiscriminatorConditioning,
    discriminator_conditioning,
    generator_conditioning,
)
from ganlab.networks.layers import SLOPE, WEIGHT_NORMALIZATIONS, WeightNormalization, choose, widths
from ganlab.networks.random_layers import uniform_like
from ganlab.networks.strided import weighted

COARSEST = 64  # samples that the coarsest map has fewer of


@dataclass(frozen=True)
class Lengths:
    """The lengths of a network's maps: that of the coarsest, and how often it is multiplied by the stride."""

    channels: int
    coarsest: int
    levels: int

    @classmethod
    def of(cls, shape: tuple[int, ...], stride: int) -> Lengths:
        """Of sounds of this shape, down to 16 samples or few more."""
        if len(shape) != 2 or min(shape) < 1:
            raise Refused(f"shape is {tuple(shape)}, but this network needs (channels, samples), from 1 on.")
        channels, length = shape
        levels = 0
        while length % stride == 0 and length // stride >= COARSEST // stride:
            length, levels = length // stride, levels + 1
        if not levels or length >= COARSEST:
            raise Refused(
                f"shape is {tuple(shape)}: its samples do not divide by {stride} again and again down to"
                f" {COARSEST // stride} to {COARSEST - 1}.\nTake {_nearest(shape[1], stride):,} samples, for"
                " example, by the length in the data."
            )
        return cls(channels, length, levels)


def _nearest(length: int, stride: int) -> int:
    """The shortest length that is no shorter and divides."""
    power = stride
    while -(-length // power) >= COARSEST:
        power *= stride
    return max(-(-length // power), COARSEST // stride) * power


class PhaseShuffle(nn.Module):
    """Moves each sample's map by up to so many places, the same for all channels: section 3.3.

    What is moved out of the map is lost; what is missing at the other end is mirrored from the map. In
    evaluation nothing moves.
    """

    def __init__(self, places: int) -> None:
        super().__init__()
        bounds.at_least(0, self, places=places)
        self.places = places

    def forward(self, maps: Tensor) -> Tensor:
        if not (self.training and self.places):
            return maps
        # Of a map that is shorter than the move, mirroring once would not do.
        last = maps.shape[2] - 1
        most = min(self.places, last)
        shifts = (uniform_like(maps[:, :1, :1]) * (2 * most + 1)).long() - most
        mirrored = (torch.arange(last + 1, device=maps.device) + shifts).abs()
        return maps.gather(2, (last - (last - mirrored).abs()).expand_as(maps))


class WaveGANGenerator(nn.Module):
    """The generator of Donahue et al. 2019, arXiv:1802.04208: a linear map, then transposed convolutions.

    `width` is the channels of the finest hidden map; they double toward the coarsest, up to `max_width`. The
    length divides by the stride again and again, down to between 16 and 63 samples where the stride is 4.
    Labels lie beside the latent.

    Args:
        kernel: Samples of a filter.
        stride: By which each layer makes maps longer.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 128,
        width: int = 64,
        max_width: int = 1024,
        kernel: int = 25,
        stride: int = 4,
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, latent_size=latent_size, width=width)
        bounds.at_least(2, self, stride=stride)
        refuse_kernel(kernel, stride)
        lengths = Lengths.of(shape, stride)
        self.shape, self.latent_size = tuple(shape), latent_size
        self.conditioning = generator_conditioning(self, condition, latent_size)
        channels = widths(lengths.levels, width=width, max_width=max_width)[::-1]
        start = nn.Linear(latent_size + self.conditioning.added, channels[0] * lengths.coarsest)
        self.project = nn.Sequential(
            weighted(start, "none"), nn.Unflatten(1, (channels[0], lengths.coarsest)), nn.ReLU()
        )
        longer = partial(
            nn.ConvTranspose1d,
            kernel_size=kernel,
            stride=stride,
            padding=(kernel - stride + 1) // 2,
            output_padding=(kernel - stride) % 2,
        )
        stages = [nn.Sequential(weighted(longer(*pair), "none"), nn.ReLU()) for pair in pairwise(channels)]
        self.upsample = nn.Sequential(*stages)
        self.sound = nn.Sequential(weighted(longer(channels[-1], lengths.channels), "none"), nn.Tanh())

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        maps = self.project(self.conditioning.inputs(latent, condition))
        return self.sound(self.upsample(maps))


class WaveGANDiscriminator(nn.Module):
    """The discriminator of Donahue et al. 2019, arXiv:1802.04208: strided convolutions and phase shuffle.

    Phase shuffle follows each layer but the last, so that the phase in which a generator's artefacts always
    come does not tell them. Labels are projected on the features, or lie beside the sound as a channel.

    Args:
        kernel: Samples of a filter.
        stride: By which each layer makes maps shorter.
        phase_shuffle: By how many places maps are moved at most.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        width: int = 64,
        max_width: int = 1024,
        kernel: int = 25,
        stride: int = 4,
        phase_shuffle: int = 2,
        normalization: WeightNormalization = "none",
        conditioning: DiscriminatorConditioning = "projection",
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, width=width)
        bounds.at_least(2, self, stride=stride)
        refuse_kernel(kernel, stride)
        lengths = Lengths.of(shape, stride)
        norm = choose(WEIGHT_NORMALIZATIONS, name="normalization", value=normalization)
        channels = widths(lengths.levels, width=width, max_width=max_width)
        features = channels[-1] * lengths.coarsest
        self.shape = tuple(shape)
        self.conditioning = discriminator_conditioning(
            self, condition, conditioning, inputs=(1, *shape[1:]), features=features, weight=norm.weight
        )
        shorter = partial(nn.Conv1d, kernel_size=kernel, stride=stride, padding=(kernel - stride + 1) // 2)
        inputs = [lengths.channels + self.conditioning.added, *channels[:-1]]
        layers = [
            layer
            for fine, coarse in zip(inputs, channels, strict=True)
            for layer in (
                weighted(shorter(fine, coarse), normalization),
                nn.LeakyReLU(SLOPE),
                PhaseShuffle(phase_shuffle),
            )
        ]
        self.features = nn.Sequential(*layers[:-1], nn.Flatten())
        self.logit = weighted(nn.Linear(features, 1), normalization)

    def forward(self, sounds: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.features(self.conditioning.inputs(sounds, condition))
        logits = self.logit(features).squeeze(1)
        return self.conditioning.logits(logits, features, condition)


def refuse_kernel(kernel: int, stride: int) -> None:
    if kernel < stride:
        raise Refused(
            f"kernel is {kernel}, below the stride, {stride}: some samples would be seen by no filter.\n"
            "Take a longer kernel, such as 25."
        )
