"""The terms of the steps. They are checked now and then only, because reading them waits for the device."""

from collections.abc import Callable

import torch
from torch import Tensor

from ganlab.errors import Failed

Terms = dict[str, Tensor]


class NonFiniteError(Failed):
    """A term or a weight is no longer a number."""


class TermRecord:
    """The terms of every turn since the last check, on the device that computed them."""

    def __init__(self) -> None:
        self._terms: list[tuple[str, int, Tensor]] = []

    def add(self, step: int, terms: Terms) -> None:
        self._terms.extend((name, step, value.detach()) for name, value in terms.items())

    def check(self, earliest: Callable[[Tensor], Tensor], *, skips_bad_steps: bool) -> None:
        """Raise if a term was no number, and empty the record; waits for the device.

        `earliest` is the minimum over processes: they all raise, or none. If a gradient scaler
        `skips_bad_steps`, it raises only if every step was bad.
        """
        if not self._terms:
            return
        terms, self._terms = self._terms, []
        bad = ~torch.stack([value.float() for _, _, value in terms]).isfinite()
        if skips_bad_steps:
            good = {step for _, step, _ in terms} - {terms[i][1] for i in bad.nonzero()[:, 0].tolist()}
            bad &= not good
        order = torch.arange(len(terms), device=bad.device)
        first = int(earliest(torch.where(bad, order, len(terms)).min()))
        if first < len(terms):
            name, step, value = terms[first]
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
