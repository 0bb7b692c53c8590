"""Games whose networks treat each sample separately, for tests of sums and means over samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import ganlab.variants
from ganlab import losses, networks
from ganlab.game.gan import GAN
from ganlab.game.stages import Stage
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn
from ganlab.judgements import Judged
from ganlab.media import Labels
from ganlab.networks import (
    MLPDiscriminator,
    MLPGenerator,
    PatchGANDiscriminator,
    Several,
    StyleGAN2Generator,
    ToldSteps,
    UNetGenerator,
)
from ganlab.penalties import GradientPenalty
from ganlab.pools import Pool
from ganlab.testing import AUTOENCODER, PAIRED, SHAPE, STYLED, new
from ganlab.testing.games import HOLED, from_latents
from ganlab.variants import (
    ACGAN,
    BEGAN,
    DRAGAN,
    EBGAN,
    GMAN,
    NICEGAN,
    R3GAN,
    CycleGAN,
    DiffusionGAN,
    Encoder,
    FeatureMatchingGAN,
    GANomaly,
    HingeGAN,
    InfoGAN,
    Pix2Pix,
    RelativisticGAN,
    Restoration,
    SemiSupervisedGAN,
    StyleGAN2,
    UnrolledGAN,
)


class Pooled(HingeGAN):
    """A game whose critic is shown a history of fakes. Couples samples."""

    per_process = ("pool",)

    def __init__(self, *, size: int = 50, **base: Any) -> None:
        super().__init__(**base)
        self.pool = Pool(size, SHAPE)

    def discriminator_terms(self, turn: Turn) -> Terms:
        fake_logits = turn.logits(self.pool(turn.fake))
        return {"discriminator": self.loss.discriminator(turn.real_logits, fake_logits)}


COUPLED = {
    *(NICEGAN, CycleGAN, DRAGAN, DiffusionGAN, EBGAN, FeatureMatchingGAN, GMAN, Pooled, RelativisticGAN),
    *(SemiSupervisedGAN, UnrolledGAN),
}


class Plain(nn.Sequential):
    """No normalisation and no dropout: samples do not influence one another."""

    def __init__(self, inputs: int = 64, outputs: int = 1) -> None:
        super().__init__(nn.Flatten(), nn.Linear(inputs, 32), nn.LeakyReLU(0.2), nn.Linear(32, outputs))


class PlainGenerator(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(Plain(8, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))


PLAIN: dict[str, Any] = {"generator": PlainGenerator, "discriminator": Plain}
# Of a variant, or the nearest that it derives from. Instance norm takes the statistics of each sample alone.
PLAYERS: dict[type, dict[str, Any]] = {
    GAN: PLAIN,
    **{kind: {**PLAIN, "discriminator": AUTOENCODER} for kind in (BEGAN, EBGAN)},
    DiffusionGAN: {
        **PLAIN,
        "discriminator": partial(ToldSteps, shape=SHAPE, network=partial(Plain, inputs=128)),
    },
    GMAN: {**PLAIN, "discriminator": partial(Several, networks=[Plain], copies=2)},
    # Their critics need heads, which those that they are tried with have.
    ACGAN: {"generator": from_latents(condition=Labels(3))},
    **{kind: {"generator": PlainGenerator} for kind in (FeatureMatchingGAN, InfoGAN, SemiSupervisedGAN)},
    Pix2Pix: {
        "generator": partial(UNetGenerator, **PAIRED, latent_size=8),
        "discriminator": partial(PatchGANDiscriminator, **PAIRED, layers=1),
    },
    # Their networks treat each sample by itself as they are.
    **{kind: {} for kind in (CycleGAN, Encoder, GANomaly)},
    Restoration: {**PLAIN, "generator": partial(UNetGenerator, **HOLED, latent_size=8)},
    StyleGAN2: {**PLAIN, "generator": lambda: styled()},
}


def styled() -> StyleGAN2Generator:
    """Without the running mean of styles, which each process and micro-batch moves on."""
    generator = StyleGAN2Generator(**STYLED)
    generator.mean_style.eval()
    return generator


def plain(variant: type[GAN], **arguments: Any) -> GAN:
    players = next(PLAYERS[kind] for kind in variant.__mro__ if kind in PLAYERS)
    return new(variant, **{**players, **arguments})


def told_labels(**arguments: Any) -> GAN:
    """A game with a projection of the label in its discriminator, and the label beside its latents."""
    facts: dict[str, Any] = {"shape": SHAPE, "condition": Labels(3), "hidden": (32,)}
    players = {
        "generator": partial(MLPGenerator, **facts, latent_size=8),
        "discriminator": partial(MLPDiscriminator, **facts),
    }
    return new(HingeGAN, **{**players, **arguments}, conditional=True)


class Critics(nn.ModuleList):
    """Two critics, the second of which also guesses the latent."""

    def __init__(self) -> None:
        super().__init__([Plain(), Plain(), Plain(64, 8)])

    def forward(self, images: Tensor) -> list[Any]:
        first, second, code = (critic(images) for critic in self)
        return [first.squeeze(1), Judged(second.squeeze(1), code)]


class Coded(R3GAN):
    """The generator's side learns what guesses the latent, too."""

    def learns(self, side: Any) -> Mapping[str, nn.Parameter]:
        all_of = super().learns(side)
        if side == "generator":
            return {**all_of, **dict(self.discriminator[2].named_parameters(prefix="code"))}
        return {name: parameter for name, parameter in all_of.items() if not name.startswith("2.")}

    def generator_terms(self, turn: Turn) -> Terms:
        _, guessed = turn.fake_heads
        return {**super().generator_terms(turn), "code": (guessed - turn.latent).square().mean()}


