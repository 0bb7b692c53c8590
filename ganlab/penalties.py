"""Gradient penalties of the discriminator, each a mean over samples: as equations, and as parts of a game.

An equation's `logits` must have been computed from `images`, which must require gradients. Of several
critics, whose logits lie in a list or a mapping, each is penalised for its own gradient, and the mean is
returned.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from ganlab import bounds
from ganlab.game.parts import Penalty
from ganlab.game.turn import Turn
from ganlab.judgements import mean_over_critics, of_samples


def squared_norm(images: Any, logits: Tensor) -> Tensor:
    """Each sample's squared norm of one critic's gradient with respect to that sample.

    A sample may be several tensors; those that this critic does not see count for nothing. A map of logits
    counts by its mean.
    """
    parts = tree_leaves(images)
    each = of_samples(logits)
    gradients = torch.autograd.grad(each.sum(), parts, create_graph=True, allow_unused=len(parts) > 1)
    norms = [gradient.square().flatten(1).sum(1) for gradient in gradients if gradient is not None]
    return norms[0] if len(norms) == 1 else torch.stack(norms).sum(0)


def zero_centred(images: Any, logits: Any) -> Tensor:
    """Mescheder et al. 2018, arXiv:1801.04406, eqs. 9 (R1, at reals) and 10 (R2, at fakes) over gamma / 2."""
    return mean_over_critics(lambda one: squared_norm(images, one).mean(), logits)


def one_centred(images: Any, logits: Any) -> Tensor:
    """Gulrajani et al. 2017, arXiv:1704.00028, eq. 3, without the weight lambda."""
    # The root has an infinite slope at 0: a critic without a gradient would turn every weight into NaN.
    return mean_over_critics(
        lambda one: ((squared_norm(images, one) + 1e-12).sqrt() - 1).square().mean(), logits
    )


def to_the_power(images: Any, logits: Any, p: float) -> Tensor:
    """The mean p-th power of the slope: Wu et al. 2018, arXiv:1712.01026, eq. 8, without the weight k."""
    return mean_over_critics(lambda one: squared_norm(images, one).pow(p / 2).mean(), logits)


def interpolates(real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """Points on the lines between pairs: Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1, line 6."""
    return torch.lerp(fake.detach(), real.detach(), share).requires_grad_()


def judged_on_lines(turn: Turn) -> tuple[Tensor, Any]:
    """Points on the lines of a turn's pairs, by its own draws, and the logits of these points."""
    share = turn.draws.uniform(*[1] * (turn.real.ndim - 1))
    between = interpolates(turn.real, turn.fake, share)
    return between, turn.logits(between)


def perturbed(real: Tensor, strength: float) -> Tensor:
    """Points around the reals: Kodali et al. 2017, arXiv:1705.07215, section 2.5, with noise of their width.

    The width is taken from one process's micro-batch, so this couples samples.
    """
    real = real.detach()
    return (real + strength * real.std() * torch.rand_like(real)).requires_grad_()


class R1(Penalty):
    """Mescheder et al. 2018, arXiv:1801.04406, eq. 9: slope 0 at reals.

    Args:
        gamma: Weight; half of it multiplies the squared slope, as in the paper.
    """

    name = "r1"

    def __init__(self, gamma: float = 10.0) -> None:
        bounds.at_least(0, self, gamma=gamma)
        self.gamma = gamma

    def __call__(self, turn: Turn) -> Tensor:
        return self.gamma / 2 * zero_centred(turn.real, turn.real_logits)


class R2(Penalty):
    """Mescheder et al. 2018, arXiv:1801.04406, eq. 10: slope 0 at fakes.

    Args:
        gamma: Weight; half of it multiplies the squared slope, as in the paper.
    """

    name = "r2"

    def __init__(self, gamma: float = 10.0) -> None:
        bounds.at_least(0, self, gamma=gamma)
        self.gamma = gamma

    def __call__(self, turn: Turn) -> Tensor:
        return self.gamma / 2 * zero_centred(turn.fake, turn.fake_logits)


class GradientPenalty(Penalty):
    """Gulrajani et al. 2017, arXiv:1704.00028, eq. 3: slope 1 on the lines between reals and fakes.

    Args:
        gamma: Weight, the paper's lambda.
    """

    name = "gradient_penalty"

    def __init__(self, gamma: float = 10.0) -> None:
        bounds.at_least(0, self, gamma=gamma)
        self.gamma = gamma

    def __call__(self, turn: Turn) -> Tensor:
        return self.gamma * one_centred(*judged_on_lines(turn))


class LocalGradientPenalty(Penalty):
    """Kodali et al. 2017, arXiv:1705.07215, section 2.5: slope 1 around the reals.

    Couples samples: the noise is as wide as one process's micro-batch of reals.

    Args:
        gamma: Weight, the paper's lambda.
        strength: The noise added to a real is uniform up to this many standard deviations of the reals.
    """

    name = "gradient_penalty"

    def __init__(self, gamma: float = 10.0, strength: float = 0.5) -> None:
        bounds.at_least(0, self, gamma=gamma, strength=strength)
        self.gamma, self.strength = gamma, strength

    def __call__(self, turn: Turn) -> Tensor:
        around = perturbed(turn.real, self.strength)
        return self.gamma * one_centred(around, turn.logits(around))


class GradientPower(Penalty):
    """Wu et al. 2018, arXiv:1712.01026, eq. 8: a power of the slope on the lines between reals and fakes.

    Args:
        k: Weight.
        p: The power; at least 2, below which a critic without a slope has no gradient.
    """

    name = "gradient_power"

    def __init__(self, k: float = 2.0, p: float = 6.0) -> None:
        bounds.at_least(0, self, k=k)
        bounds.at_least(2, self, p=p)
        self.k, self.p = k, p

    def __call__(self, turn: Turn) -> Tensor:
        return self.k * to_the_power(*judged_on_lines(turn), self.p)
