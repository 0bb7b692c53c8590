"""Gradient penalties: known answers of simple critics, and the weights' gradient in a real step."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganlab.game.gan import GAN
from ganlab.game.parts import Penalty
from ganlab.game.terms import Terms
from ganlab.networks import MLPDiscriminator
from ganlab.penalties import (
    interpolates,
    one_centred,
    perturbed,
    squared_norm,
    to_the_power,
    zero_centred,
)
from ganlab.testing import SHAPE, Specks, new, play
from ganlab.variants import DRAGAN, R1GAN, R3GAN, WGANGP, WGANDiv

Equation = Callable[[Tensor, Tensor], Tensor]
PENALTIES: dict[str, Equation] = {"zero_centred": zero_centred, "one_centred": one_centred}
every_penalty = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES.keys())


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def points(*size: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*size, dtype=dtype, requires_grad=True)


class TestLinearCritic:
    """D(x) = w x + b has the gradient w everywhere."""

    @pytest.mark.parametrize("shape", [(4,), (3, 2, 5)], ids=str)
    @pytest.mark.parametrize("norm", [0.25, 1.0, 3.0])
    def test_values(self, shape: tuple[int, ...], norm: float) -> None:
        weight = torch.randn(shape, dtype=torch.float64)
        weight *= norm / weight.norm()
        images = points(6, *shape)
        logits = (images * weight).flatten(1).sum(1) + 7
        torch.testing.assert_close(
            squared_norm(images, logits), torch.full((6,), norm**2, dtype=torch.float64)
        )
        assert float(zero_centred(images, logits)) == pytest.approx(norm**2, rel=1e-12)
        assert float(one_centred(images, logits)) == pytest.approx((norm - 1) ** 2, rel=1e-9, abs=1e-11)
        assert float(to_the_power(images, logits, 6)) == pytest.approx(norm**6, rel=1e-12)
        assert float(to_the_power(images, logits, 2)) == float(zero_centred(images, logits))

    @pytest.mark.parametrize("shape", [(6, 1), (6, 1, 1, 1)], ids=str)
    def test_a_logit_may_have_any_shape(self, shape: tuple[int, ...]) -> None:
        images = points(6, 3)
        logits = (images * torch.tensor([2.0, -1.0, 2.0])).sum(1).reshape(shape)
        torch.testing.assert_close(squared_norm(images, logits), torch.full((6,), 9.0, dtype=torch.float64))

    def test_a_map_of_logits_counts_by_its_mean(self) -> None:
        images, weights = points(6, 4), torch.randn(4, 5, dtype=torch.float64)
        norms = squared_norm(images, images @ weights)
        torch.testing.assert_close(norms, weights.mean(1).square().sum().expand(6))

    def test_slopes_by_weights(self) -> None:
        """By hand: 2 w, and 2 (|w| - 1) w / |w|."""
        weight = torch.randn(5, dtype=torch.float64, requires_grad=True)
        norm = weight.detach().norm()
        for penalty, expected in (
            (zero_centred, 2 * weight.detach()),
            (one_centred, 2 * (norm - 1) / norm * weight.detach()),
        ):
            images = points(6, 5)
            (slope,) = torch.autograd.grad(penalty(images, images @ weight), weight)
            torch.testing.assert_close(slope, expected)


class TestQuadraticCritic:
    """D(x) = x' A x / 2 with a symmetric A has the gradient A x."""

    @staticmethod
    def play() -> tuple[Tensor, Tensor, Tensor]:
        matrix = torch.randn(4, 4, dtype=torch.float64)
        matrix += matrix.clone().T
        images = points(7, 4)
        return images, torch.einsum("ni,ij,nj->n", images, matrix, images) / 2, images.detach() @ matrix

    def test_each_samples_squared_norm(self) -> None:
        images, logits, gradients = self.play()
        torch.testing.assert_close(squared_norm(images, logits), gradients.norm(dim=1) ** 2)

    def test_means_over_samples(self) -> None:
        images, logits, gradients = self.play()
        norms = gradients.norm(dim=1)
        torch.testing.assert_close(zero_centred(images, logits), (norms**2).mean())
        torch.testing.assert_close(one_centred(images, logits), ((norms - 1) ** 2).mean())

    def test_slopes_by_weights(self) -> None:
        """By hand, for D(x) = a |x|^2 / 2: the norm is |a| |x|."""
        scale = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
        images = points(7, 4)
        norms = images.detach().norm(dim=1)
        for penalty, expected in (
            (zero_centred, 2 * 1.7 * norms**2),
            (one_centred, 2 * (1.7 * norms - 1) * norms),
        ):
            logits = scale * images.square().sum(1) / 2
            (slope,) = torch.autograd.grad(penalty(images, logits), scale)
            torch.testing.assert_close(slope, expected.mean())


