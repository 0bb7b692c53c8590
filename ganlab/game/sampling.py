"""The part of a game that draws samples: their latents, what they are told, and the networks' passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.game.chunks import CHUNK_SIZE, PerChunk, in_chunks, whole_chunks
from ganlab.game.conditions import Conditions
from ganlab.game.draws import BLOCK, Draws, drawn_in_blocks
from ganlab.game.ema import Average
from ganlab.game.players import evaluating
from ganlab.media import Labels, Medium, medium_of, played

StoredRows = Callable[[slice], tuple[Any, ...]]


class Sampling(LightningModule):
    """What a game is asked for samples by. Sample i of a seed follows from seed and i alone.

    Attributes:
        media: Of a batch's columns, the first of what is made; empty until data tell them.
        conditions: What samples are told where nothing else is said; none for games that tell nothing.
    """

    generator: nn.Module
    ema: Average
    media: tuple[Medium, ...]
    conditions: Conditions | None = None

    @property
    def is_conditional(self) -> bool:
        """Whether the networks are told anything."""
        raise NotImplementedError

    def latent(self, draws: Draws) -> Any:
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
    ) -> Any:
        """A seed's samples, by the generator's average.

        Args:
            raw: By the generator itself.
            condition: What the networks are told, as they are told it.
            classes: The samples' classes, by number or name, repeated in turn.
            given: What the samples are made from: items of the batch's second column, repeated in turn.
            at: The number of the first sample.
            whole: Give networks whole chunks, with more samples than are asked for if need be, so that they
                round alike however many these are.
        """
        drawn = min(whole_chunks(count), max(count, BLOCK)) if whole else count
        if condition is None:
            numbers = torch.arange(at, at + drawn).clamp(max=at + max(count, 1) - 1)
            condition = self.told(numbers, seed=seed, classes=classes, given=given)
        samples = self.generate(self.latents(drawn, seed=seed, at=at), raw=raw, condition=condition)
        return apply_to_collection(samples, Tensor, lambda t: t[:count]) if drawn != count else samples

    @property
    def condition_medium(self) -> Medium | None:
        """What a batch's second column holds; None if there is none, or no data told it."""
        return self.media[1] if len(self.media) > 1 else None

    @property
    def condition_rule(self) -> str | None:
        """Where conditions come from if no others are given, in a contract's words; None: nothing is told."""
        return self.conditions.rule if self.conditions else None

    def at_most(self, count: int) -> int:
        """So many samples, or as many as there are conditions for, if that is fewer."""
        total = self.conditions.total if self.conditions else None
        return count if total is None else min(count, total)

    def latents(self, count: int, *, seed: int, at: int = 0) -> Any:
        return drawn_in_blocks(lambda *of: self.latent(self._draws(*of, drawn_on="cpu")), seed, at, count)

    @torch.no_grad()
    def generate(self, latents: Any, *, raw: bool = False, condition: Any = None) -> Any:
        """Images of these latents, without gradients; a few at a time, to save memory."""
        network = self.generator if raw else self.ema
        with evaluating(network):
            return in_chunks(self.fake, len(latents), network, latents, condition)

    def medium(self, made: Tensor) -> Medium:
        """Of what it makes: as the data said, else by the shape of these samples."""
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
            some = medium.captions(stored(slice(start, start + CHUNK_SIZE))[1])
            if some is None:
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
            return lambda rows: (None, given[numbers[rows].to(given.device) % len(given)])
        conditions = self.conditions
        return (lambda rows: conditions.batch(numbers[rows], seed)) if conditions else None

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
