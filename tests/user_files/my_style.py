"""A generator in the manner of StyleGAN2, whose layers add noise: Karras et al. 2020, arXiv:1912.04958."""

import torch
from torch import nn
from torch.nn.functional import conv2d, interpolate, leaky_relu, normalize

from ganlab.networks.layers import Noise


class Modulated(nn.Module):
    """A convolution whose input channels a style scales, and whose output has unit variance again."""

    def __init__(self, style, inputs, outputs, size=3, demodulated=True):
        super().__init__()
        self.scales = nn.Linear(style, inputs)
        nn.init.ones_(self.scales.bias)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size) / (inputs * size**2) ** 0.5)
        self.padding, self.demodulated = size // 2, demodulated

    def forward(self, maps, style):
        scales = self.scales(style)
        maps = conv2d(maps * scales[:, :, None, None], self.weight, padding=self.padding)  # equation 1
        if not self.demodulated:
            return maps
        variance = (self.weight * scales[:, None, :, None, None]).square().sum((2, 3, 4))
        return maps * (variance + 1e-8).rsqrt()[:, :, None, None]  # equation 3


class Layer(nn.Module):
    def __init__(self, style, channels):
        super().__init__()
        self.convolution, self.noise = Modulated(style, channels, channels), Noise()
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, maps, style):
        return leaky_relu(self.noise(self.convolution(maps, style)) + self.bias, 0.2) * 2**0.5


class StyleGenerator(nn.Module):
    def __init__(self, *, shape: tuple[int, ...], latent_size: int = 8, width: int = 16):
        super().__init__()
        linear = [nn.Sequential(nn.Linear(latent_size, latent_size), nn.LeakyReLU(0.2)) for _ in range(2)]
        self.mapping = nn.Sequential(*linear)
        self.start = nn.Parameter(torch.randn(width, 4, 4))
        doublings = (shape[1] // 4).bit_length()
        self.layers = nn.ModuleList(Layer(latent_size, width) for _ in range(doublings))
        self.images = nn.ModuleList(
            Modulated(latent_size, width, shape[0], 1, demodulated=False) for _ in range(doublings)
        )

    def forward(self, latent):
        style = self.mapping(normalize(latent) * latent.shape[1] ** 0.5)
        maps, image = self.start.expand(len(latent), -1, -1, -1), 0
        for number, (layer, to_image) in enumerate(zip(self.layers, self.images, strict=True)):
            if number:
                maps, image = (interpolate(each, scale_factor=2, mode="bilinear") for each in (maps, image))
            maps = layer(maps, style)
            image = image + to_image(maps, style)
        return image
