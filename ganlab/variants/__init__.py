"""The variants that ship with ganlab; one of your own needs no entry here."""

from ganlab.variants.acgan import ACGAN
from ganlab.variants.autoencoders import BEGAN, EBGAN
from ganlab.variants.classic import LSGAN, HingeGAN, MinimaxGAN, NonSaturatingGAN, RelativisticGAN
from ganlab.variants.cyclegan import NICEGAN, CycleGAN
from ganlab.variants.diffusion_gan import DiffusionGAN
from ganlab.variants.dragan import DRAGAN
from ganlab.variants.encoder import Encoder
from ganlab.variants.feature_matching import FeatureMatchingGAN
from ganlab.variants.ganomaly import GANomaly
from ganlab.variants.gman import GMAN
from ganlab.variants.infogan import InfoGAN
from ganlab.variants.mixed import Mixed
from ganlab.variants.r1gan import R1GAN
from ganlab.variants.r3gan import R3GAN
from ganlab.variants.restoration import SRGAN, Pix2Pix, Restoration
from ganlab.variants.semi_supervised import SemiSupervisedGAN
from ganlab.variants.stylegan2 import StyleGAN2
from ganlab.variants.unrolled import UnrolledGAN
from ganlab.variants.wgan import WGAN, WGANGP
from ganlab.variants.wgan_div import WGANDiv

__all__ = [
    "ACGAN",
    "BEGAN",
    "DRAGAN",
    "EBGAN",
    "GMAN",
    "LSGAN",
    "NICEGAN",
    "R1GAN",
    "R3GAN",
    "SRGAN",
    "WGAN",
    "WGANGP",
    "CycleGAN",
    "DiffusionGAN",
    "Encoder",
    "FeatureMatchingGAN",
    "GANomaly",
    "HingeGAN",
    "InfoGAN",
    "MinimaxGAN",
    "Mixed",
    "NonSaturatingGAN",
    "Pix2Pix",
    "RelativisticGAN",
    "Restoration",
    "SemiSupervisedGAN",
    "StyleGAN2",
    "UnrolledGAN",
    "WGANDiv",
]
