"""The terms of the steps. They are checked now and then only, because reading them waits for the device."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ganlab.errors import Failed, Refused
from ganlab.system.processes import everyones

Terms = dict[str, Tensor]
MOST_UNCHECKED = 10_000  # terms; each takes some hundred bytes until it is checked
# What torch says where a term is differentiated with respect to images, but not as a penalty.
NO_PENALTY = (
    "differentiated Tensors does not require grad",
    "not currently support double backward",
    "non-empty donated buffers",
)

LATER = (
    "Lower the learning rate or that term's weight, clip gradients (discriminator_clip), or\n"
    "compute in float32 (trainer.precision 32)."
)
AT_ONCE = (
    "Nothing was learnt before: look for a logarithm or a division in it, and at the data and its weight."
)


class NonFiniteError(Failed):
    """A term or a weight is no longer a number."""


def checked(terms: Any, source: str, player: str) -> Terms:
    """What a variant's method `source` returned, if its `player` can learn from it."""
    if not named(terms, source):
        raise Refused(f"{source} returned no term; the {player} needs one at least: {{'{player}': loss}}.")
    if not any(term.requires_grad for term in terms.values()):
        raise Refused(
            f"{source}: no term depends on a parameter that the {player} learns ({', '.join(terms)}).\n"
            "Was it computed under no_grad, from a detached tensor, or by the other player alone?"
        )
    return terms


def scaled(terms: Any, factor: int, source: str) -> Terms:
    return {name: factor * term for name, term in named(terms, source).items()}


def named(terms: Any, source: str) -> Terms:
    """What a variant's method `source` returned, if it is single numbers by name."""
    if not isinstance(terms, dict):
        raise Refused(
            f"{source} returned {terms!r:.60}.\nIt returns terms by name, such as {{'name': value}}."
        )
    for name, term in terms.items():
        if not isinstance(term, Tensor) or term.ndim:
            what = f"of the shape {tuple(term.shape)}" if isinstance(term, Tensor) else f"{term!r:.60}"
            raise Refused(
                f"{source}: the term '{name}' is {what}.\n"
                "A term is a tensor that holds one number, such as a mean() over samples."
            )
    return terms


@contextmanager
def explained(source: str) -> Iterator[None]:
    """Within, say where a term belongs that torch cannot differentiate because it is a penalty."""
    try:
        yield
    except RuntimeError as error:
        if not any(words in str(error) for words in NO_PENALTY):
            raise
        raise Refused(
            f"{source}: a term needs the discriminator's gradient with respect to images. Return it from\n"
            "penalties(turn) instead: there images require gradients, and nothing is compiled or rounded."
        ) from error


class TermRecord:
    """The terms of every turn since the last check, on the device that computed them."""

    def __init__(self) -> None:
        self._terms: list[tuple[str, int, Tensor]] = []
        self._names: set[str] = set()
        self._digest = 0  # of all names in their order

    def add(self, step: int, terms: Terms, notes: Iterable[str] = ()) -> None:
        self._terms.extend((name, step, value.detach()) for name, value in terms.items())
        names = (*terms, *notes)
        self._names.update(names)
        self._digest = zlib.crc32(repr((step, names)).encode(), self._digest)

    @property
    def is_long(self) -> bool:
        return len(self._terms) >= MOST_UNCHECKED

    def check(self, least: Callable[[Tensor], Tensor], *, skips_bad_steps: bool) -> None:
        """Raise if a term was no number, and empty the record; waits for the device.

        `least` is the minimum over processes: they all raise, or none. If a gradient scaler
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
        first = torch.where(bad, order, len(terms)).min()
        digests = torch.tensor([self._digest, -self._digest], device=bad.device)
        position, lowest, highest = least(torch.stack([first, *digests])).tolist()
        if lowest != -highest:
            self._refuse_differences()
        if position < len(terms):
            name, step, value = terms[position]
            raise NonFiniteError(
                f"The term '{name}' became {float(value)} at step {step}; no checkpoint was written since.\n"
                + (LATER if step else AT_ONCE)
            )
        self._names.clear()

    def _refuse_differences(self) -> None:
        names = everyones(self._names)
        differing = sorted(set.union(*names) - set.intersection(*names))
        which = f"only some have {', '.join(differing)}" if differing else "they come in another order"
        raise Refused(
            f"The processes of this run do not have the same terms and notes: {which}.\n"
            "Whether a turn has a term may depend on the step, but not on the samples or the process."
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
