"""Networks of clips: of a content and a motion, and critics of single frames and of whole clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.judgements import Judged
from ganlab.media import Medium
from ganlab.networks.conditioning import (
    DiscriminatorConditioning,
    discriminator_conditioning,
    generator_conditioning,
)
from ganlab.networks.layers import (
    SLOPE,
    WEIGHT_NORMALIZATIONS,
    Pyramid,
    WeightNormalization,
    choose,
    widths,
)
from ganlab.networks.random_layers import uniform_like
from ganlab.networks.several import Factory, Wrapping, told
from ganlab.networks.strided import weighted


def clip(network: nn.Module, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """The frames of a clip, and the shape of one; any other shape is refused."""
    if len(shape) != 4 or min(shape) < 1:
        raise Refused(
            f"shape is {tuple(shape)}; {type(network).__name__} needs (frames, channels, height, width), as\n"
            "Video has. For pictures take DCGAN or ResNet."
        )
    return shape[0], tuple(shape[1:])


class MoCoGANGenerator(nn.Module):
    """A generator of pictures draws each frame, of a content and a motion: Tulyakov et al. 2018 (MoCoGAN).

    arXiv:1707.04993, section 3. The content is the same in all frames. Each frame has noise of its own, which
    a gated recurrent unit makes the motion of. All of it lies in the latent, `motion` numbers for each frame
    and the rest for the content, so that a latent always makes the same clip. Labels lie beside the content.

    Args:
        network: What makes the generator of frames; it is told the shape of a frame, and no condition.
        motion: Numbers of noise, and of motion, for each frame.
    """

    def __init__(
        self,
        *,
        network: Factory,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 256,
        motion: int = 10,
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, motion=motion)
        frames, picture = clip(self, shape)
        self.shape, self.latent_size = tuple(shape), latent_size
        self.noise, self.content = (frames, motion), latent_size - frames * motion
        if self.content < 1:
            raise Refused(
                f"MoCoGANGenerator: latent_size is {latent_size}, and {frames} frames take {motion} numbers\n"
                f"each for their motion, so that none is left for the content: take {frames * motion + 50}."
            )
        self.conditioning = generator_conditioning(self, condition, self.content)
        self.recurrent = nn.GRU(motion, motion, batch_first=True)
        size = self.content + self.conditioning.added + motion
        self.network = told(network, {"shape": picture, "latent_size": size})

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        content, noise = latent.split([self.content, math.prod(self.noise)], 1)
        noise = noise.unflatten(1, self.noise)
        # It begins at 0, by a product: zeros that torch makes have a fixed number of rows in ONNX.
        motion, _ = self.recurrent(noise, 0 * noise[:, :1].transpose(0, 1))
        content = self.conditioning.inputs(content, condition)
        codes = torch.cat([content[:, None].expand(-1, self.noise[0], -1), motion], 2)
        return self.network(codes.flatten(0, 1)).unflatten(0, (-1, self.noise[0]))


class RandomFrames(Wrapping):
    """A critic of pictures that judges frames of each clip: the image discriminator of MoCoGAN, section 3.

    In training they are drawn by chance, with the numbers that the step has seeded; else all are judged. Of
    several frames the logits are a map, a row for each frame, and what heads say is the mean over frames.

    Args:
        network: What makes the critic; it is told the shape of a frame.
        frames: How many of a clip are judged in training; as many as it has, or more: all, and nothing is
            drawn.
    """

    def __init__(
        self,
        *,
        network: Factory,
        frames: int = 1,
        shape: tuple[int, ...],
        classes: int | None = None,
        condition: Medium | None = None,
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, frames=frames)
        self.total, picture = clip(self, shape)
        self.shape, self.frames = tuple(shape), min(frames, self.total)
        self.network = told(network, {"shape": picture, "classes": classes, "condition": condition})

    def forward(self, clips: Tensor, condition: Any = None) -> Any:
        if self.training and self.frames < self.total:
            order = uniform_like(clips[:, :, 0, 0, 0]).argsort(1)[:, : self.frames]
            clips = clips[torch.arange(len(clips), device=clips.device)[:, None], order]
        frames = clips.shape[:2]
        told_each = () if condition is None else (condition.repeat_interleave(frames[1], 0),)
        judged = self.network(clips.flatten(0, 1), *told_each)
        return tree_map(partial(_of_clips, frames=frames), judged) if frames[1] > 1 else judged


def _of_clips(part: Any, frames: Sequence[int]) -> Any:
    """What is said of frames as what is said of clips."""
    if not isinstance(part, Judged):
        return part.unflatten(0, frames)
    logits = tree_map(partial(_of_clips, frames=frames), part.logits)
    return Judged(logits, tree_map(lambda head: head.unflatten(0, frames).mean(1), part.heads))


class ClipDiscriminator(nn.Module):
    """A critic of whole clips by convolutions over space and time: the video discriminator of MoCoGAN.

    Each layer halves height and width, and time as long as that leaves two moments or more; it looks at
    neighbouring moments where there are more than two. `width` is the channels of the finest hidden map; they
    double toward the coarsest, up to `max_width`. Labels are projected on the features, or lie beside the
    clip as one more channel.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        width: int = 64,
        max_width: int = 512,
        normalization: WeightNormalization = "none",
        conditioning: DiscriminatorConditioning = "projection",
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, width=width)
        moments, picture = clip(self, shape)
        pyramid = Pyramid.of(picture)
        norm = choose(WEIGHT_NORMALIZATIONS, name="normalization", value=normalization)
        channels = widths(pyramid.doublings, width=width, max_width=max_width)
        halved = [moments]
        for _ in channels:
            halved.append(halved[-1] // 2 if halved[-1] % 2 == 0 and halved[-1] > 2 else halved[-1])
        features = channels[-1] * halved[-1] * math.prod(pyramid.coarsest)
        self.shape = tuple(shape)
        self.conditioning = discriminator_conditioning(
            self,
            condition,
            conditioning,
            inputs=(1, moments, *picture[1:]),
            features=features,
            weight=norm.weight,
        )
        layers: list[nn.Module] = []
        fine = pyramid.channels + self.conditioning.added
        for coarse, before, after in zip(channels, halved, halved[1:], strict=False):
            # Of 2 moments with a kernel of 3, torch 2.14 leaves gradients of bfloat16 unwritten on CPUs.
            time = (4, 2, 1) if after < before else (3, 1, 1) if before > 2 else (1, 1, 0)
            layer = nn.Conv3d(fine, coarse, (time[0], 4, 4), (time[1], 2, 2), (time[2], 1, 1))
            layers += [weighted(layer, normalization), nn.LeakyReLU(SLOPE)]
            fine = coarse
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.logit = weighted(nn.Linear(features, 1), normalization)

    def forward(self, clips: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.features(self.conditioning.inputs(clips.transpose(1, 2), condition))
        logits = self.logit(features).squeeze(1)
        return self.conditioning.logits(logits, features, condition)
