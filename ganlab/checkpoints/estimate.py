"""How much memory a file's game would fill, found on torch's meta device, which has sizes but no memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, UntypedStorage
from torch.nn.modules.module import register_module_module_registration_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ganlab.errors import Refused
from ganlab.game.gan import GAN

VARIABLE, DEFAULT = "GANLAB_MOST_GB", 32e9  # bytes
META = torch.device("meta")
ATEN = torch.ops.aten
FILLING = {ATEN.normal_.default, ATEN.uniform_.default, ATEN.zero_.default, ATEN.fill_.Scalar}
SAMPLES = 250  # that commands draw at once
MOST_OPERATIONS = 50_000  # a network of a thousand layers takes twenty thousand


class TooLarge(Refused):
    """What would be built fills more memory than it may."""


def refuse_too_large(build: Callable[[], GAN], source: Path) -> None:
    """Refuse a game that would fill too much memory when it is built or when it draws samples.

    It takes 10 to 500 ms, most of them for spectral norm, and no memory; nothing is drawn from torch's
    generator. Whatever the game raises on the meta device is passed on.

    Args:
        source: The file that it comes from, for messages.
    """
    meter = Meter(source, META)
    with torch.no_grad(), meter:
        game = build()
        meter.built = meter.allocated
        # As commands do; a game that is told something is told zeros.
        medium = game.source_medium
        told: dict[str, Any] = {"given": medium.blank()} if medium else {}
        game.sample(SAMPLES, seed=0, raw=False, condition=None, **told)


class Meter(TorchDispatchMode):
    """Adds up what all operations allocate, and ends them where that is more than a file's game may.

    Args:
        source: The file that the game comes from, for messages.
        device: The device that all operations run on instead of their own.

    Attributes:
        operations: How many there were so far, and layers in layers: a few arguments can name very many.
        allocated: Bytes that all operations allocated, or would have.
        built: Those of the finished game, beside which an operation's own must have room; None before.
    """

    def __init__(self, source: Path, device: torch.device | None = None) -> None:
        super().__init__()
        self.source, self.device, self.most = source, device, most_bytes()
        self.allocated, self.operations = 0, 0
        self.built: int | None = None

    def __enter__(self) -> Meter:
        self._layers = register_module_module_registration_hook(self._count)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        self._layers.remove()
        super().__exit__(*error)

    def _count(self, *layers: Any) -> None:
        self.operations += 1
        if self.operations > MOST_OPERATIONS:
            raise self._refusal(0)

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.device:
            if operation is ATEN.lift_fresh.default:
                return args[0].to(self.device)  # a tensor of numbers in Python
            if operation in FILLING:
                return args[0]  # sooner than the meta device would
            elsewhere = {"device": self.device, "generator": None}
            kwargs |= {name: value for name, value in elsewhere.items() if name in kwargs}
        result = operation(*args, **kwargs)
        given = _storages((args, kwargs))
        new = _bytes({key: storage for key, storage in _storages(result).items() if key not in given})
        self.allocated += new
        self.operations += 1
        held = self.allocated if self.built is None else self.built + _bytes(given) + new
        if held > self.most or self.operations > MOST_OPERATIONS:
            raise self._refusal(held)
        return result

    def _refusal(self, held: int) -> TooLarge:
        if held <= self.most:
            return TooLarge(f"{self.source} names a game of more than {MOST_OPERATIONS:,} parts: not built.")
        when = "to be built" if self.built is None else f"to draw {SAMPLES} samples"
        return TooLarge(
            f"{self.source} names a game that needs more than {self.most / 1e9:,.3g} GB {when}: not built.\n"
            f"If it shall be that large, allow it more: {VARIABLE}={max(1, 2 * held // 10**9)}"
        )


def _storages(values: Any) -> dict[int, UntypedStorage]:
    """The storages of the tensors among the values, by their identities."""
    storages = [value.untyped_storage() for value in tree_leaves(values) if isinstance(value, Tensor)]
    return {id(storage): storage for storage in storages}


def _bytes(storages: dict[int, UntypedStorage]) -> int:
    return sum(storage.nbytes() for storage in storages.values())


def most_bytes() -> float:
    """What a game of a file may fill: $GANLAB_MOST_GB, else 32 GB, or half of what this machine has."""
    text = os.environ.get(VARIABLE)
    if not text:
        return min(DEFAULT, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2)
    try:
        return float(text) * 1e9
    except ValueError:
        raise Refused(f"{VARIABLE} is {text!r}; it must be a number, such as 64.") from None
