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
LOGGED_BESIDE = {
    "images": "the number of images seen",
    "stage": "the number of the stage",
    "held_out_logit": "the mean logit of held-out reals",
    **{f"{side}_gradient_norm": "a gradient's norm" for side in ("discriminator", "generator")},
    **{f"{side}_skipped": "the number of skipped steps" for side in ("discriminator", "generator")},
}
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
    """What a variant's method `source` returned, if its `player` can learn from it, or rests without any."""
    if named(terms, source) and not any(term.requires_grad for term in terms.values()):
        raise Refused(
            f"{source}: no term depends on a parameter that the {player} learns ({', '.join(terms)}).\n"
            "Was it computed under no_grad, from a detached tensor, or by the other player alone?"
        )
    return terms


def rests_alike(rests: set[bool], source: str) -> bool:
    """Whether a side rests, if it does so in all micro-batches or in none."""
    if len(rests) > 1:
        raise Refused(
            f"{source} returned terms for some micro-batches of a turn, and none for others.\n"
            "Whether a side rests may depend on the step, but not on the samples or the process."
        )
    return rests.pop()


def joined(terms: Terms, source: str, more: Any, other: str, *, factor: int = 1) -> Terms:
    """The terms of one source, and so many times each of another; a name that both have is refused."""
    for name in named(more, other):
        if name in terms:
            raise _of_one_name(name, f"a term of {source}", f"one of {other}")
    return terms | {name: factor * term if factor > 1 else term for name, term in more.items()}


def _of_one_name(name: str, one: str, other: str) -> Refused:
    return Refused(
        f"Two values of a step are called '{name}': {one}, {other}.\n"
        "One would hide the other in the log and in every table: rename one of them."
    )


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
    """The terms of every turn since the last check, and the latest value of each that is logged.

    They stay on the device that computed them.
    """

    def __init__(self) -> None:
        self._terms: list[tuple[str, int, Tensor]] = []
        self._names: set[str] = set()
        self._digest = 0  # of all names in their order
        self._origins = dict(LOGGED_BESIDE)
        self._latest: dict[str, tuple[int, Tensor]] = {}

    def add(self, step: int, terms: Terms, notes: Iterable[str] = (), source: str = "") -> None:
        """Add what a variant's method `source` returned in a turn; a name that is taken is refused."""
        self._claim(terms, f"a term of {source}")
        self._claim(notes, "a note (turn.note)")
        self._terms.extend((name, step, value.detach()) for name, value in terms.items())
        names = (*terms, *notes)
        self._names.update(names)
        self._digest = zlib.crc32(repr((step, names)).encode(), self._digest)

    def _claim(self, names: Iterable[str], origin: str) -> None:
        for name in names:
            if self._origins.setdefault(name, origin) != origin:
                raise _of_one_name(name, self._origins[name], origin)

    def keep(self, step: int, logged: Terms) -> None:
        self._latest.update((name, (step, value)) for name, value in logged.items())

    def latest(self, *, after: int) -> Terms:
        """The last value of each term and note that was played after a step."""
        return {name: value for name, (step, value) in self._latest.items() if step > after}

    def is_old(self, name: str, *, after: int) -> bool:
        """Whether it is a term or note that was not played after a step."""
        return name in self._latest and self._latest[name][0] <= after

    def state(self, means: Callable[[Terms], dict[str, float]]) -> dict[str, tuple[int, float]]:
        """The latest values for a checkpoint; `means` are those over processes."""
        values = means(self.latest(after=-1)) if self._latest else {}
        return {name: (self._latest[name][0], value) for name, value in values.items()}

    def restore(self, state: dict[str, tuple[int, float]]) -> None:
        self._latest = {name: (step, torch.tensor(value)) for name, (step, value) in state.items()}

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
    if not floating:
        return
    finite = torch.stack([value.isfinite().all() for value in floating.values()])
    if not finite.all():
        name = list(floating)[int((~finite).nonzero()[0])]
        raise NonFiniteError(
            f"The tensor '{name}' holds values that are no numbers, so this checkpoint was not written.\n"
            "Resume from the newest checkpoint with a lower learning rate or clipped gradients."
        )
