"""One side's turn on one micro-batch."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, Protocol

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.game.draws import Draws, SomeDraws
from ganlab.game.passes import Pass, passing
from ganlab.judgements import Judged, checked, judged, mean_over_critics

HALF = (torch.float16, torch.bfloat16)


def at_least_float32(values: Any) -> Any:
    """Half precision becomes float32; float64 stays what it is."""
    return apply_to_collection(values, Tensor, lambda v: v.float() if v.dtype in HALF else v)


def split(batch: Any, parts: int) -> list[Any]:
    """Cut each tensor of a batch into `parts` equal parts, in order."""
    if parts == 1:
        return [batch]
    return [apply_to_collection(batch, Tensor, lambda t, i=i: t.chunk(parts)[i]) for i in range(parts)]


class Game(Protocol):
    """The part of a GAN that a turn uses."""

    generator: nn.Module
    packing: int

    @property
    def trainer(self) -> Any: ...

    def completed(self, batch: Any, draws: Draws) -> Any: ...

    def real(self, batch: Any) -> Any: ...

    def fake(self, generator: nn.Module, latent: Tensor, condition: Any) -> Any: ...

    def latent(self, draws: Draws) -> Tensor: ...

    def condition(self, batch: Any) -> Any: ...

    def medium(self, made: Any) -> Any: ...

    def judge(self, images: Any, condition: Any) -> Any: ...

    def augmented(self, images: Any) -> Any: ...

    def uncompiled(self, penalised: bool) -> AbstractContextManager[Any]: ...


class Turn:
    """The samples and logits of a turn, computed on first use: what a variant does not read costs nothing.

    `generating` means the generator's turn. If `penalised`, real and fake samples require gradients. If not
    `adversarial`, the generator is trained beforehand, and there are no logits.
    """

    def __init__(
        self,
        game: Game,
        batch: Any,
        draws: Draws,
        *,
        generating: bool,
        penalised: bool,
        adversarial: bool = True,
    ) -> None:
        self.batch = game.completed(batch, draws)
        self.draws = draws
        self.generating = generating
        self.penalised = penalised
        self.adversarial = adversarial
        self.notes: dict[str, Tensor] = {}
        self._game = game
        self._real_pass, self._fake_pass = Pass(of_reals=True), Pass(of_reals=False)

    @cached_property
    def real(self) -> Any:
        return self._with_input_gradients(self._game.real(self.batch))

    @cached_property
    def condition(self) -> Any:
        return self._game.condition(self.batch)

    @cached_property
    def latent(self) -> Tensor:
        return self._game.latent(self.draws)

    @cached_property
    def fake(self) -> Any:
        # The critic's pass in a turn with penalties leaves autocast; the generator's need not.
        precision = self._game.trainer.precision_plugin.forward_context()
        with precision, torch.set_grad_enabled(self.generating):
            fake = self._game.fake(self._game.generator, self.latent, self.condition)
        return self._with_input_gradients(at_least_float32(fake))

    @property
    def real_logits(self) -> Any:
        """A tensor, or with several critics a list or mapping of theirs."""
        return self._judged_reals.logits

    @property
    def fake_logits(self) -> Any:
        return self._judged_fakes.logits

    @property
    def real_heads(self) -> Any:
        """What the discriminator's other heads say, if it has some."""
        return self._judged_reals.heads

    @property
    def fake_heads(self) -> Any:
        return self._judged_fakes.heads

    @property
    def real_pass(self) -> Pass:
        """The discriminator's pass that gave `real_logits`, with what its layers left behind."""
        _ = self._judged_reals
        return self._real_pass

    @property
    def fake_pass(self) -> Pass:
        _ = self._judged_fakes
        return self._fake_pass

    @cached_property
    def _judged_reals(self) -> Judged:
        real = self.real
        with passing(self._real_pass):
            return self._noted("real_logit", self.judged(real))

    @cached_property
    def _judged_fakes(self) -> Judged:
        fake = self.fake
        with passing(self._fake_pass):
            return self._noted("fake_logit", self.judged(fake))

    def _noted(self, name: str, judgement: Judged) -> Judged:
        self.note(name, mean_over_critics(Tensor.mean, judgement.logits))
        return judgement

    def logits(self, images: Any) -> Any:
        """The discriminator's logits of any images under this turn's condition."""
        return self.judged(images).logits

    def judged(self, images: Any) -> Judged:
        """The same with what its other heads say."""
        return self.judged_as_seen(self.seen(images), self.condition)

    @property
    def step(self) -> int:
        """The generator steps before this one."""
        return self._game.trainer.global_step

    def seen(self, images: Any) -> Any:
        """Images as the discriminator is shown them: augmented, by other random numbers in each call."""
        return self._game.augmented(images)

    def judged_as_seen(self, seen: Any, condition: Any) -> Judged:
        """What the discriminator says of images that are augmented already, under any condition."""
        if not self.adversarial:
            raise Refused(
                f"{type(self._game).__name__} asks the discriminator in a stage without it (stages).\n"
                "Leave out the terms that need logits where turn.adversarial is false."
            )
        with self._game.uncompiled(self.penalised):
            said = checked(judged(self._game.judge(seen, condition)))
        return Judged(at_least_float32(said.logits), at_least_float32(said.heads))

    def share(self, every: int, *, penalised: bool = False) -> Turn:
        """The same turn of every so manyth sample alone, or pack of samples: a share of its batch.

        The discriminator judges these once more. It is the same share, however many processes and
        micro-batches a batch is cut into.
        """
        if self.generating:
            raise Refused(
                "turn.share is of the discriminator's turn: its fakes have no gradient of the generator."
            )
        return Share(self, every, penalised=penalised)

    def note(self, name: str, value: Tensor) -> None:
        """Log the mean of a quantity that is no loss; once a turn for each name."""
        if name in self.notes:
            raise Refused(
                f"turn.note('{name}') was called twice in one turn; the first would be lost. Rename one."
            )
        self.notes[name] = value.detach().mean()

    def _with_input_gradients(self, images: Any) -> Any:
        if not self.penalised:
            return images
        return apply_to_collection(images, Tensor, lambda t: t.detach().requires_grad_())


