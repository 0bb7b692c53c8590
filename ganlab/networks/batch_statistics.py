"""What a discriminator sees of the other samples in a batch, beside the features of each."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from ganlab import bounds
from ganlab.networks.layers import unchanged


class MinibatchDiscrimination(nn.Module):
    """Adds to each sample's features how close it is to the others in its batch, by several measures.

    Salimans et al. 2016, arXiv:1606.03498, section 3.2. Couples samples: those of one process's micro-batch.
    It costs memory by the square of the batch.

    Args:
        features: Of a sample, in one row.
        kernels: How many measures there are, B in the paper.
        size: Numbers that each of them compares, C in the paper.
        weight: What the network does to weights.

    Attributes:
        added: The features that a sample gains.
    """

    def __init__(
        self,
        features: int,
        *,
        kernels: int = 32,
        size: int = 4,
        weight: Callable[[nn.Linear], nn.Module] = unchanged,
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, kernels=kernels, size=size)
        self.added, self.size = kernels, size
        linear = nn.Linear(features, kernels * size, bias=False)
        nn.init.normal_(linear.weight, std=1 / math.sqrt(features))
        self.compared = weight(linear)

    def forward(self, features: Tensor) -> Tensor:
        compared = self.compared(features)
        # The distances of close samples are differences that half precision rounds to nothing.
        precise = compared.to(torch.promote_types(compared.dtype, torch.float32))
        rows = precise.unflatten(1, (-1, self.size))
        distances = (rows[:, None] - rows[None]).abs().sum(3)
        closeness = torch.exp(-distances).sum(1)
        return torch.cat([features, closeness.to(features.dtype)], 1)


class MinibatchStd(nn.Module):
    """One more channel: by how much the samples of a group differ, so that a lack of variety is seen.

    The mean over channels and places of the standard deviation over the group (Karras et al. 2018,
    arXiv:1710.10196, section 3). Inputs are features or maps. Couples samples: groups are of one process's
    micro-batch.

    Args:
        group: The most samples of a group, which divide the batch; 0: the inputs are left as they are.

    Attributes:
        added: The channels that inputs gain.
    """

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        bounds.at_least(0, self, group=group)
        self.group, self.added = group, int(group > 0)

    def forward(self, inputs: Tensor) -> Tensor:
        count, _, *places = inputs.shape
        if not self.group or not count:
            return inputs
        size = next(size for size in range(min(self.group, count), 0, -1) if count % size == 0)
        groups = inputs.float() if inputs.dtype in (torch.float16, torch.bfloat16) else inputs
        groups = groups.unflatten(0, (size, -1))
        # The root has an infinite slope at 0, where all are alike.
        deviation = (groups.var(0, correction=0) + 1e-8).sqrt().flatten(1).mean(1)
        channel = deviation.repeat(size).view(-1, *[1] * (inputs.ndim - 1)).expand(-1, 1, *places)
        return torch.cat([inputs, channel.to(inputs.dtype)], 1)


class NoStatistics(nn.Identity):
    """Of a discriminator that judges each sample by itself."""

    added = 0


BatchStatisticsKind = Literal["none", "minibatch_std", "minibatch_discrimination"]

# From the number of features, and from what the network does to weights.
BATCH_STATISTICS: dict[str, Callable[..., NoStatistics | MinibatchStd | MinibatchDiscrimination]] = {
    "none": lambda features, weight: NoStatistics(),
    "minibatch_std": lambda features, weight: MinibatchStd(),
    "minibatch_discrimination": lambda features, weight: MinibatchDiscrimination(features, weight=weight),
}
