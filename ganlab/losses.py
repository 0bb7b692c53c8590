"""The adversarial losses: two equations each, on logits.

`discriminator(real, fake)` is minimised in the discriminator's turn, `generator(fake, real)` in the
generator's. There `real` is a function, so that only losses that call it pay for the reals' forward pass.
Real and fake logits are paired by their position in the batch.
"""

from collections.abc import Callable
from functools import cache, partial, wraps
from typing import Any

from torch import Tensor
from torch.nn.functional import relu, softplus
from torch.utils._pytree import tree_leaves

from ganlab.errors import Refused
from ganlab.judgements import mean_over_critics

Logits = Callable[[], Tensor]


class Loss:
    """Two equations on the logits of one critic; of several, in a list or a mapping, each gives the mean.

    Attributes:
        boundary: The logit above which the discriminator takes a sample for real; None, the default: a logit
            means something only beside others.
    """

    boundary: float | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, over_critics in (("discriminator", _discriminator_mean), ("generator", _generator_mean)):
            if equation := vars(cls).get(name):
                setattr(cls, name, over_critics(equation))

    def discriminator(self, real: Any, fake: Any) -> Tensor:
        raise NotImplementedError

    def generator(self, fake: Any, real: Logits) -> Tensor:
        raise NotImplementedError


def _discriminator_mean(equation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @wraps(equation)
    def discriminator(self: Loss, real: Any, fake: Any) -> Tensor:
        return mean_over_critics(partial(equation, self), real, fake)

    return discriminator


def _generator_mean(equation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @wraps(equation)
    def generator(self: Loss, fake: Any, real: Callable[[], Any]) -> Tensor:
        reals = cache(lambda: tree_leaves(real()))
        critics = [
            partial(lambda number: reals()[number], number) for number in range(len(tree_leaves(fake)))
        ]
        return mean_over_critics(partial(equation, self), fake, critics)

    return generator


def boundary_of(loss: Loss | None, game: object, reader: object) -> float:
    """The boundary of a game's loss, if it has one; else it is refused that `reader` needs it."""
    if loss is None or loss.boundary is None:
        name, of = type(reader).__name__, type(loss or game).__name__
        raise Refused(
            f"{name} reads from each logit if a sample is taken for real, which those of {of}\n"
            "do not say alone. Take a loss whose logits do, such as Hinge or NonSaturating; a loss of\n"
            "your own says so by the attribute boundary = 0.0."
        )
    return loss.boundary


class Minimax(Loss):
    """Goodfellow et al. 2014, arXiv:1406.2661, eq. 1, with D = sigmoid(logit)."""

    boundary = 0.0

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(-real).mean() + softplus(fake).mean()

    def generator(self, fake: Tensor, real: Logits) -> Tensor:
        return -softplus(fake).mean()


class NonSaturating(Loss):
    """Goodfellow et al. 2014, arXiv:1406.2661, section 3: the generator maximises log D(G(z)).

    `smoothing` moves the discriminator's target for reals from 1 to 1 - smoothing and leaves that for fakes
    at 0 (one-sided label smoothing, Salimans et al. 2016, arXiv:1606.03498, section 3.4).
    """

    boundary = 0.0

    def __init__(self, smoothing: float = 0.0) -> None:
        if not 0 <= smoothing < 1:
            raise Refused(
                f"smoothing is {smoothing}; it is the share taken off the target 1, at least 0 and below 1"
            )
        self.smoothing = smoothing

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        # Cross-entropy to the target 1 - s is softplus(-x) + s x.
        return (softplus(-real) + self.smoothing * real).mean() + softplus(fake).mean()

    def generator(self, fake: Tensor, real: Logits) -> Tensor:
        return softplus(-fake).mean()


class LeastSquares(Loss):
    """Mao et al. 2017, arXiv:1611.04076, eq. 9: a = 0 for fakes, b = 1 for reals, c = 1 for the generator."""

    boundary = 0.5

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return ((real - 1).square().mean() + fake.square().mean()) / 2

    def generator(self, fake: Tensor, real: Logits) -> Tensor:
        return (fake - 1).square().mean() / 2


class Wasserstein(Loss):
    """Arjovsky et al. 2017, arXiv:1701.07875, eq. 2, as a loss."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    def generator(self, fake: Tensor, real: Logits) -> Tensor:
        return -fake.mean()


class Hinge(Loss):
    """Lim & Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eqs. 16 and 17."""

    boundary = 0.0

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def generator(self, fake: Tensor, real: Logits) -> Tensor:
        return -fake.mean()


class EnergyMargin(Loss):
    """Zhao et al. 2016, arXiv:1609.03126, eqs. 1 and 2, of energies, which are low for reals."""

    def __init__(self, margin: float) -> None:
        self.margin = margin

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return real.mean() + relu(self.margin - fake).mean()

    def generator(self, fake: Tensor, real: Logits) -> Tensor:
        return fake.mean()


class RelativisticPaired(Loss):
    """Jolicoeur-Martineau 2018, arXiv:1807.00734, section 4.1 (RpGAN), with f(x) = softplus(-x)."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(fake - real).mean()

    def generator(self, fake: Tensor, real: Logits) -> Tensor:
        return softplus(real() - fake).mean()


class RelativisticAverage(Loss):
    """Jolicoeur-Martineau 2018, arXiv:1807.00734, section 4.2 (RaSGAN).

    Each logit is compared with the mean logit of the other kind, so samples are coupled: the means are those
    of one process's micro-batch.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(fake.mean() - real).mean() + softplus(fake - real.mean()).mean()

    def generator(self, fake: Tensor, real: Logits) -> Tensor:
        return self.discriminator(fake, real())


def feature_distance(real: Tensor, fake: Tensor) -> Tensor:
    """Salimans et al. 2016, arXiv:1606.03498, section 3.1, on features of samples.

    The means couple samples: they are those of one process's micro-batch.
    """
    return (real.mean(0) - fake.mean(0)).square().sum()


minimax = Minimax()
non_saturating = NonSaturating()
least_squares = LeastSquares()
wasserstein = Wasserstein()
hinge = Hinge()
relativistic = RelativisticPaired()
relativistic_average = RelativisticAverage()