class TestWeightGradients:
    """Against finite differences in float64."""

    @every_penalty
    @pytest.mark.parametrize(
        ("layers", "shape"),
        [
            ((nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.Softplus(), nn.Linear(4, 1)), (3,)),
            ((nn.Conv2d(1, 2, 3, 2, 1), nn.SiLU(), nn.Flatten(), nn.Linear(8, 1)), (1, 4, 4)),
        ],
        ids=["linear", "convolutions"],
    )
    def test_of_a_small_critic(
        self, penalty: Equation, layers: tuple[nn.Module, ...], shape: tuple[int, ...]
    ) -> None:
        discriminator = nn.Sequential(*layers).double()
        weights = {name: w.detach() for name, w in discriminator.named_parameters()}
        images = torch.randn(4, *shape, dtype=torch.float64)

        def value(*values: Tensor) -> Tensor:
            at = images.clone().requires_grad_()
            return penalty(at, functional_call(discriminator, dict(zip(weights, values, strict=True)), (at,)))

        inputs = [weight.clone().requires_grad_() for weight in weights.values()]
        slopes = torch.autograd.grad(value(*inputs), inputs, allow_unused=True)
        assert max(float(slope.abs().max()) for slope in slopes if slope is not None) > 1e-3
        # The last bias has no part in a penalty, all others have.
        moving = [slope is not None for slope in slopes]
        assert moving == [True] * (len(moving) - 1) + [False]
        fixed = inputs.pop().detach()
        assert torch.autograd.gradcheck(lambda *some: value(*some, fixed), inputs)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_of_a_dead_critic_are_finite(self, dtype: torch.dtype) -> None:
        """Its gradient is 0, where the norm has no slope."""
        images = points(4, 3, dtype=dtype)
        weight = torch.zeros(3, dtype=dtype, requires_grad=True)
        value = one_centred(images, images @ weight)
        assert float(value.detach()) == pytest.approx(1, abs=1e-5)
        assert torch.equal(torch.autograd.grad(value, weight)[0], torch.zeros(3, dtype=dtype))

    def test_of_dead_units_are_finite(self) -> None:
        critic = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
        nn.init.constant_(critic[0].bias, -100)
        images = points(4, 3, dtype=torch.float32)
        one_centred(images, critic(images)).backward()
        for name, parameter in critic.named_parameters():
            assert parameter.grad is None or parameter.grad.isfinite().all(), name
        assert critic[0].weight.grad is not None

    @every_penalty
    def test_of_one_live_sample_among_dead_ones_are_its_own(self, penalty: Equation) -> None:
        critic = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU())
        nn.init.constant_(critic[0].weight, 3)
        images = torch.tensor([[2.0], [-2.0], [-1.0], [-5.0]], requires_grad=True)
        penalty(images, critic(images)).backward()
        expected = {zero_centred: 2 * 3 / 4, one_centred: 2 * (3 - 1) / 4}[penalty]
        assert float(critic[0].weight.grad) == pytest.approx(expected, rel=1e-6)


class TestInterpolates:
    def test_at_both_ends_and_between(self) -> None:
        real, fake = points(4, 2, 3, 3), points(4, 2, 3, 3)
        share = torch.tensor([0.0, 1.0, 0.25, 0.5], dtype=torch.float64).view(4, 1, 1, 1)
        between = interpolates(real, fake, share)
        assert torch.equal(between[0], fake[0])
        torch.testing.assert_close(between[1], real[1])
        torch.testing.assert_close(between[2], 0.25 * real[2] + 0.75 * fake[2])
        torch.testing.assert_close(between[3], (real[3] + fake[3]) / 2)

    def test_are_where_gradients_begin(self) -> None:
        between = interpolates(points(4, 2), points(4, 2), torch.rand(4, 1, dtype=torch.float64))
        assert between.requires_grad
        assert between.is_leaf
        assert between.dtype == torch.float64


class TestPerturbed:
    def test_lie_within_the_datas_width(self) -> None:
        """Uniform from 0 to `strength` standard deviations of all numbers in the batch."""
        real = 3 * points(500, 2, 3, 3) + 1
        noise = (perturbed(real, 0.5) - real).detach() / real.detach().std()
        assert 0 <= float(noise.min()) < 0.001
        assert 0.499 < float(noise.max()) < 0.5
        shares = torch.histc(noise, 5, 0, 0.5) / noise.numel()
        torch.testing.assert_close(shares, torch.full_like(shares, 0.2), atol=0.02, rtol=0)

    def test_follow_the_seed(self) -> None:
        real = points(5, 4)
        torch.manual_seed(8)
        uniform = torch.rand(5, 4, dtype=torch.float64)
        torch.manual_seed(8)
        width = ((real - real.mean()) ** 2).sum().div(19).sqrt()
        torch.testing.assert_close(perturbed(real, 0.7).detach(), (real + 0.7 * width * uniform).detach())

    def test_by_nothing_are_the_reals(self) -> None:
        real = points(5, 4)
        assert torch.equal(perturbed(real, 0.0), real)

    def test_are_where_gradients_begin(self) -> None:
        around = perturbed(points(5, 4), 0.5)
        assert around.requires_grad
        assert around.is_leaf


