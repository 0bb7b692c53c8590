"""The part of a game that draws samples: their latents, what they are told, and the networks' passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.game.checks import takes_alone
from ganlab.game.chunks import CHUNK_SIZE, PerChunk, of_rows, rows_of, whole_chunks
from ganlab.game.conditions import Conditions
from ganlab.game.draws import BLOCK, Draws, drawn_in_blocks
from ganlab.game.ema import Average
from ganlab.game.own_noise import Numbered
from ganlab.game.players import evaluating
from ganlab.media import Labels, Medium, medium_of, played

StoredRows = Callable[[slice], tuple[Any, ...]]


class Sampling(LightningModule):
    """What a game is asked for samples by. Sample i of a seed follows from seed and i alone.

    Attributes:
        media: Of a batch's columns, the first of what is made; empty until data tell them.
        conditions: What samples are told where nothing else is said; none for games that tell nothing.
        still_on_walks: So many numbers at the end of a latent are those of a walk's first latent all along,
            such as codes, between which there is nothing.
        directions: The ways that a game goes, if there are several; a variant sets them, the first that
            samples go unless `direction` is another.
    """

    generator: nn.Module
    ema: Average
    media: tuple[Medium, ...]
    conditional: bool
    conditions: Conditions | None = None
    still_on_walks = 0
    directions: tuple[str, ...] = ()
    direction: str = ""

    @property
    def is_conditional(self) -> bool:
        """Whether the networks are told anything."""
        raise NotImplementedError

    def latent(self, draws: Draws) -> Any:
        """Its keyword arguments are the choices that samples may be drawn with."""
        raise NotImplementedError

    def condition(self, batch: Any) -> Any:
        raise NotImplementedError

    def fake(self, generator: nn.Module, latent: Any, condition: Any) -> Any:
        raise NotImplementedError

    def sample(
        self,
        count: int,
        *,
        seed: int,
        raw: bool = False,
        condition: Any = None,
        classes: Sequence[int | str] | None = None,
        given: Tensor | None = None,
        at: int = 0,
        whole: bool = False,
        **choices: Any,
    ) -> Any:
        """A seed's samples, by the generator's average.

        Args:
            raw: By the generator itself.
            condition: What the networks are told, as they are told it.
            classes: The samples' classes, by number or name, repeated in turn.
            given: What the samples are made from: items of `source_column` as data store them, repeated in
                turn.
            at: The number of the first sample.
            whole: Give networks whole chunks, with more samples than are asked for if need be, so that they
                round alike however many these are.
            choices: Those of `known_choices`, such as truncation.
        """
        drawn = min(whole_chunks(count), max(count, BLOCK)) if whole else count
        if condition is None:
            numbers = torch.arange(at, at + drawn).clamp(max=at + max(count, 1) - 1)
            condition = self.told(numbers, seed=seed, classes=classes, given=given)
        latents = self.latents(drawn, seed=seed, at=at, **choices)
        wanted = range(at, at + count)
        return self.generate(latents, raw=raw, condition=condition, seed=seed, numbers=wanted)

    @property
    def condition_medium(self) -> Medium | None:
        """What a batch's second column holds; None if there is none, or no data told it."""
        return self.media[1] if len(self.media) > 1 else None

    @property
    def source_columns(self) -> tuple[int, ...]:
        """The columns of a batch that the condition is taken from.

        That is the second alone (a source, labels), or the first alone (a picture that is made smaller, or
        gets holes), or else maybe all.
        """
        for column in (1, 0):
            for medium in self.media[column : column + 1]:
                blank = medium.played(medium.blank(), cast(torch.dtype, self.dtype)).to(self.device)
                if takes_alone(self, column, blank):
                    return (column,)
        return tuple(range(len(self.media))) or (1,)

    @property
    def source_column(self) -> int:
        """The only column of a batch that the condition is taken from."""
        column, *others = self.source_columns
        if not others:
            return column
        raise Refused(
            f"{type(self).__name__} takes its condition from several columns of a batch, or a later one:\n"
            "nothing can be given in place of the first or second alone (--given). In Python: condition=…"
        )

    @property
    def source_medium(self) -> Medium | None:
        """What that column holds; None of a game that tells nothing, or that no data told."""
        return self.media[self.source_column] if self.is_conditional and self.media else None

    @property
    def drawable_source(self) -> int | None:
        """The only column of a batch that the condition is taken from, if what it holds can be drawn."""
        columns = self.source_columns if self.is_conditional and self.media else ()
        return columns[0] if len(columns) == 1 and self.media[columns[0]].drawable else None

    @property
    def condition_rule(self) -> str | None:
        """Where conditions come from if no others are given, in a contract's words; None: nothing is told."""
        return self.conditions.rule if self.conditions else None

    def at_most(self, count: int) -> int:
        """So many samples, or as many as there are conditions for, if that is fewer."""
        total = self.conditions.total if self.conditions else None
        return count if total is None else min(count, total)

    @property
    def known_choices(self) -> tuple[str, ...]:
        """What samples may be drawn with: the keyword arguments of `latent`."""
        arguments = signature(self.latent).parameters.values()
        return tuple(each.name for each in arguments if each.default is not each.empty)

    def go(self, direction: str) -> None:
        """Draw samples in this direction from now on."""
        if direction not in self.directions:
            known = f"goes {' and '.join(self.directions)}" if self.directions else "goes one way"
            raise Refused(f"{type(self).__name__} {known}: no direction is {direction!r} (--direction).")
        self.direction = direction

    def latents(self, count: int, *, seed: int, at: int = 0, **choices: Any) -> Any:
        for name in choices:
            self.refuse_unknown_choice(name)

        def drawn(*of: int) -> Any:
            return self.latent(self._draws(*of, drawn_on="cpu"), **choices)

        try:
            return drawn_in_blocks(drawn, seed, at, count)
        except (TypeError, ValueError) as error:
            if not choices:
                raise
            values = ", ".join(f"{name} {value!r}" for name, value in choices.items())
            raise Refused(f"{type(self).__name__} draws no samples with {values}: {error}") from error

    def refuse_unknown_choice(self, name: str) -> None:
        """Refuse a choice that `latent` does not take."""
        if name not in (known := self.known_choices):
            raise Refused(
                f"{type(self).__name__} draws no samples by {name!r}: "
                f"the choices that it knows are {', '.join(known) or 'none'}."
            )

    @torch.no_grad()
    def generate(
        self,
        latents: Any,
        *,
        raw: bool = False,
        condition: Any = None,
        seed: int = 0,
        numbers: Sequence[int] | None = None,
    ) -> Any:
        """Samples of these latents, without gradients; a few at a time, to save memory.

        Args:
            seed: Networks that draw noise of their own draw it by this seed and a sample's number.
            numbers: Of the samples, in the order of the latents; from 0 on if none are given. Latents beyond
                these only fill the last chunk.
        """
        network, count = self.generator if raw else self.ema.network, rows_of(latents)

        def make(rows: slice) -> Any:
            return self.fake(network, *(of_rows(each, rows, count) for each in (latents, condition)))

        with evaluating(network):
            numbers = range(count) if numbers is None else numbers
            return Numbered(make, seed, numbers, self.device, type(network)).of_rows(count)

    def medium(self, made: Tensor) -> Medium:
        """Of what it makes: as the data said, else by the shape of these samples."""
        if not isinstance(made, Tensor):
            raise Refused(
                f"{type(self).__name__}.fake returned a {type(made).__name__}, but samples are one tensor.\n"
                "Of several generators choose the one to draw samples by in fake, or name a single network."
            )
        return self.media[0] if self.media else medium_of(made.shape[1:])

    def told(
        self,
        numbers: Tensor,
        *,
        seed: int,
        classes: Sequence[int | str] | None = None,
        given: Tensor | None = None,
    ) -> PerChunk | None:
        """What the networks are told for samples of these numbers, chunk by chunk; None: nothing."""
        stored = self._told(numbers, seed, classes, given)
        if self.conditional and not stored:
            raise Refused(
                f"{type(self).__name__} makes samples from what it is told, and knows nothing to tell here:\n"
                "name sources (--given, in Python given=…), or classes (--class, classes=…)."
            )
        return self._conditions(stored) if stored else None

    def captions(
        self,
        count: int,
        *,
        seed: int,
        classes: Sequence[int | str] | None = None,
        given: Tensor | None = None,
    ) -> list[str] | None:
        """What each of a seed's samples is told, in words; None: nothing, or what words do not tell."""
        stored, medium = self._told(torch.arange(count), seed, classes, given), self.condition_medium
        if not stored or not medium:
            return None
        captions: list[str] = []
        for start in range(0, count, CHUNK_SIZE):
            second = stored(slice(start, start + CHUNK_SIZE))[1:2]
            if not second or (some := medium.captions(*second)) is None:
                return None
            captions += some
        return captions

    def _told(
        self, numbers: Tensor, seed: int, classes: Sequence[int | str] | None, given: Tensor | None
    ) -> StoredRows | None:
        """Batches, as data store them, from which the conditions of samples of these numbers are taken."""
        if (classes is not None or given is not None) and not self.is_conditional:
            raise Refused(f"{type(self).__name__} tells its networks nothing: leave classes and given out.")
        if classes is not None:
            labels = self._labels(classes)
            return lambda rows: (None, labels[numbers[rows] % len(labels)])
        if given is not None:
            before = [None] * self.source_column
            return lambda rows: (*before, given[numbers[rows].to(given.device) % len(given)])
        conditions = self.conditions
        return (lambda rows: conditions.batch(numbers[rows], seed)) if conditions else None

    def told_classes(self, numbers: Tensor, *, seed: int) -> Tensor | None:
        """The number of the class that each of a seed's samples is told; None where it is told no single one.

        Where samples are told what items of a split hold, these are read: a portion at a time.
        """
        conditions, known = self.conditions, self.condition_medium
        if not (conditions and known and known.class_names and self.source_columns == (1,)):
            return None
        return torch.cat([conditions.batch(part, seed)[1].cpu() for part in numbers.split(BLOCK)])

    def _conditions(self, stored: StoredRows) -> PerChunk:
        """The game's own condition of batches as data store them."""

        def make(rows: slice) -> Any:
            batch = apply_to_collection(stored(rows), Tensor, lambda column: column.to(self.device))
            return self.condition(played(self.media, batch, cast(torch.dtype, self.dtype)))

        return PerChunk(make)

    def _labels(self, classes: Sequence[int | str]) -> Tensor:
        known = self.condition_medium
        if not isinstance(known, Labels):
            return torch.tensor([int(each) for each in classes])
        if known.several:
            raise Refused(f"Samples are told {known.classes} attributes and no class: leave classes out.")
        return torch.tensor([known.number_of(each) for each in classes])

    def _draws(self, seed: int, total: int, **where: Any) -> Draws:
        return Draws(seed, total, device=self.device, dtype=cast(torch.dtype, self.dtype), **where)
