"""The variants that ship with ganlab; one of your own needs no entry here."""

from ganlab.variants.classic import LSGAN, HingeGAN, MinimaxGAN, NonSaturatingGAN, RelativisticGAN
from ganlab.variants.dragan import DRAGAN
from ganlab.variants.pix2pix import Pix2Pix
from ganlab.variants.r1gan import R1GAN
from ganlab.variants.r3gan import R3GAN
from ganlab.variants.wgan import WGAN, WGANGP

__all__ = [
    "DRAGAN",
    "LSGAN",
    "R1GAN",
    "R3GAN",
    "WGAN",
    "WGANGP",
    "HingeGAN",
    "MinimaxGAN",
    "NonSaturatingGAN",
    "Pix2Pix",
    "RelativisticGAN",
]