# In a real step


class Fixed(nn.Module):
    """A generator of fakes that are the same in bf16: its linear layer makes them out of its bias alone."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, SHAPE[0] * SHAPE[1] * SHAPE[2])
        with torch.no_grad():
            self.layer.weight.zero_()
            self.layer.bias.copy_(torch.randn_like(self.layer.bias).bfloat16())

    def forward(self, latent: Tensor) -> Tensor:
        return self.layer(latent).unflatten(1, SHAPE)


# Smooth, because float32 and float64 may take different sides of a kink.
DISCRIMINATORS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: MLPDiscriminator(shape=SHAPE, hidden=(32, 32), activation="silu"),
    "convolutions": lambda: nn.Sequential(
        nn.Conv2d(SHAPE[0], 8, 3, 2, 1),
        nn.SiLU(),
        nn.Conv2d(8, 16, 3, 2, 1, groups=2),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(SHAPE[1] * SHAPE[2], 1),
        nn.Flatten(0),
    ),
}
GAMMA = 3.0


class Known(NamedTuple):
    """A variant, and its penalty from the squared gradient norms at each set of points that it judges."""

    variant: type[GAN]
    value: Callable[..., Tensor]
    arguments: Mapping[str, float] = MappingProxyType({"gamma": GAMMA})


def slope_one(squared: Tensor) -> Tensor:
    return GAMMA * (squared.sqrt() - 1).pow(2).mean()


KNOWN = {
    "WGANGP": Known(WGANGP, slope_one),
    "DRAGAN": Known(DRAGAN, slope_one),
    "WGANDiv": Known(WGANDiv, lambda squared: GAMMA * squared.pow(3).mean(), {"k": GAMMA, "p": 6.0}),
    "R1GAN": Known(R1GAN, lambda at_real: GAMMA / 2 * at_real.mean()),
    "R3GAN": Known(R3GAN, lambda at_real, at_fake: GAMMA / 2 * at_real.mean() + GAMMA / 2 * at_fake.mean()),
}
every_variant = pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN.keys())
every_critic = pytest.mark.parametrize("critic", DISCRIMINATORS.values(), ids=DISCRIMINATORS.keys())


class Played(NamedTuple):
    critic: nn.Module  # before the step
    judged: list[Tensor]
    gradient: Tensor


def penalised(
    known: Known,
    critic: Callable[[], nn.Module],
    precision: str,
    *,
    alone: bool = True,
    **arguments: Any,
) -> Played:
    """One step in which the penalties are `alone`, or not, in the discriminator's gradient."""
    judged: list[Tensor] = []
    gradients: list[Tensor] = []

    class Watched(known.variant):  # type: ignore[name-defined]
        def discriminator_terms(self, turn: Any) -> Terms:
            judged.clear()
            nothing = 0 * next(self.discriminator.parameters()).sum()
            return {"nothing": nothing} if alone else super().discriminator_terms(turn)

        def judge(self, images: Tensor, condition: Any) -> Tensor:
            if not gradients:
                judged.append(images.detach().clone())
            return super().judge(images, condition)

        def on_before_optimizer_step(self, optimizer: Any) -> None:
            if not gradients:
                given = [p.grad for p in self.discriminator.parameters() if p.grad is not None]
                gradients.append(torch.cat([gradient.flatten().double() for gradient in given]))
            super().on_before_optimizer_step(optimizer)

    torch.manual_seed(1)
    players = {"generator": Fixed(), "discriminator": critic()}
    game = new(Watched, **{**known.arguments, "critic_steps": 1, **players, **arguments})
    before = deepcopy(game.discriminator)
    play(game, Specks(batch_size=8), steps=1, precision=precision)
    return Played(before, judged, gradients[0])


def by_definition(known: Known, played: Played) -> Tensor:
    """The penalty's weight gradient in float64, at the points that the step judged."""
    critic = deepcopy(played.critic).double()
    squared = []
    for images in played.judged:
        at = images.double().requires_grad_()
        (slope,) = torch.autograd.grad(critic(at).sum(), at, create_graph=True)
        squared.append(torch.einsum("nchw,nchw->n", slope, slope))
    slopes = torch.autograd.grad(known.value(*squared), list(critic.parameters()), allow_unused=True)
    return torch.cat([slope.flatten() for slope in slopes if slope is not None])


def relative_error(computed: Tensor, expected: Tensor) -> float:
    return float((computed - expected).norm() / expected.norm())