class Balanced(GAN):
    """Remembers from step to step how much the discriminator's turn brought, and weighs by it."""

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.register_buffer("balance", torch.ones(()))

    def discriminator_terms(self, turn: Turn) -> Terms:
        turn.note("gap", turn.real_logits.mean() - turn.fake_logits.mean())
        return {"discriminator": self.balance * turn.fake_logits.mean() - turn.real_logits.mean()}

    def generator_terms(self, turn: Turn) -> Terms:
        return {"generator": -turn.fake_logits.mean()}

    def after_discriminator_step(self, logged: Terms) -> None:
        self.balance.add_(0.1 * logged["gap"])


class Cycle(GAN):
    """Four networks: there and back between images and their mirrored negatives."""

    loss = losses.least_squares

    def real(self, batch: Any) -> dict[str, Tensor]:
        return {"a": -batch[0].flip(-1), "b": batch[0]}

    def condition(self, batch: Any) -> Tensor:
        return -batch[0].flip(-1)

    def fake(self, generator: nn.Module, latent: Any, condition: Tensor) -> Tensor:
        return generator["there"](condition)  # type: ignore[index]

    def both(self, turn: Turn) -> dict[str, Tensor]:
        return {"a": self.generator["back"](turn.real["b"]), "b": self.generator["there"](turn.real["a"])}

    def judge(self, images: dict[str, Tensor], condition: Any) -> dict[str, Tensor]:
        return {name: self.discriminator[name](image).squeeze(1) for name, image in images.items()}

    def discriminator_terms(self, turn: Turn) -> Terms:
        with torch.no_grad():
            fakes = self.both(turn)
        return {"discriminator": self.loss.discriminator(turn.real_logits, turn.logits(fakes))}

    def generator_terms(self, turn: Turn) -> Terms:
        fakes = self.both(turn)
        cycle = (self.generator["back"](fakes["b"]) - turn.real["a"]).abs().mean()
        return {
            "generator": self.loss.generator(turn.logits(fakes), lambda: turn.real_logits),
            "cycle": cycle,
        }


class JudgesPacks(R3GAN):
    """Judges two samples as one: Lin et al. 2018, arXiv:1712.04086, section 3."""

    packing = 2

    def judge(self, images: Tensor, condition: Any) -> Tensor:
        return super().judge(images.unflatten(0, (-1, 2)).flatten(1, 2), condition)


def cycle(**arguments: Any) -> GAN:
    translators = {name: nn.Conv2d(1, 1, 3, padding=1) for name in ("there", "back")}
    players = {
        "generator": nn.ModuleDict(translators),
        "discriminator": nn.ModuleDict({n: Plain() for n in "ab"}),
    }
    return new(Cycle, **players, latent_size=0, **arguments)


def seeded(build: Callable[..., GAN]) -> Callable[..., GAN]:
    def built(**arguments: Any) -> GAN:
        torch.manual_seed(0)
        return build(**arguments)

    return built


PACKS = partial(networks.Packed, network=partial(Plain, 128), samples=2, shape=SHAPE)
STAGES = [Stage(2, "generator", adversarial=True), Stage(2, "discriminator")]
SHIPPED = [getattr(ganlab.variants, name) for name in ganlab.variants.__all__]
GAMES: dict[str, Callable[..., GAN]] = {
    **{variant.__name__: partial(plain, variant) for variant in SHIPPED},
    "told labels": told_labels,
    "critics with a head": partial(plain, Coded, discriminator=Critics),
    "with a buffer": partial(plain, Balanced),
    "four networks": seeded(cycle),
    "a share penalised": partial(plain, R3GAN, penalty_share=0.5, penalty_every=2),
    "a share of packs penalised": partial(
        plain,
        JudgesPacks,
        discriminator=partial(Plain, 128),
        penalty_terms=[GradientPenalty()],
        penalty_share=0.5,
    ),
    "packed": partial(plain, JudgesPacks, discriminator=partial(Plain, 128)),
    "packed by the network": partial(plain, HingeGAN, discriminator=PACKS),
    "resting in turn": partial(plain, HingeGAN, stages=STAGES, penalty_every=2),
    "Pooled": partial(plain, Pooled, size=10),
}
