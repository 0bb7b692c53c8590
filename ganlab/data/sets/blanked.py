"""Lines beside themselves with blanks, for games that fill them in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganlab import bounds
from ganlab.data.degradations import Degradation, Draws
from ganlab.data.sets.degraded import Restorable
from ganlab.data.stream import StreamData
from ganlab.errors import Refused
from ganlab.media import Medium, Text


class Blanking(Degradation):
    """Some characters of a line are replaced by a character that stands for a blank."""

    def __init__(self, text: Text, share: float, blank: str) -> None:
        bounds.between(0.01, 1, self, share=share)
        if len(blank) != 1 or blank in text.alphabet:
            raise Refused(
                f"blank is {blank!r}: it stands for what is taken out, and is one character that is not in\n"
                f"the alphabet of the lines, {text.alphabet[:60]!r}."
            )
        self.medium, self.share = Text(text.alphabet + blank, text.length), share

    def degraded(self, pictures: Tensor, draws: Draws) -> Tensor:
        texts, drawn = pictures, draws.uniform(pictures.shape[2]).to(pictures.device)
        is_character = texts[:, 0] < 0.5  # the first channel is the padding
        taken = (self.share * is_character.sum(1, keepdim=True)).round().clamp(min=1)
        order = torch.where(is_character, drawn, torch.inf).argsort(1).argsort(1)
        blank = (order < taken) & is_character
        return torch.cat([texts * ~blank[:, None], blank[:, None].to(texts)], 1)


class Blanked(Restorable):
    """Another set's lines, each beside itself with blanks: for filling them in.

    Args:
        of: The set.
        share: Of a line's characters, which are taken out; at least one is.
        blank: What stands in their place: a character that is not in the alphabet.
        draw: Says which blanks held-out items have: another number, others.
    """

    def __init__(
        self, *, of: StreamData, share: float = 0.3, blank: str = "_", draw: int = 0, **base: Any
    ) -> None:
        super().__init__(of=of, draw=draw, **base)
        text = of.media[0]
        assert isinstance(text, Text)
        self.alphabet = text.alphabet
        self.degrades_by(Blanking(text, share, blank), share=share, blank=blank)

    sources = "lines of text"

    def takes(self, made: Medium) -> bool:
        return isinstance(made, Text)

    def valid(self, line: str) -> bool:
        return self.of.valid(line)
