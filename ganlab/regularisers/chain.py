from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ganlab import bounds
from ganlab.errors import Refused
from ganlab.game.parts import Game, Regulariser, replace_by_finite, without_hooks_of
from ganlab.game.passes import CURRENT, Pass
from ganlab.game.terms import Terms
from ganlab.game.turn import Turn, at_least_float32
from ganlab.judgements import mean_over_critics
from ganlab.system.processes import rank_and_world, summed

SMALLEST = 1e-5  # is added to mean squares, as in batch norm


class CHAIN(Regulariser):
    """Ni & Koniusz 2024 (CHAIN), arXiv:2404.00521: for few data, maps of the discriminator are normalised
    without becoming larger, the more of them the surer it is of reals.

    After each convolution but the last a channel of a sample is divided, with the probability p, by the root
    of its mean square, and multiplied by the smallest such root of the layer. Mean squares are those of reals
    or of fakes, running from step to step. A term holds channels' means near zero. p rises while the sign of
    the reals' logits, on average, is above `target`, and falls below it; it is logged as
    `chain_p`. In evaluation maps are mixed by p instead, with the running mean squares.

    Couples samples: to the running mean squares come those of one process's micro-batch.

    Args:
        weight: The paper's lambda.
        decay: How much of the running averages each step of the discriminator keeps.
        target: The paper's tau.
        rate: By how much a step moves p.
        added: To p in the term; its authors take 0.1 for about a hundred images.
    """

    squares: Tensor
    steps: Tensor
    probability: Tensor
    sign: Tensor
    needs_boundary = True
    judges_by_chance = True

    def __init__(
        self,
        weight: float = 20.0,
        decay: float = 0.9,
        target: float = 0.5,
        rate: float = 0.001,
        added: float = 0.0,
    ) -> None:
        super().__init__()
        bounds.at_least(0, self, weight=weight, added=added)
        bounds.between(0, 1, self, decay=decay, rate=rate)
        bounds.between(-1, 1, self, target=target)
        self.weight, self.decay, self.target, self.rate, self.added = weight, decay, target, rate, added
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        for name in ("probability", "sign"):
            self.register_buffer(name, torch.zeros(()))
        self.channels: list[slice] = []  # of each layer, among those of all
        self.turns: list[Tensor] = []  # mean squares of the micro-batches since the last step

    def attach(self, game: Game) -> None:
        layers = [layer for name, layer in game.discriminator.named_modules() if _is_normalised(name, layer)]
        if not layers:
            name = type(game.discriminator).__name__
            raise Refused(
                f"CHAIN normalises what convolutions make, and {name} trains none, but for\n"
                "one that gives logits. Take a discriminator with nn.Conv2d, or another regulariser."
            )
        start, self.channels = 0, []
        for layer in layers:
            self.channels.append(slice(start, start := start + layer.out_channels))
            hook = partial(self.normalised, self.channels[-1])
            without_hooks_of(CHAIN, layer).register_forward_hook(hook)
        self.register_buffer("squares", torch.zeros(2, start))  # of fakes and of reals

    def normalised(self, channels: slice, layer: nn.Module, inputs: Any, maps: Tensor) -> Tensor:
        current, running = CURRENT.get(), self.squares[:, channels]
        squares = running.mean(0) if current is None else running[int(current.of_reals)]
        chosen = self.probability
        if layer.training:
            exact = at_least_float32(maps)
            now = exact.square().mean((0, 2, 3))
            squares = torch.lerp(now, squares, self.decay * (self.steps > 0).to(now.dtype))
            chosen = (torch.rand(maps.shape[:2], device=maps.device) < chosen).to(now.dtype)
            if current is not None:
                current.left[self, channels.start] = exact.mean((0, 2, 3)), now.detach()
        smaller = ((squares.min().detach() + SMALLEST) / (squares + SMALLEST)).sqrt()
        factors = 1 + chosen * (smaller - 1)
        return maps * factors.view(-1, len(smaller), 1, 1).to(maps.dtype)

    def terms(self, turn: Turn) -> Terms:
        if turn.generating:
            return {}
        passes = turn.fake_pass, turn.real_pass
        means, squares = (torch.stack([self.of_all(each, which) for each in passes]) for which in (0, 1))
        self.turns.append(squares)
        turn.note("chain_overfitting", mean_over_critics(self.mean_sign, turn.real_logits))
        turn.note("chain_p", self.probability)
        weight = self.weight * (self.probability + self.added) / len(tree_leaves(turn.real_logits))
        return {"chain": weight * means.square().sum()}

    def mean_sign(self, real: Tensor) -> Tensor:
        return (real - self.boundary).sign().mean()

    def of_all(self, judged_in: Pass, which: int) -> Tensor:
        """What the layers left, in their order."""
        return torch.cat([judged_in.left[self, channels.start][which] for channels in self.channels])

    def after_discriminator_step(self, logged: Terms, images: int) -> None:
        keep = self.decay * (self.steps > 0)  # The first are the first averages.
        squares = summed(torch.stack(self.turns).mean(0)) / rank_and_world()[1]
        self.turns.clear()
        replace_by_finite(self.squares, self.squares.lerp(squares, 1 - keep))
        self.sign.lerp_(logged["chain_overfitting"], 1 - keep)
        self.probability.add_(self.rate * (self.sign - self.target).sign()).clamp_(0, 1)
        self.steps += squares.isfinite().all()


def _is_normalised(name: str, layer: nn.Module) -> bool:
    last = {"logit", "logits"} & {*name.split(".")}
    return isinstance(layer, nn.Conv2d) and layer.weight.requires_grad and not last
