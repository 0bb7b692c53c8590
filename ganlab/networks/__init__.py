"""Generators from latents to images, discriminators from images to logits, and several of them as one."""

from ganlab.networks.autoencoder import DCGANAutoencoder
from ganlab.networks.biggan import BigGANDiscriminator, BigGANGenerator
from ganlab.networks.composited import Composited
from ganlab.networks.critics import Packed, RandomProjection, SharedTrunk
from ganlab.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from ganlab.networks.heads import Heads
from ganlab.networks.inpainting import AroundHole, GatedGenerator
from ganlab.networks.mlp import MLPDiscriminator, MLPGenerator
from ganlab.networks.pix2pix import PatchGANDiscriminator, UNetGenerator
from ganlab.networks.pretrained import Pretrained
from ganlab.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from ganlab.networks.rebuilding import Rebuilding
from ganlab.networks.resnet import ResNetDiscriminator, ResNetGenerator
from ganlab.networks.several import MultiScale, Several
from ganlab.networks.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator
from ganlab.networks.super_resolution import RRDBGenerator, SRResNetGenerator
from ganlab.networks.text_gru import GRUGenerator
from ganlab.networks.text_resnet import TextResNetDiscriminator, TextResNetGenerator
from ganlab.networks.text_transformer import TextTransformerDiscriminator, TextTransformerGenerator
from ganlab.networks.told_steps import ToldSteps
from ganlab.networks.transformer import TransformerDiscriminator, TransformerGenerator
from ganlab.networks.translators import EncodedGenerator, EncodingDiscriminator, ResNetTranslator
from ganlab.networks.video import ClipDiscriminator, MoCoGANGenerator, RandomFrames
from ganlab.networks.wavegan import WaveGANDiscriminator, WaveGANGenerator

__all__ = [
    "AroundHole",
    "BigGANDiscriminator",
    "BigGANGenerator",
    "ClipDiscriminator",
    "Composited",
    "DCGANAutoencoder",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "EncodedGenerator",
    "EncodingDiscriminator",
    "GRUGenerator",
    "GatedGenerator",
    "Heads",
    "MLPDiscriminator",
    "MLPGenerator",
    "MoCoGANGenerator",
    "MultiScale",
    "Packed",
    "PatchGANDiscriminator",
    "Pretrained",
    "R3GANDiscriminator",
    "R3GANGenerator",
    "RRDBGenerator",
    "RandomFrames",
    "RandomProjection",
    "Rebuilding",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "ResNetTranslator",
    "SRResNetGenerator",
    "Several",
    "SharedTrunk",
    "StyleGAN2Discriminator",
    "StyleGAN2Generator",
    "TextResNetDiscriminator",
    "TextResNetGenerator",
    "TextTransformerDiscriminator",
    "TextTransformerGenerator",
    "ToldSteps",
    "TransformerDiscriminator",
    "TransformerGenerator",
    "UNetGenerator",
    "WaveGANDiscriminator",
    "WaveGANGenerator",
]
