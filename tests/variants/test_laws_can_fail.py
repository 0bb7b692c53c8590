"""Each law finds a variant that breaks it. The games lie in a module, so that other processes know them."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ganlab.game.gan import GAN
from ganlab.losses import Loss
from ganlab.testing import Game, Generator
from ganlab.testing.process_checks import (
    resumes_exactly_on_two_processes,
    two_processes_are_one_of_twice_the_batch,
)
from ganlab.testing.sampling_checks import (
    samples_follow_from_seed_and_number,
    samples_the_same_on_two_processes,
)
from ganlab.testing.side_checks import (
    is_judged_by_several_critics,
    lets_sides_rest,
    moves_only_what_a_side_learns,
)
from ganlab.variants import HingeGAN


class CountsItsSamples(HingeGAN):
    """Its samples depend on where they lie in a portion."""

    def fake(self, generator: nn.Module, latent: Tensor, condition: Any) -> Tensor:
        return generator(latent) + torch.arange(len(latent)).view(-1, 1, 1, 1) / 100


class Noisy(HingeGAN):
    """Its samples draw from torch's own generator."""

    def fake(self, generator: nn.Module, latent: Tensor, condition: Any) -> Tensor:
        return generator(latent + torch.randn_like(latent))


class Shaded(nn.Module):
    """A generator of samples with the mean of their portion's labels."""

    def __init__(self) -> None:
        super().__init__()
        self.player = Generator()

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        return self.player(latent) + label.to(latent.dtype).mean()


class Labelling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64 + 3, 1)

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        return self.layer(torch.cat([images.flatten(1), one_hot(label, 3).to(images.dtype)], 1)).squeeze(1)


class Shifting(HingeGAN):
    """Its samples are shifted by what each process counts for itself."""

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.register_buffer("shift", torch.zeros(()))

    def discriminator_terms(self, turn: Any) -> Any:
        self.shift.add_(turn.real.mean().detach())
        return super().discriminator_terms(turn)

    def fake(self, generator: nn.Module, latent: Tensor, condition: Any) -> Tensor:
        return generator(latent) + self.shift


class Adding(HingeGAN):
    """Its terms are sums over samples."""

    def generator_terms(self, turn: Any) -> Any:
        return {"generator": -turn.fake_logits.sum()}


class Balancing(HingeGAN):
    """Couples samples: the square of a mean."""

    def generator_terms(self, turn: Any) -> Any:
        return {"generator": turn.fake_logits.mean().square()}


class BalancingInSilence(Balancing):
    """The square of a mean."""


class Ghostly(HingeGAN):
    """It moves its generator, whoever plays."""

    def discriminator_terms(self, turn: Any) -> Any:
        with torch.no_grad():
            next(self.generator.parameters()).mul_(0.99)
        return super().discriminator_terms(turn)


class Forgetful(HingeGAN):
    """It moves its average at each of the discriminator's steps."""

    def after_discriminator_step(self, logged: Any) -> None:
        next(self.ema.parameters()).mul_(0.99)


class Impatient(HingeGAN):
    """It counts in Python how often its discriminator has played, which is in no checkpoint."""

    played = 0

    def after_discriminator_step(self, logged: Any) -> None:
        self.played += 1

    def generator_terms(self, turn: Any) -> Any:
        return {"generator": (1 + self.played) * super().generator_terms(turn)["generator"]}


class Detached(HingeGAN):
    """Both sides shall learn the discriminator's first layer, but the generator's terms do not reach it."""

    def learns(self, side: Any) -> Mapping[str, nn.Parameter]:
        return {**super().learns(side), **dict(self.discriminator[0].named_parameters(prefix="first"))}

    def generator_terms(self, turn: Any) -> Any:
        return {"generator": -turn.fake.mean()}


class OfTheFirst(Loss):
    """Twice the critics, twice the loss."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return (fake - real).mean()

    def generator(self, fake: Tensor, real: Any) -> Tensor:
        return -fake.mean()


class Summing(GAN):
    """It adds its critics' terms up."""

    loss = OfTheFirst()

    def generator_terms(self, turn: Any) -> Any:
        logits = turn.fake_logits if isinstance(turn.fake_logits, list) else [turn.fake_logits]
        return {"generator": -torch.stack([each.mean() for each in logits]).sum()}


LABELLED = {"conditional": True, "generator": Shaded, "discriminator": Labelling}
Law = Callable[[Game], None]
BREACHES: list[tuple[Law, Game, str]] = [
    (samples_follow_from_seed_and_number, Game(CountsItsSamples), "are others alone"),
    (samples_follow_from_seed_and_number, Game(HingeGAN, None, LABELLED), "as the data tell"),
    (samples_the_same_on_two_processes, Game(Shifting), "is another on two processes"),
    (resumes_exactly_on_two_processes, Game(Shifting), "resumed on process"),
    (resumes_exactly_on_two_processes, Game(Impatient), "resumed on process 0"),
    (two_processes_are_one_of_twice_the_batch, Game(BalancingInSilence), "differs by"),
    (two_processes_are_one_of_twice_the_batch, Game(Adding), "differs by"),
    (moves_only_what_a_side_learns, Game(Ghostly), "turn touched the generator"),
    (moves_only_what_a_side_learns, Game(Detached), "generator never moves what both learn"),
    (lets_sides_rest, Game(Forgetful), "the average moved in steps"),
    (lets_sides_rest, Game(Impatient), "resumed after step"),
    (is_judged_by_several_critics, Game(Summing), "of two like it"),
]


@pytest.mark.parametrize(
    ("law", "game", "words"),
    BREACHES,
    ids=[f"{law.__name__}-{game.variant.__name__}" for law, game, _ in BREACHES],
)
def test_a_law_finds_what_breaks_it(law: Law, game: Game, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        law(game)
