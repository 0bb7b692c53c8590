"""The protocol that a score was taken under, which is written beside it wherever it is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

VERSION = 1  # counts changes of what a score computes from features

CHOICE = "one by chance of each of as many parts"  # of a set of which not all are taken
OF_SCORES = "parameters"  # the field that is part of a score's hash, and not of the contract's


def hash_of_fields(contract: Mapping[str, Any]) -> str:
    """The hash that a contract of these fields has."""
    return digest({name: value for name, value in contract.items() if name not in ("hash", OF_SCORES)})


@dataclass(frozen=True)
class Contract:
    """Scores may be compared if, and only if, their contracts have the same hash.

    Attributes:
        extractor: Its identity: name, hash of weights, resize, precision, layer.
        data: The reals' class, split and fingerprint.
        reals: How many of them.
        samples: How many fakes.
        fakes: ema or raw for a generator's, given for images from elsewhere.
        seed: The seed of the fakes; none for images from elsewhere.
        quantiser: How numbers in [-1, 1] become bytes.
        version: Of the code that computes scores from features.
        transparency: What became of transparent pictures among images from elsewhere; left out without any.
        conditions: Where those of a conditional game come from; left out without any.
        choices: What samples are drawn with, such as truncation, by name; left out without any.
        parameters: By score, what it alone depends on; in that score's hash, never in the others'.
    """

    extractor: dict[str, Any]
    data: dict[str, Any]
    reals: int
    samples: int
    fakes: str
    seed: int | None
    quantiser: str = "round((x + 1) * 127.5), 8 bits"
    version: int = VERSION
    transparency: str | None = None
    conditions: str | None = None
    choices: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        return hash_of_fields(self._fields())

    def _fields(self) -> dict[str, Any]:
        # So that the hash of a contract to which a new field says nothing stays what it was.
        optional = ("transparency", "conditions", "choices", "parameters")
        absent = {name for name in optional if not getattr(self, name)}
        return {name: value for name, value in asdict(self).items() if name not in absent}

    def plain(self) -> dict[str, Any]:
        """The hash and the fields, as they are written to JSON."""
        return {"hash": self.hash, **self._fields()}

    def __str__(self) -> str:
        name, resize = self.extractor["name"], self.extractor.get("resize", "")
        protocol = f"{name}-{resize}" if resize in ("tf1", "clean") else name
        line = f"{short(self.samples)} · {protocol} · {self.data['split']} {self.reals:,} · {self.fakes}"
        line = f"{line} · told {self.conditions}" if self.conditions else line
        line = " · ".join([line, *(f"{name} {value}" for name, value in self.choices.items())])
        return f"{line} · transparency {self.transparency}" if self.transparency else line


def digest(plain: Any) -> str:
    """SHA-256 of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def short(count: int) -> str:
    """10k for 10,000; numbers that are no whole thousands in full."""
    return f"{count // 1000}k" if count >= 1000 and count % 1000 == 0 else str(count)
