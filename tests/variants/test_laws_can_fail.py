"""Each law finds a variant that breaks it. The games lie in a module, so that other processes know them."""

from collections.abc import Callable, Mapping
from typing import Any
from unittest import SkipTest

import pytest
import torch
from plain_games import Pooled
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.utils._pytree import tree_leaves

from ganlab.game.gan import GAN
from ganlab.testing import CHECKS, OF_TWO_PROCESSES, Game, Generator
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
from ganlab.testing.training_checks import reports_a_bad_number, resumes_exactly, trains
from ganlab.variants import HingeGAN, RelativisticGAN


class CountsItsSamples(HingeGAN):
    """Its samples depend on where they lie in a portion."""

    def fake(self, generator: nn.Module, latent: Tensor, condition: Any) -> Tensor:
        return generator(latent) + torch.arange(len(latent)).view(-1, 1, 1, 1) / 100


class Unseeded(HingeGAN):
    """Its latents are drawn by torch's own generator."""

    def latent(self, draws: Any, *, truncation: float | None = None) -> Tensor:
        return torch.randn(draws.total, self.latent_size, device=self.device)[draws.rows]


class Restless(HingeGAN):
    """It draws a number of torch's own generator for nothing."""

    def latent(self, draws: Any, *, truncation: float | None = None) -> Tensor:
        torch.rand(())
        return super().latent(draws, truncation=truncation)


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


class Forgetting(Pooled):
    """Couples samples: each process stores fakes, but checkpoints hold those of the first."""

    per_process = ()


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


class Sums:
    """Twice the critics, twice the loss."""

    def discriminator(self, real: Any, fake: Any) -> Tensor:
        return sum(map(torch.mean, tree_leaves(fake))) - sum(map(torch.mean, tree_leaves(real)))

    def generator(self, fake: Any, real: Any) -> Tensor:
        return -sum(map(torch.mean, tree_leaves(fake)))


class Summing(GAN):
    """It adds its critics' terms up."""

    loss = Sums()  # type: ignore[assignment]


class Stuck(HingeGAN):
    """Its generator has a term that depends on it, and no slope."""

    def generator_terms(self, turn: Any) -> Any:
        return {"generator": 0 * turn.fake.sum()}


class InTurn(HingeGAN):
    """Its discriminator plays in three of four steps, and then its generator in one."""

    def discriminator_terms(self, turn: Any) -> Any:
        return {} if self.global_step % 4 == 3 else super().discriminator_terms(turn)

    def generator_terms(self, turn: Any) -> Any:
        return super().generator_terms(turn) if self.global_step % 4 == 3 else {}


LABELLED = {"conditional": True, "generator": Shaded, "discriminator": Labelling}
Law = Callable[[Game], None]
BREACHES: list[tuple[Law, Game, str]] = [
    (samples_follow_from_seed_and_number, Game(CountsItsSamples), "are others alone"),
    (samples_follow_from_seed_and_number, Game(HingeGAN, None, LABELLED), "as the data tell"),
    (samples_follow_from_seed_and_number, Game(Unseeded), "are others alone"),
    (samples_follow_from_seed_and_number, Game(Restless), "drew from torch's own generator"),
    (samples_the_same_on_two_processes, Game(Shifting), "is another on two processes"),
    (resumes_exactly_on_two_processes, Game(Shifting), "resumed on process"),
    (resumes_exactly_on_two_processes, Game(Forgetting), "resumed on process 1"),
    (resumes_exactly_on_two_processes, Game(Impatient), "resumed on process 0"),
    (two_processes_are_one_of_twice_the_batch, Game(BalancingInSilence), "differs by"),
    (two_processes_are_one_of_twice_the_batch, Game(Adding), "differs by"),
    (moves_only_what_a_side_learns, Game(Ghostly), "turn touched the generator"),
    (moves_only_what_a_side_learns, Game(Detached), "generator never moves what both learn"),
    (trains, Game(Stuck), "generator never moved"),
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


class Finished(HingeGAN):
    """The generator alone learns, by what a finished critic says."""

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.discriminator.requires_grad_(False)

    def discriminator_terms(self, turn: Any) -> Any:
        return {}

    def generator_terms(self, turn: Any) -> Any:
        return {"score": -turn.fake_logits.mean()}


class Unrolling(HingeGAN):
    """Its terms need a single critic."""

    def generator_terms(self, turn: Any) -> Any:
        return {"generator": -turn.fake_logits.mean()}


class Comparing(nn.Module):
    """A critic that compares samples with the mean of their batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 1)

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return self.layer(flat - flat.mean(0)).squeeze(1)


LEFT_OUT: list[tuple[Law, Game, str]] = [
    (lets_sides_rest, Game(InTurn), "side of InTurn rests by itself"),
    (lets_sides_rest, Game(Finished), "discriminator of Finished learns nothing"),
    (is_judged_by_several_critics, Game(Finished), "discriminator_terms .* may be of a single critic"),
    (is_judged_by_several_critics, Game(Unrolling), "generator_terms may be of a single critic"),
    (
        two_processes_are_one_of_twice_the_batch,
        Game(HingeGAN, None, {"discriminator": Comparing}),
        "treat samples together",
    ),
    (resumes_exactly_on_two_processes, Game(HingeGAN, None, {"generator": lambda: Generator()}), "lambda"),
]


@pytest.mark.parametrize(
    ("law", "game", "words"),
    LEFT_OUT,
    ids=map("{0[0].__name__}-{0[2]:.12}".format, LEFT_OUT),
)
def test_a_law_that_says_nothing_of_a_game_says_why(law: Law, game: Game, words: str) -> None:
    with pytest.raises(SkipTest, match=words):
        law(game)


@pytest.mark.parametrize(
    "law", [trains, reports_a_bad_number, moves_only_what_a_side_learns, resumes_exactly]
)
def test_a_side_that_learns_nothing_may_rest(law: Law) -> None:
    law(Game(Finished))


OF_RESTING = [law for law in CHECKS if law not in (lets_sides_rest, is_judged_by_several_critics)]


@pytest.mark.parametrize("law", OF_RESTING, ids=lambda law: law.__name__)
def test_sides_may_rest_by_themselves(law: Law) -> None:
    law(Game(InTurn))


@pytest.mark.parametrize("law", OF_TWO_PROCESSES)
def test_what_each_process_keeps_for_itself_is_named(law: Law) -> None:
    law(Game(Pooled))


@pytest.mark.parametrize("variant", [Balancing, RelativisticGAN])
def test_what_couples_samples_says_so(variant: type[GAN]) -> None:
    two_processes_are_one_of_twice_the_batch(Game(variant))


def test_a_network_that_is_given_as_it_is_is_in_no_two_games() -> None:
    network = Generator()
    build = Game(HingeGAN, None, {"generator": network})
    one, other = build(), build()
    assert len({id(game.generator[0].weight) for game in (one, other)} | {id(network[0].weight)}) == 3
    assert torch.equal(one.generator[0].weight, network[0].weight)
