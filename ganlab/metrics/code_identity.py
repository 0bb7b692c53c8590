"""What a user's own network or score computes besides weights: its source files and its arguments."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.metrics.contract import digest
from ganlab.system.own_modules import own_file

DEPTH = 5  # of objects within objects
BASE = frozenset(vars(nn.Module()))  # what torch itself keeps in each module


def network_identity(network: nn.Module) -> dict[str, Any]:
    """Digests that differ if the network's own code or its arguments do, wherever its files lie."""
    return _identity(dict(network.named_modules()), "network")


def code_identity(thing: Any, kind: str) -> dict[str, Any]:
    """The same of what is no network; `kind` is for messages."""
    return _identity({"": thing}, kind)


def _identity(parts: dict[str, Any], kind: str) -> dict[str, Any]:
    kinds = [each for part in parts.values() for each in type(part).__mro__]
    arguments = {
        name: [_name(type(part)), {key: _plain(value, DEPTH) for key, value in _attributes(part)}]
        for name, part in parts.items()
    }
    return {"source": digest(sorted(_sources(kinds, kind))), "arguments": digest(arguments)}


def _attributes(part: Any) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in sorted(vars(part).items()) if name not in BASE)


def _sources(kinds: Iterable[type], kind: str) -> set[str]:
    """The digests of the user's own files that these classes come from, and of those that these use."""
    names = {kind.__module__ for kind in kinds}
    if unknown := [name for name in names if not _has_file(name)]:
        raise Refused(
            f"The code of {unknown[0]} is in no file, and it is in the contract of its scores:\n"
            f"put the {kind}'s class into a file of its own."
        )
    files: dict[str, str] = {}
    todo = [*names]
    while todo:
        module = sys.modules.get(name := todo.pop())
        if name in files or module is None or not (file := own_file(module)):
            continue
        files[name] = hashlib.sha256(file.read_bytes()).hexdigest()
        values = list(vars(module).values())
        todo += [value.__name__ for value in values if isinstance(value, ModuleType)]
        todo += [value.__module__ for value in values if isinstance(value, type | FunctionType)]
    return set(files.values())


def _has_file(name: str) -> bool:
    return name in sys.builtin_module_names or bool(getattr(sys.modules.get(name), "__file__", None))


def _name(function: Any) -> str:
    return f"{getattr(function, '__module__', '')}.{function.__qualname__}"


def _plain(value: Any, depth: int) -> Any:
    """Plain data that differ if the value does, as far as attributes, `depth` of them deep, tell."""
    if value is None or isinstance(value, str | int | float):
        return repr(value)
    if isinstance(value, Tensor | np.ndarray):
        array = value.detach().cpu().float().numpy() if isinstance(value, Tensor) else value
        return [repr(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
    if isinstance(value, type | FunctionType | BuiltinFunctionType):
        return _name(value)
    if depth == 0 or isinstance(value, nn.Module):  # modules are told by themselves
        return _name(type(value))
    if isinstance(value, dict):
        return sorted(([repr(key), _plain(item, depth - 1)] for key, item in value.items()), key=str)
    if isinstance(value, list | tuple | set | frozenset):
        items = [_plain(item, depth - 1) for item in value]
        return sorted(items, key=str) if isinstance(value, set | frozenset) else items
    if isinstance(value, partial | MethodType):
        inner = [value.func, value.args, value.keywords] if isinstance(value, partial) else [value.__func__]
        return [_plain(item, depth - 1) for item in inner]
    return [_name(type(value)), _plain(getattr(value, "__dict__", {}), depth - 1)]
