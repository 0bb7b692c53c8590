"""CycleGAN's and NICE-GAN's networks: from pictures of one domain to pictures of another."""

from itertools import pairwise

from torch import Tensor, nn

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media import Medium
from ganlab.networks.conditioning import required, source_channels
from ganlab.networks.layers import (
    NORMALIZATIONS,
    SLOPE,
    Layers,
    NormalizationKind,
    Residual,
    choose,
    picture,
    widths,
)
from ganlab.networks.strided import Halving, weighted

HALVINGS = 2


def _convolution(inputs: int, outputs: int, size: int, normalization: str) -> list[nn.Module]:
    bias = not NORMALIZATIONS[normalization].subtracts_mean
    layer = nn.Conv2d(inputs, outputs, size, bias=bias)
    return [
        nn.ReflectionPad2d(size // 2),
        weighted(layer, normalization),
        NORMALIZATIONS[normalization].channels(outputs),
    ]


def _block(width: int, normalization: str) -> nn.Module:
    first, second = (_convolution(width, width, 3, normalization) for _ in range(2))
    return Residual(branch=Layers(*first, nn.ReLU(), *second), shortcut=nn.Identity())


def _decoder(channels: list[int], blocks: int, made: int, normalization: str) -> nn.Sequential:
    """From maps of a quarter of a side to pictures; the channels are those of the maps, finest first."""
    layers: list[nn.Module] = [_block(channels[-1], normalization) for _ in range(blocks)]
    for coarse, fine in pairwise(channels[::-1]):
        # Enlarged before it is convolved, a map has no pattern of a chessboard.
        layers += [nn.Upsample(scale_factor=2), *_convolution(coarse, fine, 3, normalization), nn.ReLU()]
    last = weighted(nn.Conv2d(channels[0], made, 7), normalization)
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), last, nn.Tanh())


def _divided(shape: tuple[int, ...], network: nn.Module) -> int:
    channels, height, width = picture(shape)
    if height % 2**HALVINGS or width % 2**HALVINGS or min(height, width) < 8:
        raise Refused(
            f"shape is {tuple(shape)}; {type(network).__name__} halves pictures twice and pads them:\n"
            "each side must be a multiple of 4, from 8 on."
        )
    return channels


class ResNetTranslator(nn.Module):
    """The generator of Zhu et al. 2017 (CycleGAN), arXiv:1703.10593, after Johnson et al. 2016.

    A picture is halved twice, goes through residual blocks, and is doubled twice, here by nearest neighbours
    before convolutions. It works on pictures of any size. `width` is the channels of the finest maps; they
    double with each halving. The paper has width 64, and 6 blocks for 128 pixels, 9 for 256.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        width: int = 64,
        blocks: int = 6,
        normalization: NormalizationKind = "instance",
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, width=width, blocks=blocks)
        choose(NORMALIZATIONS, name="normalization", value=normalization)
        made, source = _divided(shape, self), source_channels(self, condition, shape)
        channels = widths(HALVINGS + 1, width=width, max_width=width * 2**HALVINGS)
        bias = not NORMALIZATIONS[normalization].subtracts_mean
        layers = [*_convolution(source, width, 7, normalization), nn.ReLU()]
        for fine, coarse in pairwise(channels):
            halving = weighted(nn.Conv2d(fine, coarse, 3, 2, 1, bias=bias), normalization)
            layers += [halving, NORMALIZATIONS[normalization].channels(coarse), nn.ReLU()]
        self.shape, self.latent_size = tuple(shape), 0
        self.encoder = nn.Sequential(*layers)
        self.decoder = _decoder(channels, blocks, made, normalization)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.decoder(self.encoder(required(condition)))


class EncodingDiscriminator(nn.Module):
    """A critic whose first layers are an encoder, for the generators of `NICEGAN`.

    Chen et al. 2020, arXiv:2003.00273, section 3.1: logits for small patches, from the code, and for larger
    ones, from what is halved further; a list of two maps. Weights have spectral norm.
    """

    def __init__(self, *, shape: tuple[int, ...], width: int = 64) -> None:
        super().__init__()
        bounds.at_least(1, self, width=width)
        channels = _divided(shape, self)
        self.shape = tuple(shape)
        self.encoder = encoder(channels, width)
        code = width * 2
        self.small = weighted(nn.Conv2d(code, 1, 3, padding=1), "spectral")
        self.large = nn.Sequential(
            weighted(Halving(code, 2 * code), "spectral"),
            nn.LeakyReLU(SLOPE),
            weighted(nn.Conv2d(2 * code, 1, 3, padding=1), "spectral"),
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        code = self.encoder(images)
        return [self.small(code).squeeze(1), self.large(code).squeeze(1)]


class EncodedGenerator(nn.Module):
    """A generator that begins with an encoder, which `NICEGAN` takes from a critic of the same width."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        width: int = 64,
        blocks: int = 6,
        normalization: NormalizationKind = "instance",
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, width=width, blocks=blocks)
        choose(NORMALIZATIONS, name="normalization", value=normalization)
        made = _divided(shape, self)
        self.shape, self.latent_size = tuple(shape), 0
        self.encoder = encoder(source_channels(self, condition, shape), width)
        self.decoder = _decoder([max(width // 2, 1), width, 2 * width], blocks, made, normalization)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.decoder(self.encoder(required(condition)))


def encoder(channels: int, width: int) -> nn.Sequential:
    """From pictures to codes of a quarter of a side, of twice so many channels as `width`."""
    first, second = Halving(channels, width), Halving(width, 2 * width)
    return nn.Sequential(
        *(weighted(first, "spectral"), nn.LeakyReLU(SLOPE)),
        *(weighted(second, "spectral"), nn.LeakyReLU(SLOPE)),
    )