class Share(Turn):
    """Some samples of a turn. The generator has made them already, and they need none of its gradients."""

    def __init__(self, whole: Turn, every: int, *, penalised: bool) -> None:
        game, packing = whole._game, whole._game.packing

        def pick(rows: Tensor) -> Tensor:
            if len(rows) % (every * packing):
                raise Refused(
                    f"A share of 1 in {every} cannot be taken of the {len(rows)} samples of a micro-batch.\n"
                    f"Choose a batch size that makes them a multiple of {every * packing}."
                )
            return rows.unflatten(0, (-1, every, packing))[:, 0].flatten(0, 1)

        def picked(tree: Any) -> Any:
            return apply_to_collection(tree, Tensor, pick)

        self._whole, self._picked = whole, picked
        draws = SomeDraws(whole.draws, pick)
        super().__init__(game, picked(whole.batch), draws, generating=False, penalised=penalised)

    @cached_property
    def real(self) -> Any:
        return self._with_input_gradients(self._picked(self._whole.real))

    @cached_property
    def condition(self) -> Any:
        return self._picked(self._whole.condition)

    @cached_property
    def latent(self) -> Tensor:
        return self._picked(self._whole.latent)

    @cached_property
    def fake(self) -> Any:
        fake = self._picked(self._whole.fake)
        return self._with_input_gradients(apply_to_collection(fake, Tensor, Tensor.detach))

    def _noted(self, name: str, judgement: Judged) -> Judged:
        return judgement  # The whole turn's logits are logged.

    def note(self, name: str, value: Tensor) -> None:
        self._whole.note(name, value)
