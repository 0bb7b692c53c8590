"""SAN: its gradients by hand, the logits that it leaves as they are, and the games that it joins."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from turns import Samples

from ganlab import losses
from ganlab.errors import Refused
from ganlab.media import Labels
from ganlab.networks import (
    DCGANDiscriminator,
    MLPDiscriminator,
    PatchGANDiscriminator,
    R3GANDiscriminator,
    ResNetDiscriminator,
    SharedTrunk,
    StyleGAN2Discriminator,
)
from ganlab.regularisers import SAN
from ganlab.testing import CHECKS, SHAPE, Game, new, play
from ganlab.variants import HingeGAN

SMALL: dict[str, Any] = {"shape": SHAPE, "width": 4, "max_width": 8}
DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "MLP": partial(MLPDiscriminator, shape=SHAPE, hidden=(16,)),
    "DCGAN": partial(DCGANDiscriminator, **SMALL, normalization="none"),
    "DCGAN, spectral": partial(DCGANDiscriminator, **SMALL, normalization="spectral"),
    "ResNet, spectral": partial(ResNetDiscriminator, **SMALL),
    "R3GAN": partial(R3GANDiscriminator, **SMALL, group_size=4),
    "StyleGAN2": partial(StyleGAN2Discriminator, **SMALL),
    "PatchGAN": partial(PatchGANDiscriminator, **SMALL, layers=1, normalization="none"),
    "PatchGAN, spectral": partial(PatchGANDiscriminator, **SMALL, layers=1, normalization="spectral"),
}


class HingeSAN(HingeGAN):
    def __init__(self, **base: Any) -> None:
        super().__init__(regularisers=[SAN()], **base)


def images(seed: int, count: int = 6) -> Tensor:
    return torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


def with_san(discriminator: nn.Module, condition: Tensor | None = None) -> tuple[SAN, Samples]:
    game, san = Samples(discriminator, images(1), condition), SAN()
    san.attach(game)
    return san, game


def test_gradients_are_those_of_the_equation() -> None:
    """Direction, length and features as three quantities, each with a loss of its own."""
    discriminator = MLPDiscriminator(shape=SHAPE, hidden=(16,)).double()
    real, weight = images(0).double(), discriminator.logit.weight
    direction = weight.detach()[0].clone().requires_grad_()
    length = weight.detach().norm().requires_grad_()
    trunk = [*discriminator.features.parameters()]
    h_real, h_fake = (discriminator.features(each.flatten(1)) for each in (real, images(1).double()))
    unit = direction / direction.norm()
    loss = losses.hinge.discriminator(length * h_real @ unit.detach(), length * h_fake @ unit.detach())
    along = (length * (h_fake - h_real)).detach() @ unit
    expected = torch.autograd.grad(loss + along.mean(), [direction, length, *trunk])

    san, game = with_san(discriminator)
    game.fakes = game.fakes.double()
    turn = game.turn(real)
    terms = {"loss": losses.hinge.discriminator(turn.real_logits, turn.fake_logits), **san.terms(turn)}
    torch.stack([*terms.values()]).sum().backward()
    of_direction, of_length, *of_trunk = expected
    torch.testing.assert_close(weight.grad[0], of_direction + of_length * unit.detach())
    for parameter, gradient in zip(trunk, of_trunk, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert not discriminator.logit.bias.requires_grad
    assert float(discriminator.logit.bias) == 0


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_the_term_does_not_see_the_length(scale: float) -> None:
    """Its gradient is the part of the features' distance that is orthogonal to the direction."""
    discriminator = MLPDiscriminator(shape=SHAPE, hidden=(16,))
    nn.init.normal_(discriminator.logit.weight, std=scale, generator=torch.Generator().manual_seed(2))
    san, game = with_san(discriminator)
    turn = game.turn(images(0))
    (gradient,) = torch.autograd.grad(san.terms(turn)["direction"], discriminator.logit.weight)
    fake, real = (discriminator.features(each).detach().mean(0) for each in (images(1), images(0)))
    unit = nn.functional.normalize(discriminator.logit.weight[0].detach(), dim=0)
    torch.testing.assert_close(gradient[0], fake - real - unit * (unit @ (fake - real)))


