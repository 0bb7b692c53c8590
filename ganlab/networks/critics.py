"""Critics made of any discriminator: of a random projection, of packs of samples, or many with one trunk."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.media import Medium
from ganlab.networks.conditioning import Projection
from ganlab.networks.last_layer import last_layer
from ganlab.networks.several import MOST_COPIES, Factory, Wrapping, single_networks, told


class RandomProjection(Wrapping):
    """A critic that sees a random projection alone, drawn once: Neyshabur et al. 2017, arXiv:1705.07831.

    Section 3.2: weights are normal, scaled to columns of length 1. Pictures are convolved, with zeros around
    them; anything else is projected as one row of numbers. Copies in `Several` each draw their own.

    Args:
        network: What makes the critic; it is told the projection's shape.
        size: Numbers in a projection of points, channels in one of pictures; null: as many as a sample has.
        kernel: Pixels a side of the filters, as many more than `stride` as an even number.
        stride: By how much pictures become smaller.
        shape: Of a sample.
        classes: How many the data have.
        condition: What a batch's second column holds, in a conditional game.
    """

    weight: Tensor

    def __init__(
        self,
        *,
        network: Factory,
        size: int | None = None,
        kernel: int = 8,
        stride: int = 2,
        shape: tuple[int, ...],
        classes: int | None = None,
        condition: Medium | None = None,
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, size=size, kernel=kernel, stride=stride)
        self.shape, self.kernel, self.stride = tuple(shape), kernel, stride
        self.of_pictures = len(shape) > 2
        if self.of_pictures:
            _check_filters(shape, kernel, stride)
            channels, height, width = shape
            drawn = torch.randn(size or channels, channels, kernel, kernel)
            projected: tuple[int, ...] = (size or channels, height // stride, width // stride)
        else:
            drawn = torch.randn(size or math.prod(shape), math.prod(shape))
            projected = (len(drawn),)
        self.register_buffer("weight", drawn / drawn.flatten(1).norm(dim=1).view(-1, *[1] * (drawn.ndim - 1)))
        self.network = told(network, {"shape": projected, "classes": classes, "condition": condition})

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.of_pictures:
            padding = (self.kernel - self.stride) // 2
            projected = conv2d(samples, self.weight, stride=self.stride, padding=padding)
        else:
            projected = samples.flatten(1) @ self.weight.T
        return self.network(projected) if condition is None else self.network(projected, condition)


class Packed(nn.Module):
    """A critic that judges several samples as one, with any loss: Lin et al. 2018 (PacGAN), arXiv:1712.04086.

    Section 2: samples that follow each other in a batch lie in the critic's input one after the other, along
    the channels of pictures. A batch holds whole packs, and a logit is of all samples in a pack; a penalty's
    gradient is that at a sample, not at a pack.

    Args:
        network: What makes the critic; it is told the shape of a pack.
        samples: In a pack, the paper's m.
        shape: Of a sample.
        classes: How many the data have.
    """

    def __init__(
        self, *, network: Factory, samples: int = 2, shape: tuple[int, ...], classes: int | None = None
    ) -> None:
        super().__init__()
        bounds.at_least(1, self, samples=samples)
        self.shape, self.samples = tuple(shape), samples
        self.network = told(network, {"shape": (samples * shape[0], *shape[1:]), "classes": classes})

    def forward(self, samples: Tensor) -> Tensor:
        return self.network(samples.unflatten(0, (-1, self.samples)).flatten(1, 2))


class SharedTrunk(Wrapping):
    """Critics that share all layers but the last: a list of logits for the cost of hardly more than one.

    Args:
        network: What makes the discriminator. Its last layer is its part `logit`, an nn.Linear or nn.Conv2d
            that gives one channel.
        critics: How many last layers there are, each with weights of its own.
        shape: Of a sample.
        classes: How many the data have.
        condition: What a batch's second column holds, in a conditional game.
    """

    def __init__(
        self,
        *,
        network: Factory,
        critics: int = 5,
        shape: tuple[int, ...],
        classes: int | None = None,
        condition: Medium | None = None,
    ) -> None:
        super().__init__()
        bounds.between(1, MOST_COPIES, self, critics=critics)
        self.shape = tuple(shape)
        facts = {"shape": shape, "classes": classes, "condition": condition}
        self.trunk, *others = (told(network, facts) for _ in range(critics))
        last = [layer for each in (self.trunk, *others) if (layer := last_layer(each)) is not None]
        if not last or _projects_labels(self.trunk):
            raise Refused(
                f"SharedTrunk cannot take {type(self.trunk).__name__} apart. It needs a last layer `logit`,\n"
                "an nn.Linear or nn.Conv2d, and labels that enter at the first (conditioning: concatenation)."
            )
        self.logits = nn.ModuleList(last)
        self.trunk.logit = nn.Identity()

    @property
    def wrapped(self) -> nn.Module:
        return self.trunk

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        features = self.trunk(samples) if condition is None else self.trunk(samples, condition)
        return [logit(features).squeeze(1) for logit in self.logits]


def packing_of(discriminator: nn.Module) -> int:
    """How many samples a discriminator judges as one; of several critics all judge as many."""
    sizes = {n.samples if isinstance(n, Packed) else 1 for n in single_networks(discriminator)}
    if len(sizes) > 1:
        raise Refused(
            f"Critics that judge {sorted(sizes)} samples as one cannot play together: take one number."
        )
    return sizes.pop() if sizes else 1


def _projects_labels(network: nn.Module) -> bool:
    return any(isinstance(part, Projection) for part in network.modules())


def _check_filters(shape: tuple[int, ...], kernel: int, stride: int) -> None:
    _, height, width = shape
    if kernel < stride or (kernel - stride) % 2 or height % stride or width % stride:
        raise Refused(
            f"RandomProjection: kernel {kernel} and stride {stride} do not fit {height} x {width} pixels.\n"
            "stride divides both sides, and kernel is above it by an even number, or equal to it."
        )