class TestPrecision:
    @every_variant
    @every_critic
    def test_in_float32_is_the_equation(self, known: Known, critic: Callable[[], nn.Module]) -> None:
        played = penalised(known, critic, "32")
        assert {images.dtype for images in played.judged} == {torch.float32}
        assert relative_error(played.gradient, by_definition(known, played)) <= 1e-5

    @every_variant
    @every_critic
    def test_mixed_precision_leaves_it_in_float32(
        self, known: Known, critic: Callable[[], nn.Module]
    ) -> None:
        whole, mixed = (penalised(known, critic, precision) for precision in ("32", "bf16-mixed"))
        for one, other in zip(whole.judged, mixed.judged, strict=True):
            assert torch.equal(one, other)
        assert relative_error(mixed.gradient, whole.gradient) <= 1e-5

    @every_variant
    @every_critic
    def test_the_loss_of_the_same_turn_shares_it(self, known: Known, critic: Callable[[], nn.Module]) -> None:
        """Each point is judged once, in float32, for loss and penalty."""
        whole, mixed = (
            penalised(known, critic, precision, alone=False) for precision in ("32", "bf16-mixed")
        )
        assert len(mixed.judged) == {WGANGP: 3, WGANDiv: 3, DRAGAN: 3, R1GAN: 2, R3GAN: 2}[known.variant]
        assert relative_error(mixed.gradient, whole.gradient) <= 1e-5

    @every_variant
    @every_critic
    @pytest.mark.parametrize("precision", ["bf16-mixed", "32"])
    def test_only_by_choice_it_is_lower(
        self, known: Known, critic: Callable[[], nn.Module], precision: str
    ) -> None:
        whole = penalised(known, critic, "32")
        lowered = penalised(known, critic, precision, penalty_precision="bf16")
        for one, other in zip(whole.judged, lowered.judged, strict=True):
            assert torch.equal(one, other)
        assert 1e-4 < relative_error(lowered.gradient, whole.gradient) < 0.3

    @every_variant
    @every_critic
    def test_a_share_of_the_batch_is_in_float32_too(
        self, known: Known, critic: Callable[[], nn.Module]
    ) -> None:
        whole, share = (
            penalised(known, critic, "bf16-mixed", penalty_share=part, critic_steps=1) for part in (1.0, 0.25)
        )
        assert [len(images) for images in share.judged] == [2] * len(whole.judged)
        assert relative_error(share.gradient, by_definition(known, share)) <= 1e-5

    @every_variant
    @every_critic
    def test_float64_is_not_lowered(self, known: Known, critic: Callable[[], nn.Module]) -> None:
        played = penalised(known, critic, "64-true")
        assert {images.dtype for images in played.judged} == {torch.float64}
        assert relative_error(played.gradient, by_definition(known, played)) <= 1e-9

    def test_every_penalty_is_played_here(self) -> None:
        """A new penalty needs a variant in the table above."""
        played = {type(each) for known in KNOWN.values() for each in new(known.variant).penalty_terms}
        kinds = {kind for kind in Penalty.__subclasses__() if kind.__module__ == "ganlab.penalties"}
        assert played == kinds


class TestPoints:
    """What each variant's penalty is taken at."""

    def test_r1_at_the_reals_and_r2_at_the_fakes(self) -> None:
        one, both = (penalised(KNOWN[name], DISCRIMINATORS["linear"], "32") for name in ("R1GAN", "R3GAN"))
        assert len(one.judged) == 1
        assert len(both.judged) == 2
        assert torch.equal(one.judged[0], both.judged[0])
        # The fakes are one image, over and over; the reals are not.
        assert [len(images.unique(dim=0)) for images in both.judged] == [8, 1]

    def test_wgan_gp_between_both(self) -> None:
        both = penalised(KNOWN["R3GAN"], DISCRIMINATORS["linear"], "32")
        (between,) = penalised(KNOWN["WGANGP"], DISCRIMINATORS["linear"], "32").judged
        real, fake = both.judged
        shares = ((between - fake) / (real - fake)).flatten(1)
        assert (shares - shares.mean(1, keepdim=True)).abs().max() < 1e-3
        assert 0 < float(shares.mean(1).min()) < float(shares.mean(1).max()) < 1
        assert float(shares.mean(1).std()) > 0.1

    def test_dragan_around_the_reals(self) -> None:
        (real,) = penalised(KNOWN["R1GAN"], DISCRIMINATORS["linear"], "32").judged
        (around,) = penalised(KNOWN["DRAGAN"], DISCRIMINATORS["linear"], "32", strength=0.25).judged
        noise = (around - real) / real.std()
        assert -1e-6 < float(noise.min()) < 0.01
        assert 0.24 < float(noise.max()) < 0.25 + 1e-6
