"""Each loss against its equation written another way: log-probabilities, cross-entropies, slopes by hand."""

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from ganlab import losses
from ganlab.errors import Refused
from ganlab.losses import Loss, NonSaturating

# Both sides of every kink, and far enough out that a wrong slope or sign shows.
REAL = torch.tensor([-2.3, -1.0001, -0.4, 0.0, 0.7, 0.9999, 1.5, 4.2], dtype=torch.float64)
FAKE = torch.tensor([3.1, -0.2, 0.6, -1.7, 1.0001, -0.9999, -3.3, 0.1], dtype=torch.float64)
N = len(REAL)
SMOOTHING = 0.1


def log_d(logits: Tensor) -> Tensor:
    return logsigmoid(logits)


def log_not_d(logits: Tensor) -> Tensor:
    """log(1 - sigmoid(x)), which is log(sigmoid(-x))."""
    return logsigmoid(-logits)


def cross_entropy(logits: Tensor, target: float) -> Tensor:
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def sigmoid(logits: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-logits))


def step(condition: Tensor) -> Tensor:
    return condition.to(REAL.dtype)


class Known(NamedTuple):
    """The loss, its two equations, and their derivatives by each logit, times the number of samples."""

    loss: Loss
    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    discriminator_slopes: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    generator_slope: Callable[[Tensor, Tensor], Tensor]
    needs_real: bool = False


KNOWN = {
    "minimax": Known(
        losses.minimax,
        lambda r, f: -log_d(r).mean() - log_not_d(f).mean(),
        lambda r, f: log_not_d(f).mean(),
        lambda r, f: (sigmoid(r) - 1, sigmoid(f)),
        lambda r, f: -sigmoid(f),
    ),
    "non_saturating": Known(
        losses.non_saturating,
        lambda r, f: cross_entropy(r, 1) + cross_entropy(f, 0),
        lambda r, f: cross_entropy(f, 1),
        lambda r, f: (sigmoid(r) - 1, sigmoid(f)),
        lambda r, f: sigmoid(f) - 1,
    ),
    "smoothed": Known(
        NonSaturating(SMOOTHING),
        lambda r, f: cross_entropy(r, 1 - SMOOTHING) + cross_entropy(f, 0),
        lambda r, f: cross_entropy(f, 1),
        lambda r, f: (sigmoid(r) - (1 - SMOOTHING), sigmoid(f)),
        lambda r, f: sigmoid(f) - 1,
    ),
    "least_squares": Known(
        losses.least_squares,
        lambda r, f: ((r**2 - 2 * r + 1) / 2).mean() + (f**2 / 2).mean(),
        lambda r, f: ((f**2 - 2 * f + 1) / 2).mean(),
        lambda r, f: (r - 1, f),
        lambda r, f: f - 1,
    ),
    "wasserstein": Known(
        losses.wasserstein,
        lambda r, f: (f.sum() - r.sum()) / r.numel(),
        lambda r, f: -f.sum() / f.numel(),
        lambda r, f: (-torch.ones_like(r), torch.ones_like(f)),
        lambda r, f: -torch.ones_like(f),
    ),
    "hinge": Known(
        losses.hinge,
        lambda r, f: -torch.minimum(r - 1, 0 * r).mean() - torch.minimum(-f - 1, 0 * f).mean(),
        lambda r, f: -f.sum() / f.numel(),
        lambda r, f: (-step(r < 1), step(f > -1)),
        lambda r, f: -torch.ones_like(f),
    ),
    "relativistic": Known(
        losses.relativistic,
        lambda r, f: -log_d(r - f).mean(),
        lambda r, f: -log_d(f - r).mean(),
        lambda r, f: (sigmoid(r - f) - 1, 1 - sigmoid(r - f)),
        lambda r, f: sigmoid(f - r) - 1,
        needs_real=True,
    ),
    "relativistic_average": Known(
        losses.relativistic_average,
        lambda r, f: cross_entropy(r - f.mean(), 1) + cross_entropy(f - r.mean(), 0),
        lambda r, f: cross_entropy(f - r.mean(), 1) + cross_entropy(r - f.mean(), 0),
        # Each logit moves its own comparison, and the mean in every comparison of the other kind.
        lambda r, f: (
            sigmoid(r - f.mean()) - 1 - sigmoid(f - r.mean()).mean(),
            sigmoid(f - r.mean()) - (sigmoid(r - f.mean()) - 1).mean(),
        ),
        lambda r, f: sigmoid(f - r.mean()) - 1 - sigmoid(r - f.mean()).mean(),
        needs_real=True,
    ),
}

