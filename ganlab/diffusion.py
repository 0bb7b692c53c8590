"""Diffusion of what the discriminator is shown: Wang et al. 2022, arXiv:2206.02262, section 3.

Each sample's random numbers come from the device's global generator, which the step has seeded.
"""

from typing import NamedTuple

import torch
from torch import Tensor

BETAS = 1e-4, 2e-2  # of the first and of the last step, with a straight line between
MOST = 1000  # steps


class Diffused(NamedTuple):
    """Samples, and how many steps of diffusion each of them has taken; 0: it is as it was."""

    samples: Tensor
    steps: Tensor


def some_steps(count: int, longest: Tensor) -> Tensor:
    """The paper's distribution of t: half of the samples 0 as in the authors' code, else p(t) ~ t - 1."""
    chance = torch.rand(2, count, device=longest.device)
    # Up to t the probability is t (t - 1) / (T (T - 1)).
    reached = (1 + (1 + 4 * chance[0] * longest * (longest - 1)).sqrt()) / 2
    return torch.where(chance[1] < 0.5, 0, reached.ceil().clamp(torch.full_like(longest, 2), longest)).long()


def diffuse(samples: Tensor, steps: Tensor, longest: Tensor, sigma: float) -> Tensor:
    """sqrt(a) x + sqrt(1 - a) sigma e, where a is the product of 1 - beta over the steps that x has taken.

    The last of the `longest` steps has the last beta, as in the authors' code.
    """
    first, last = BETAS
    past = torch.arange(MOST, device=samples.device) / (longest - 1)
    factors = 1 - (first + (last - first) * past.clamp(max=1))
    kept = torch.cat([factors.new_ones(1), factors.cumprod(0)])[steps].to(samples.dtype)
    kept = kept.view(-1, *[1] * (samples.ndim - 1))
    return kept.sqrt() * samples + (1 - kept).sqrt() * sigma * torch.randn_like(samples)
