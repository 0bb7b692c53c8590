"""StyleGAN2's networks: a generator of layers that styles modulate, and a residual discriminator."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, linear

from ganlab import bounds
from ganlab.media import Medium
from ganlab.networks.batch_statistics import MinibatchStd
from ganlab.networks.conditioning import (
    DiscriminatorConditioning,
    discriminator_conditioning,
    generator_conditioning,
)
from ganlab.networks.equalised import (
    Activation,
    Equalised,
    EqualisedConv2d,
    EqualisedLinear,
    RunningMean,
    mean_square_one,
)
from ganlab.networks.layers import Noise, Pyramid, widths
from ganlab.networks.resampling import Blur, Doubled

SLOW = 0.01  # times the others' learning rate: Karras et al. 2019, arXiv:1812.04948, appendix C


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Within, nothing is computed in half precision. Of shapes alone (`meta`) torch knows no precision."""
    known = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if known else nullcontext()


class Modulated(Equalised, nn.Module):
    """A convolution whose inputs a style scales, by channel: Karras et al. 2020, arXiv:1912.04958, eqs. 1, 3.

    Scaling maps before and after the convolution is the same as scaling the weights for each sample.

    Args:
        demodulated: Outputs have unit variance again, if inputs have.
        doubling: Outputs are maps of twice the size, blurred.
    """

    def __init__(
        self,
        style_size: int,
        inputs: int,
        outputs: int,
        size: Literal[1, 3],
        *,
        demodulated: bool = True,
        doubling: bool = False,
    ) -> None:
        super().__init__()
        self.scales = EqualisedLinear(style_size, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.scale, self.padding = 1 / math.sqrt(inputs * size**2), size // 2
        self.demodulated = demodulated
        self.blur = Blur(gain=4.0) if doubling else None

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        scales, weight = self.scales(style), self.scaled_weight
        maps = maps * scales[:, :, None, None].to(maps.dtype)
        if self.blur is None:
            maps = conv2d(maps, weight, padding=self.padding)
        else:
            maps = self.blur(conv_transpose2d(maps, weight.transpose(0, 1), stride=2))
        if not self.demodulated:
            return maps
        variance = linear(scales.square(), weight.square().sum((2, 3)))
        return maps * (variance + 1e-8).rsqrt()[:, :, None, None].to(maps.dtype)


class Layer(nn.Module):
    """A modulated convolution, noise, a bias and the activation."""

    def __init__(self, style_size: int, inputs: int, outputs: int, *, noise: bool, doubling: bool) -> None:
        super().__init__()
        self.convolution = Modulated(style_size, inputs, outputs, 3, doubling=doubling)
        self.noise = Noise() if noise else nn.Identity()
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.activation = Activation()

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        maps = self.noise(self.convolution(maps, style))
        return self.activation(maps + self.bias.view(-1, 1, 1).to(maps.dtype))


class ToImage(nn.Module):
    """The share that one map has in the image."""

    def __init__(self, style_size: int, inputs: int, channels: int) -> None:
        super().__init__()
        self.convolution = Modulated(style_size, inputs, channels, 1, demodulated=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        image = self.convolution(maps, style)
        return image + self.bias.view(-1, 1, 1).to(image.dtype)


class StyleGAN2Generator(nn.Module):
    """The generator of Karras et al. 2020, arXiv:1912.04958 (with skips), and a tanh, which it has not.

    A mapping of `depth` layers makes a style of a latent, which scales the channels of each convolution.
    `width` is the channels of the finest map; they double toward the coarsest, up to `max_width`. The image
    is the sum of what each map gives to it. With `noise` each layer adds noise, also where samples are drawn.

    Latents are of the shape (n, size), or (n, layers, size): one for each of the `layers`, the coarsest
    first. Styles are truncated toward their running mean.

    Labels lie beside the latent, as in Karras et al. 2020, arXiv:2006.06676.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        latent_size: int = 128,
        width: int = 32,
        max_width: int = 512,
        depth: int = 8,
        noise: bool = True,
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, latent_size=latent_size, width=width, depth=depth)
        pyramid, size = Pyramid.of(shape), latent_size
        channels = widths(pyramid.doublings + 1, width=width, max_width=max_width)[::-1]
        self.shape, self.latent_size = tuple(shape), latent_size
        self.layers = 2 * len(channels)
        self.conditioning = generator_conditioning(self, condition, latent_size)
        sizes = [latent_size + self.conditioning.added, *[size] * depth]
        linears = (EqualisedLinear(*pair, rate=SLOW) for pair in pairwise(sizes))
        self.mapping = nn.Sequential(*(nn.Sequential(each, Activation()) for each in linears))
        self.mean_style = RunningMean(size)
        self.start = nn.Parameter(torch.randn(1, channels[0], *pyramid.coarsest))
        # Of each map but the coarsest two layers, of which the first doubles.
        doublings = [(a, b, double) for a, b in pairwise(channels) for double in (True, False)]
        self.convolutions = nn.ModuleList(
            Layer(size, a if double else b, b, noise=noise, doubling=double)
            for a, b, double in [(channels[0], channels[0], False), *doublings]
        )
        self.images = nn.ModuleList(ToImage(size, each, pyramid.channels) for each in channels)
        self.doubled = Doubled()

    def forward(
        self, latent: Tensor, condition: Tensor | None = None, truncation: Tensor | None = None
    ) -> Tensor:
        return self.synthesis(self.styles(latent, condition, truncation))

    def styles(
        self, latent: Tensor, condition: Tensor | None = None, truncation: Tensor | None = None
    ) -> Tensor:
        """Styles of latents: one for each layer.

        Args:
            truncation: Each sample's share of the way from the mean style to its own (Karras et al. 2019,
                arXiv:1812.04948, appendix B).
        """
        if latent.ndim == 3 and condition is not None:
            condition = condition.repeat_interleave(latent.shape[1], 0)
        # As in the authors' code the mapping never computes in half precision.
        with without_autocast(latent.device):
            inputs = self.conditioning.inputs(latent.flatten(0, -2), condition)
            inputs = mean_square_one(inputs.unflatten(1, (-1, self.latent_size))).flatten(1)
            styles = self.mean_style(self.mapping(inputs)).unflatten(0, latent.shape[:-1])
        if truncation is not None:
            share = truncation.view(-1, *[1] * (styles.ndim - 1)).to(styles.dtype)
            styles = torch.lerp(self.mean_style.mean.to(styles.dtype), styles, share)
        return styles if latent.ndim == 3 else styles[:, None].expand(-1, self.layers, -1)

    def synthesis(self, styles: Tensor) -> Tensor:
        """Images of styles, one for each layer."""
        maps = self.convolutions[0](self.start, styles[:, 0])
        image = self.images[0](maps, styles[:, 1])
        for level in range(1, len(self.images)):
            for layer in (2 * level - 1, 2 * level):
                maps = self.convolutions[layer](maps, styles[:, layer])
            image = self.doubled(image) + self.images[level](maps, styles[:, 2 * level + 1])
        return image.tanh()

    def path_lengths(self, latent: Tensor, condition: Tensor | None, noise: Tensor) -> Tensor:
        """How far images move with styles, for noise of their shape: in float32, and uncompiled."""
        with without_autocast(latent.device):
            styles = self.styles(latent, condition)
            return path_lengths(self.synthesis(styles), styles, noise)


def path_lengths(images: Tensor, styles: Tensor, noise: Tensor) -> Tensor:
    """Each sample's norm of J^T y in Karras et al. 2020, arXiv:1912.04958, eq. 4, for noise y.

    Styles are of the shape (n, layers, size): as in the authors' code it is the root mean square over layers.
    """
    weighted = (images * noise).sum() / math.sqrt(math.prod(images.shape[2:]))
    (gradient,) = torch.autograd.grad(weighted, styles, create_graph=True)
    # The root has an infinite slope at 0.
    return (gradient.square().sum(2).mean(1) + 1e-12).sqrt()


def mixed(coarse: Tensor, fine: Tensor, layers: int, first: Tensor) -> Tensor:
    """A latent for each layer: the coarse one before the layer `first`, the fine one from there on.

    Args:
        first: Of all samples, or (n, 1) of each.
    """
    own = torch.arange(layers, device=coarse.device)[:, None] < first[..., None].to(coarse.device)
    return torch.where(own, coarse[:, None], fine[:, None])


class Halving(nn.Module):
    """Two convolutions, the second of which halves the maps, and beside them one: the sum over sqrt(2)."""

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            EqualisedConv2d(fine, fine, 3, padding=1),
            Activation(),
            Blur(2),
            EqualisedConv2d(fine, coarse, 3, stride=2),
            Activation(),
        )
        self.shortcut = nn.Sequential(Blur(stride=2), EqualisedConv2d(fine, coarse, 1, bias=False))

    def forward(self, maps: Tensor) -> Tensor:
        return (self.branch(maps) + self.shortcut(maps)) / math.sqrt(2)


class StyleGAN2Discriminator(nn.Module):
    """The discriminator of Karras et al. 2020, arXiv:1912.04958: residual, without normalisation.

    `width` is the channels of the finest map; they double toward the coarsest, up to `max_width`. The
    coarsest map gains the standard deviation over groups of `minibatch_std` samples, which couples them; 0:
    each is judged by itself.

    Labels are projected on the features, or lie beside the images as one more channel.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        width: int = 32,
        max_width: int = 512,
        minibatch_std: int = 4,
        conditioning: DiscriminatorConditioning = "projection",
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, width=width)
        pyramid = Pyramid.of(shape)
        channels = widths(pyramid.doublings + 1, width=width, max_width=max_width)
        coarse = channels[-1]
        self.conditioning = discriminator_conditioning(
            self, condition, conditioning, inputs=(1, *shape[1:]), features=coarse
        )
        first = EqualisedConv2d(pyramid.channels + self.conditioning.added, channels[0], 1)
        beside = MinibatchStd(minibatch_std)
        self.shape = tuple(shape)
        self.features = nn.Sequential(
            nn.Sequential(first, Activation()),
            *(Halving(*pair) for pair in pairwise(channels)),
            beside,
            nn.Sequential(EqualisedConv2d(coarse + beside.added, coarse, 3, padding=1), Activation()),
            nn.Flatten(),
            nn.Sequential(EqualisedLinear(coarse * math.prod(pyramid.coarsest), coarse), Activation()),
        )
        self.logit = EqualisedLinear(coarse, 1)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        features = self.features(self.conditioning.inputs(images, condition))
        return self.conditioning.logits(self.logit(features).squeeze(1), features, condition)
