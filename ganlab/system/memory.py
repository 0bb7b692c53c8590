"""Refuse what does not fit into this machine's memory before it is made: it would fill the memory first."""

from collections.abc import Callable
from math import inf, prod
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ganlab.errors import Refused
from ganlab.system.hardware import free_memory

MAKERS = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn)


def refuse_beyond_memory(numbers: float, what: str) -> None:
    """Refuse so many numbers of four bytes; where free memory is unknown, all are let through."""
    needed, free = 4 * numbers, free_memory(torch.device("cpu")) or inf
    if needed > free:
        raise Refused(f"{what} would take {_size(needed)}, but {_size(free)} of memory are free.")


class WithinMemory(TorchFunctionMode):
    """Within, refuse networks whose weights together are larger than the memory that is free."""

    def __init__(self) -> None:
        super().__init__()
        self.free = self.left = free_memory(torch.device("cpu")) or inf

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in MAKERS:
            shape = tuple(args[0]) if args and isinstance(args[0], list | tuple) else args
            size = prod(shape) * (kwargs.get("dtype") or torch.get_default_dtype()).itemsize
            self.left -= size
            if self.left < 0:
                raise Refused(
                    f"The networks need more than the {_size(self.free)} of memory that are free:\n"
                    f"a tensor of the shape {shape} takes {_size(size)}.\n"
                    "Make them smaller, for instance by width, hidden or latent_size."
                )
        return function(*args, **kwargs)


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB"
