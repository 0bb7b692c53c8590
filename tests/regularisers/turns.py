"""Turns of given samples, without a training around them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from ganlab.game.turn import Turn


class Samples:
    """A game whose reals and fakes are these."""

    packing = 1
    generator = nn.Identity()
    trainer = SimpleNamespace(precision_plugin=SimpleNamespace(forward_context=nullcontext))

    def __init__(self, discriminator: nn.Module, fake: Tensor, condition: Tensor | None = None) -> None:
        self.discriminator, self.fakes, self.told = discriminator, fake, condition

    def real(self, batch: Any) -> Any:
        return batch

    def latent(self, draws: Any) -> Any:
        return None

    def fake(self, generator: nn.Module, latent: Any, condition: Any) -> Any:
        return self.fakes

    def completed(self, batch: Any, draws: Any) -> Any:
        return batch

    def condition(self, batch: Any) -> Any:
        return self.told

    def judge(self, images: Any, condition: Any) -> Any:
        return self.discriminator(images) if condition is None else self.discriminator(images, condition)

    def augmented(self, images: Any) -> Any:
        return images

    def uncompiled(self, penalised: bool) -> AbstractContextManager[Any]:
        return nullcontext()

    def turn(self, real: Tensor, *, generating: bool = False) -> Turn:
        return Turn(self, real, None, generating=generating, penalised=False)  # type: ignore[arg-type]
