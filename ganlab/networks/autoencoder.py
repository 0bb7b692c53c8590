"""A discriminator that is an autoencoder, for games that judge by how well samples are reconstructed."""

from collections.abc import Callable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from ganlab import bounds
from ganlab.judgements import Judged
from ganlab.media import Medium
from ganlab.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from ganlab.networks.layers import NormalizationKind, choose

ErrorKind = Literal["absolute", "squared"]

ERRORS: dict[str, Callable[[Tensor], Tensor]] = {"absolute": torch.abs, "squared": torch.square}


class DCGANAutoencoder(nn.Module):
    """DCGAN's discriminator down to a code of a few numbers, then its generator.

    Its logits are errors, each the mean over an image's numbers, so that they are low where others are high;
    its head is the code. BEGAN (Berthelot et al. 2017, arXiv:1703.10717, section 3.1) takes absolute errors,
    EBGAN (Zhao et al. 2016, arXiv:1609.03126, section 2.3) squared ones; their own layers are others.

    The decoder has ELUs, as BEGAN's has (section 3.3): of pictures that are mostly black its ReLUs all died.

    Labels lie beside the code, for the decoder alone.

    Args:
        shape: Of an image.
        condition: What a batch's second column holds, in a conditional game.
        error: The absolute or the squared difference between an image and its reconstruction.
        code_size: Numbers in a code.
        width: Channels of the finest hidden map.
        max_width: Channels of the coarsest map at most.
        normalization: Of encoder and decoder.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        condition: Medium | None = None,
        error: ErrorKind = "absolute",
        code_size: int = 64,
        width: int = 64,
        max_width: int = 512,
        normalization: NormalizationKind = "none",
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, code_size=code_size)
        sizes: dict[str, Any] = {"shape": shape, "width": width, "max_width": max_width}
        encoder = DCGANDiscriminator(**sizes, normalization=normalization)
        self.shape = tuple(shape)
        self.error = choose(ERRORS, name="error", value=error)
        self.encoder = nn.Sequential(
            encoder.features, nn.Linear(cast(int, encoder.logit.in_features), code_size)
        )
        self.decoder = DCGANGenerator(
            **sizes, condition=condition, latent_size=code_size, normalization=normalization
        )
        _without_dead_units(self.decoder)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Judged:
        code = self.encoder(images)
        difference = self.decoder(code, condition).to(images.dtype) - images
        return Judged(self.error(difference).flatten(1).mean(1), code)


def _without_dead_units(network: nn.Module) -> None:
    for name, part in network.named_children():
        if isinstance(part, nn.ReLU):
            setattr(network, name, nn.ELU())
        else:
            _without_dead_units(part)
