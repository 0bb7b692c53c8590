"""What the terms were, read rarely: no step waits for the device to hand over a number."""

from collections.abc import Callable

import torch
from torch import Tensor

from ganlab.errors import Failed

Terms = dict[str, Tensor]


class NonFiniteError(Failed):
    """A term or a weight is no longer a number."""


class TermRecord:
    """The terms of every turn since the last look, left where they were computed."""

    def __init__(self) -> None:
        self._kept: list[tuple[str, int, Tensor]] = []

    def add(self, step: int, terms: Terms) -> None:
        self._kept.extend((name, step, value.detach()) for name, value in terms.items())

    def look(self, earliest: Callable[[Tensor], Tensor], *, forgiving: bool) -> None:
        """Raise if a term was no number, and forget them all.

        `earliest` is the minimum over processes: they all raise, or none. `forgiving`, for a gradient scaler
        that skips bad steps, raises only if every step was bad.
        """
        if not self._kept:
            return
        kept, self._kept = self._kept, []
        bad = ~torch.stack([value.float() for _, _, value in kept]).isfinite()
        if forgiving:
            good = {step for _, step, _ in kept} - {kept[i][1] for i in bad.nonzero()[:, 0].tolist()}
            bad &= not good
        order = torch.arange(len(kept), device=bad.device)
        first = int(earliest(torch.where(bad, order, len(kept)).min()))
        if first < len(kept):
            name, step, value = kept[first]
            raise NonFiniteError(
                f"The term '{name}' became {float(value)} at step {step}; no checkpoint was written since.\n"
                "Lower the learning rate or that term's weight, clip gradients (discriminator_clip), or\n"
                "compute in float32 (trainer.precision 32)."
            )


def refuse_non_finite(state: dict[str, Tensor]) -> None:
    """Refuse weights that are no numbers, naming the first."""
    floating = {name: value for name, value in state.items() if value.is_floating_point()}
    finite = torch.stack([value.isfinite().all() for value in floating.values()])
    if not finite.all():
        name = list(floating)[int((~finite).nonzero()[0])]
        raise NonFiniteError(
            f"The tensor '{name}' holds values that are no numbers, so this checkpoint was not written.\n"
            "Resume from the newest checkpoint with a lower learning rate or clipped gradients."
        )
