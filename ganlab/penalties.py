"""Gradient penalties of the discriminator, each a mean over samples; variants multiply them by a weight.

`logits` must have been computed from `images`, which must require gradients.
"""

import torch
from torch import Tensor


def squared_norm(images: Tensor, logits: Tensor) -> Tensor:
    """Each sample's squared norm of the discriminator's gradient with respect to that sample."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1)


def zero_centred(images: Tensor, logits: Tensor) -> Tensor:
    """Mescheder et al. 2018, arXiv:1801.04406, eqs. 9 (R1, at reals) and 10 (R2, at fakes) over gamma / 2."""
    return squared_norm(images, logits).mean()


def one_centred(images: Tensor, logits: Tensor) -> Tensor:
    """Gulrajani et al. 2017, arXiv:1704.00028, eq. 3, without the weight lambda."""
    # The root has an infinite slope at 0: a critic without a gradient would turn every weight into NaN.
    return ((squared_norm(images, logits) + 1e-12).sqrt() - 1).square().mean()


def interpolates(real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """Points on the lines between pairs: Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1, line 6."""
    return torch.lerp(fake.detach(), real.detach(), share).requires_grad_()


def perturbed(real: Tensor, strength: float) -> Tensor:
    """Points around the reals: Kodali et al. 2017, arXiv:1705.07215, section 2.5, with noise of their width.

    The width is taken from one process's micro-batch, so this couples samples.
    """
    real = real.detach()
    return (real + strength * real.std() * torch.rand_like(real)).requires_grad_()