every_loss = pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN.keys())


def leaves(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    return REAL.to(dtype).requires_grad_(), FAKE.to(dtype).requires_grad_()


def test_every_loss_is_known_here() -> None:
    defined = {name for name, value in vars(losses).items() if isinstance(value, Loss)}
    assert defined == KNOWN.keys() - {"smoothed"}


class TestEquations:
    @every_loss
    def test_discriminator(self, known: Known) -> None:
        torch.testing.assert_close(known.loss.discriminator(REAL, FAKE), known.discriminator(REAL, FAKE))

    @every_loss
    def test_generator(self, known: Known) -> None:
        torch.testing.assert_close(known.loss.generator(FAKE, lambda: REAL), known.generator(REAL, FAKE))

    @every_loss
    def test_slopes_of_the_discriminators_equation(self, known: Known) -> None:
        real, fake = leaves()
        slopes = torch.autograd.grad(known.loss.discriminator(real, fake), (real, fake))
        for slope, expected in zip(slopes, known.discriminator_slopes(REAL, FAKE), strict=True):
            torch.testing.assert_close(slope, expected / N)

    @every_loss
    def test_slope_of_the_generators_equation(self, known: Known) -> None:
        real, fake = leaves()
        (slope,) = torch.autograd.grad(known.loss.generator(fake, lambda: real), fake)
        torch.testing.assert_close(slope, known.generator_slope(REAL, FAKE) / N)

    @every_loss
    @pytest.mark.parametrize("shape", [(N, 1), (2, 1, 2, 2), (N // 2, 2)], ids=str)
    def test_maps_of_logits_are_averaged_like_single_ones(self, known: Known, shape: tuple[int, ...]) -> None:
        real, fake = REAL.reshape(shape), FAKE.reshape(shape)
        value = known.loss.discriminator(real, fake)
        assert value.shape == ()
        torch.testing.assert_close(value, known.discriminator(REAL, FAKE))
        torch.testing.assert_close(known.loss.generator(fake, lambda: real), known.generator(REAL, FAKE))

    @pytest.mark.parametrize(
        ("name", "discriminator", "generator"),
        [
            ("minimax", math.log(4), -math.log(2)),
            ("non_saturating", math.log(4), math.log(2)),
            ("smoothed", math.log(4), math.log(2)),
            ("least_squares", 0.5, 0.5),
            ("wasserstein", 0.0, 0.0),
            ("hinge", 2.0, 0.0),
            ("relativistic", math.log(2), math.log(2)),
            ("relativistic_average", math.log(4), math.log(4)),
        ],
    )
    def test_a_discriminator_that_cannot_tell(
        self, name: str, discriminator: float, generator: float
    ) -> None:
        undecided = torch.zeros(3, dtype=torch.float64)
        loss = KNOWN[name].loss
        assert float(loss.discriminator(undecided, undecided)) == pytest.approx(discriminator, abs=1e-15)
        assert float(loss.generator(undecided, lambda: undecided)) == pytest.approx(generator, abs=1e-15)


class TestPairs:
    def test_the_paired_loss_compares_samples_at_one_position(self) -> None:
        order = torch.arange(N).flip(0)
        paired = losses.relativistic.discriminator(REAL, FAKE)
        torch.testing.assert_close(losses.relativistic.discriminator(REAL[order], FAKE[order]), paired)
        assert (losses.relativistic.discriminator(REAL[order], FAKE) - paired).abs() > 0.01

    @pytest.mark.parametrize("name", sorted(KNOWN.keys() - {"relativistic"}))
    def test_no_other_loss_does(self, name: str) -> None:
        order = torch.arange(N).flip(0)
        loss = KNOWN[name].loss
        torch.testing.assert_close(loss.discriminator(REAL[order], FAKE), loss.discriminator(REAL, FAKE))
        torch.testing.assert_close(
            loss.generator(FAKE, lambda: REAL[order]), loss.generator(FAKE, lambda: REAL)
        )

    @pytest.mark.parametrize("name", sorted(KNOWN.keys() - {"relativistic_average"}))
    def test_only_the_average_couples_samples(self, name: str) -> None:
        """The mean over a batch is the mean over its halves; else micro-batches would change the game."""
        loss = KNOWN[name].loss
        halves = zip(REAL.chunk(2), FAKE.chunk(2), strict=True)
        torch.testing.assert_close(
            sum(loss.discriminator(r, f) for r, f in halves) / 2, loss.discriminator(REAL, FAKE)
        )

    def test_the_average_does(self) -> None:
        loss = losses.relativistic_average
        halves = zip(REAL.chunk(2), FAKE.chunk(2), strict=True)
        parts = sum(loss.discriminator(r, f) for r, f in halves) / 2
        assert (parts - loss.discriminator(REAL, FAKE)).abs() > 1e-3


@every_loss
def test_the_generator_asks_for_reals_only_if_its_equation_has_them(known: Known) -> None:
    asked = []

    def real() -> Tensor:
        asked.append(1)
        return REAL

    known.loss.generator(FAKE, real)
    assert len(asked) == known.needs_real


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_dtypes_stay(known: Known, dtype: torch.dtype) -> None:
    real, fake = leaves(dtype)
    assert known.loss.discriminator(real, fake).dtype == dtype
    assert known.loss.generator(fake, lambda: real).dtype == dtype


class TestFarLogits:
    """A sure discriminator must neither overflow nor lose its slope."""

    @every_loss
    @pytest.mark.parametrize("real_at", [-1e4, 1e4])
    @pytest.mark.parametrize("fake_at", [-1e4, 1e4])
    def test_values_and_slopes(self, known: Known, real_at: float, fake_at: float) -> None:
        real, fake = (torch.tensor([at, at]).requires_grad_() for at in (real_at, fake_at))
        wide_real, wide_fake = (logits.detach().double() for logits in (real, fake))
        discriminator = known.loss.discriminator(real, fake)
        generator = known.loss.generator(fake, lambda: real)
        assert discriminator.isfinite()
        assert generator.isfinite()
        torch.testing.assert_close(discriminator.double(), known.discriminator(wide_real, wide_fake))
        torch.testing.assert_close(generator.double(), known.generator(wide_real, wide_fake))
        slopes = torch.autograd.grad(discriminator, (real, fake))
        for slope, expected in zip(slopes, known.discriminator_slopes(wide_real, wide_fake), strict=True):
            torch.testing.assert_close(slope.double(), expected / 2)
        (slope,) = torch.autograd.grad(generator, fake)
        torch.testing.assert_close(slope.double(), known.generator_slope(wide_real, wide_fake) / 2)


class TestSmoothing:
    @pytest.mark.parametrize("smoothing", [-0.1, 1.0, 1.5, math.nan, math.inf])
    def test_outside_its_range_is_refused(self, smoothing: float) -> None:
        with pytest.raises(Refused, match="smoothing"):
            NonSaturating(smoothing)

    @pytest.mark.parametrize("smoothing", [0.0, 0.3, 0.999])
    def test_moves_the_best_answer_on_reals_and_leaves_that_on_fakes(self, smoothing: float) -> None:
        best = math.log((1 - smoothing) / smoothing) if smoothing else 1e3
        real = torch.tensor([best], dtype=torch.float64, requires_grad=True)
        fake = torch.tensor([-1e3], dtype=torch.float64, requires_grad=True)
        slopes = torch.autograd.grad(NonSaturating(smoothing).discriminator(real, fake), (real, fake))
        for slope in slopes:
            assert abs(float(slope)) < 1e-12

    def test_is_none_by_default(self) -> None:
        assert NonSaturating().smoothing == 0
        assert losses.non_saturating.smoothing == 0