@pytest.mark.parametrize("told", [None, "projection"])
@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_logits_and_gradients_of_samples_are_what_they_were(name: str, told: str | None) -> None:
    """Of all networks of ours, the loss cannot turn their last weights."""
    if told and name.startswith("PatchGAN"):
        pytest.skip("takes labels beside its images only")
    facts = {"condition": Labels(3)} if told else {}
    discriminator = DISCRIMINATORS[name](**facts).eval()  # spectral norm stands still
    condition = torch.tensor([0, 1, 2, 0, 1, 2]) if told else None
    if discriminator.logit.bias is not None:
        nn.init.zeros_(discriminator.logit.bias)

    def judged(samples: Tensor) -> tuple[Tensor, Tensor]:
        logits = discriminator(samples) if condition is None else discriminator(samples, condition)
        return logits, torch.autograd.grad(logits.sum(), samples, retain_graph=True)[0]

    samples = images(3).requires_grad_()
    before, pushed = judged(samples)
    san, game = with_san(discriminator, condition)
    after, pushed_after = judged(samples)
    torch.testing.assert_close(after, before)
    torch.testing.assert_close(pushed_after, pushed)
    weights = [p for n, p in discriminator.named_parameters() if n.startswith(("logit", "conditioning"))]
    weights = [p for p in weights if p.requires_grad]
    turn = game.turn(images(0))
    moved = torch.autograd.grad(san.terms(turn)["direction"], weights)
    assert all(gradient.norm() > 1e-6 for gradient in moved)
    if "spectral" in name and not told:
        _assert_no_gradient(torch.autograd.grad(after.sum(), weights))


def _assert_no_gradient(gradients: tuple[Tensor, ...]) -> None:
    for gradient in gradients:
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-5, rtol=0)


def test_each_class_has_a_direction() -> None:
    """Of the sum of the layer's weights and the embedding of the label."""
    discriminator = MLPDiscriminator(shape=SHAPE, hidden=(16,), condition=Labels(2))
    san, game = with_san(discriminator, torch.tensor([0, 1, 0, 1, 0, 1]))
    turn = game.turn(images(0))
    (gradient,) = torch.autograd.grad(
        san.terms(turn)["direction"], discriminator.conditioning.embedding.weight
    )
    features = [discriminator.features(each.flatten(1)).detach() for each in (images(1), images(0))]
    for label in (0, 1):
        weights = (
            discriminator.logit.weight[0] + discriminator.conditioning.embedding.weight[label]
        ).detach()
        unit = nn.functional.normalize(weights, dim=0)
        apart = (features[0] - features[1])[label::2].sum(0) / 6
        torch.testing.assert_close(gradient[label], apart - unit * (unit @ apart))


def test_critics_with_one_trunk_have_a_direction_each() -> None:
    """They say what they said, and each last layer is moved where the features lie apart."""
    discriminator = SharedTrunk(shape=SHAPE, network=DISCRIMINATORS["MLP"], critics=3)
    nn.init.zeros_(discriminator.logits[1].bias)
    before = [logits.detach() for logits in discriminator(images(0))]
    for layer, logits in zip(discriminator.logits, before, strict=True):
        logits -= layer.bias.detach()
    san, game = with_san(discriminator)
    torch.testing.assert_close(discriminator(images(0)), before)
    turn = game.turn(images(0))
    weights = [layer.weight for layer in discriminator.logits]
    loss = sum(each.mean() for each in turn.fake_logits)
    of_loss = torch.autograd.grad(loss, weights, retain_graph=True)
    moved = torch.autograd.grad(san.terms(turn)["direction"], weights)
    fake, real = (discriminator.trunk(each).detach().mean(0) for each in (images(1), images(0)))
    for weight, gradient, along in zip(weights, moved, of_loss, strict=True):
        unit = nn.functional.normalize(weight[0].detach(), dim=0)
        torch.testing.assert_close(gradient[0], (fake - real - unit * (unit @ (fake - real))) / 3)
        torch.testing.assert_close(along[0], unit * (unit @ along[0]))


class Scaled(MLPDiscriminator):
    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        return 2 * super().forward(images, condition)


def test_what_cannot_be_sliced_is_refused() -> None:
    with pytest.raises(Refused, match="finds no last layer in Sequential"):
        new(HingeSAN, discriminator=nn.Sequential(nn.Flatten(), nn.Linear(64, 1)))
    with pytest.raises(Refused, match="Scaled gives other logits"):
        play(new(HingeSAN, discriminator=Scaled(shape=SHAPE, hidden=(4,))), steps=1)


BY_DEFAULT = ("moves_only_what_a_side_learns", "is_judged_by_several_critics", "resumes_exactly")


@pytest.mark.parametrize(
    "check",
    [pytest.param(c, marks=[] if c.__name__ in BY_DEFAULT else pytest.mark.slow) for c in CHECKS],
    ids=lambda check: check.__name__,
)
def test_it_obeys_the_laws(check: Callable[[Game], None]) -> None:
    check(Game(HingeSAN, None, {"discriminator": DISCRIMINATORS["DCGAN"]}))
