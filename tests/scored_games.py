"""A small game, its data and its scores."""

from __future__ import annotations

import torch
from torch import Tensor

import ganlab
from ganlab.data import Digits
from ganlab.data.stream import StreamData
from ganlab.metrics import Pixels
from ganlab.metrics.extractors.extractor import Seen
from ganlab.metrics.reference import prepare_reference
from ganlab.metrics.registry import TABLE
from ganlab.metrics.scorer import Scorer
from ganlab.networks import DCGANDiscriminator, DCGANGenerator
from ganlab.sampling.plan import fake_batches
from ganlab.variants import NonSaturatingGAN

# All that two hundred pictures can be scored by, and that a classifier and samples with no class and no item
# that they are made from have.
ALL = tuple(
    name
    for name, row in TABLE.items()
    if row.needs not in ("spatial", "classes", "pairs", "again")
    and not row.of_sources
    and row.medium is None
    and name != "modes"
    and row.least < 200
)


class Places(Pixels):
    """Pixels that also keep two of the image's places apart, as Inception keeps its maps'."""

    spatial = 2

    def see(self, images: Tensor) -> Seen:
        return Seen(super().see(images).features, None, images[:, 0, 2:4, 5].float() / 255)


def game(seed: int = 0, variant: type = NonSaturatingGAN) -> ganlab.GAN:
    torch.manual_seed(seed)
    shape = {"shape": (1, 16, 16)}
    return variant(
        generator=DCGANGenerator(**shape, latent_size=8, width=4),
        discriminator=DCGANDiscriminator(**shape, width=4),
        latent_size=8,
        seed=seed,
    )


def digits() -> Digits:
    return Digits(size=16, batch_size=8)


def scored(played: ganlab.GAN, scorer: Scorer, data: StreamData) -> dict:
    reals, _ = prepare_reference(scorer, data, "train")
    fakes = scorer.observe(fake_batches(played, scorer.samples, 0), scorer.samples)
    return scorer.score(reals, fakes)[0]
