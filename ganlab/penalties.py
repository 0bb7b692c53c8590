"""Gradient penalties of the discriminator, each a mean over samples; variants multiply them by a weight.

`logits` must have been computed from `images`, which must require gradients. Of several critics, whose logits
lie in a list or a mapping, each is penalised for its own gradient, and the mean is returned.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from ganlab.judgements import mean_over_critics


def squared_norm(images: Any, logits: Tensor) -> Tensor:
    """Each sample's squared norm of one critic's gradient with respect to that sample.

    A sample may be several tensors; those that this critic does not see count for nothing. A map of logits
    counts by its mean.
    """
    parts = tree_leaves(images)
    each = logits if logits.ndim == 1 else logits.flatten(1).mean(1)
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


def interpolates(real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """Points on the lines between pairs: Gulrajani et al. 2017, arXiv:1704.00028, algorithm 1, line 6."""
    return torch.lerp(fake.detach(), real.detach(), share).requires_grad_()


def perturbed(real: Tensor, strength: float) -> Tensor:
    """Points around the reals: Kodali et al. 2017, arXiv:1705.07215, section 2.5, with noise of their width.

    The width is taken from one process's micro-batch, so this couples samples.
    """
    real = real.detach()
    return (real + strength * real.std() * torch.rand_like(real)).requires_grad_()
