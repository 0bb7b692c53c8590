"""Generators from latents to images, and discriminators from images to logits."""

from ganlab.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from ganlab.networks.mlp import MLPDiscriminator, MLPGenerator
from ganlab.networks.pix2pix import PatchGANDiscriminator, UNetGenerator
from ganlab.networks.pretrained import Pretrained
from ganlab.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from ganlab.networks.resnet import ResNetDiscriminator, ResNetGenerator

__all__ = [
    "DCGANDiscriminator",
    "DCGANGenerator",
    "MLPDiscriminator",
    "MLPGenerator",
    "PatchGANDiscriminator",
    "Pretrained",
    "R3GANDiscriminator",
    "R3GANGenerator",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "UNetGenerator",
]
