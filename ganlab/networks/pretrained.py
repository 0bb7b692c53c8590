"""Finished networks as players of a new game, or as parts of them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Literal

from torch import nn

from ganlab.errors import Refused

Part = Literal["generator", "raw", "discriminator"]


class Pretrained(nn.Module):
    """A finished network with its weights: one to learn against, to take features of, or to train further.

    On the command line its path is enough. It is read when a run begins; from then on the run's config.yaml
    and checkpoints hold what the network is made of, and the checkpoints its weights, so that nothing opens
    the path again. In Python: `Pretrained(network=ganlab.load(run).ema.network)`.

    Args:
        path: Where it comes from: a run's folder (its newest checkpoint), a checkpoint or an exported folder.
        part: What is taken of that: the generator's average, its own weights, or the discriminator.
        trainable: Train it further; else its weights stand still, and it stays in evaluation mode.
        network: The network itself, of which a copy is taken; the command line finds it by the path.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        part: Part = "generator",
        trainable: bool = False,
        network: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if network is None:
            raise Refused(
                "Pretrained is given no network. On the command line give its path: a run's folder, a\n"
                "checkpoint or an exported folder. In Python give network=ganlab.load(run).ema.network."
            )
        self.path, self.part, self.trainable = path, part, trainable
        # A factory may be called several times, with one network.
        self.network = deepcopy(network).requires_grad_(trainable)
        for inner in self.network.modules():
            if isinstance(inner, Pretrained) and not inner.trainable:
                inner.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> Pretrained:
        return super().train(mode and self.trainable)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.network(*inputs, **named)
