"""Generators from latents to images, discriminators from images to logits, and several of them as one."""

from ganlab.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from ganlab.networks.mlp import MLPDiscriminator, MLPGenerator
from ganlab.networks.pix2pix import PatchGANDiscriminator, UNetGenerator
from ganlab.networks.pretrained import Pretrained
from ganlab.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from ganlab.networks.resnet import ResNetDiscriminator, ResNetGenerator
from ganlab.networks.several import MultiScale, Several

__all__ = [
    "DCGANDiscriminator",
    "DCGANGenerator",
    "MLPDiscriminator",
    "MLPGenerator",
    "MultiScale",
    "PatchGANDiscriminator",
    "Pretrained",
    "R3GANDiscriminator",
    "R3GANGenerator",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "Several",
    "UNetGenerator",
]
