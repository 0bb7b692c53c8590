"""The game that a file names, built without trusting the file.

Plain values can do what pickled code can, once somebody builds what they name: `class_path: my_module.Net`
imports my_module, and `class_path: subprocess.Popen` starts a program. So a file may name what stands in
ALLOWED, and what its reader passes beside it, at every level of nesting; all else in it is plain data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from inspect import signature
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

from jsonargparse import ArgumentParser
from torch import nn, optim
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from ganlab import losses, networks, variants
from ganlab.class_paths import argument_types, imported, public_path
from ganlab.errors import Refused
from ganlab.game.gan import GAN

# What opens no path, fetches nothing, and calls nothing that a file can give it.
ALLOWED: dict[str, type] = {
    "ganlab.GAN": GAN,
    **{f"ganlab.networks.{name}": vars(networks)[name] for name in networks.__all__},
    **{f"ganlab.variants.{name}": vars(variants)[name] for name in variants.__all__},
    **{
        f"{module.__name__}.{name}": kind
        for module, root in (
            (losses, losses.Loss),
            (nn, nn.Module),
            (optim, Optimizer),
            (lr_scheduler, LRScheduler),
        )
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, root) and kind is not root and name[0] != "_"
        if kind not in (nn.DataParallel, lr_scheduler.LambdaLR, lr_scheduler.MultiplicativeLR)
    },
}
LATER = (Optimizer, LRScheduler)  # built when there is something to optimise
DEEPEST, LONGEST = 50, 1000


def rebuild(
    told: dict[str, Any], source: Path, *, classes: Iterable[type] = (), trusted: bool = False
) -> GAN:
    """The game of a checkpoint's hyperparameters, which are in Lightning's form.

    Args:
        classes: Those that may be named besides.
        trusted: Import and build whatever is named.
    """
    path = told.get("_class_path")
    if not isinstance(path, str):
        raise Refused(
            f"{source} holds a game built in Python, which is rebuilt in Python:\n"
            "MyGAN.load_from_checkpoint(path, generator=…, discriminator=…)."
        )
    arguments = {name: value for name, value in told.items() if not str(name).startswith("_")}
    if "compile" in arguments:  # It takes longer than the samples that a loaded game is asked for.
        arguments["compile"] = False
    builder = _Builder(source, classes)
    variant = builder.imported(path) if trusted else builder.allowed(path)
    if not (isinstance(variant, type) and issubclass(variant, GAN)):
        raise Refused(f"{source} names {path[:80]!r} as its variant, but that is no GAN.")
    if trusted:
        return builder.attempt(_as_the_command_line_does, variant, arguments)
    return builder.call(variant, arguments, DEEPEST)


def _as_the_command_line_does(variant: type[GAN], arguments: dict[str, Any]) -> GAN:
    """Of arguments of any type. It imports what they name, and reads texts as YAML once more."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(variant, "game", fail_untyped=False, sub_configs=False)
    return parser.instantiate_classes(parser.parse_object({"game": arguments})).game


def outdated(source: Path) -> Refused:
    return Refused(
        f"{source} was written by ganlab 0.1, and this ganlab does not go on with it:\n"
        'pip install "ganlab<0.2" for that, or train anew. `ganlab compare` still reads the run\'s records.'
    )


class _Builder:
    """Calls the classes that a file may name, with what it tells."""

    def __init__(self, source: Path, classes: Iterable[type]) -> None:
        self.source = source
        self.known = dict(ALLOWED)
        for kind in classes:
            self.known |= {public_path(kind): kind, f"{kind.__module__}.{kind.__qualname__}": kind}

    def allowed(self, path: str) -> type:
        if path in self.known:
            return self.known[path]
        name = path.rpartition(".")[2][:40]
        own = name if name.isidentifier() else "…"
        raise Refused(
            f"{self.source} names {path[:80]!r}: none of ganlab's classes, and none of torch's layers,\n"
            f"optimizers and schedules. If it is yours, pass it: ganlab.load(path, classes=[{own}]).\n"
            "If you trust the file and the code beside it: trust_code=True, or --trust_code."
        )

    def imported(self, path: str) -> Any:
        try:
            return imported(path)
        except (ImportError, AttributeError, ValueError) as error:
            raise Refused(
                f"{self.source} names {path[:80]!r}, which is not found: {_short(error)}"
            ) from error

    def value(self, told: Any, levels: int, *, factory: bool = False) -> Any:
        """What is told, with the classes in it built; all else must be plain data."""
        if not levels:
            raise self.refused("arguments within arguments without end")
        if isinstance(told, dict):
            self.refuse_odd_names(told)
            if "class_path" in told:
                return self.instance(told, levels, factory=factory)
            return {name: self.value(below, levels - 1) for name, below in told.items()}
        if isinstance(told, (list, tuple)):
            if len(told) > LONGEST:
                raise self.refused(f"a list of {len(told):,} arguments")
            return [self.value(below, levels - 1, factory=factory) for below in told]
        if told is not None and not isinstance(told, (bool, int, float, str)):
            raise self.refused(f"an argument that is a {type(told).__name__}, no plain data")
        return told

    def instance(self, told: dict[str, Any], levels: int, *, factory: bool) -> Any:
        path, arguments = told["class_path"], told.get("init_args") or {}
        whole = isinstance(path, str) and isinstance(arguments, dict)
        if not whole or told.keys() - {"class_path", "init_args"}:
            raise self.refused(f"{repr(told)[:60]}, which is no class path with its arguments")
        kind = self.allowed(path)
        return self.call(kind, arguments, levels, factory=factory or issubclass(kind, LATER))

    def call(self, kind: type, arguments: dict[str, Any], levels: int, *, factory: bool = False) -> Any:
        self.refuse_odd_names(arguments)
        types, built = argument_types(kind), {}
        for name, told in arguments.items():
            wanted = types.get(name, Any)
            value = self.value(told, levels - 1, factory=_takes_factory(wanted))
            try:
                built[name] = fitted(value, wanted)
            except TypeError as error:
                what = f"{repr(told)[:60]} as {name[:60]!r} of {kind.__name__}"
                raise self.refused(f"{what}, which does not take it") from error
        if factory:
            self.attempt(signature(kind).bind_partial, **built)
            return partial(kind, **built)
        return self.attempt(kind, **built)

    def attempt(self, build: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        try:
            return build(*arguments, **named)
        # Anything may go wrong in a constructor that is given another's arguments.
        except Exception as error:
            raise Refused(f"The game that {self.source} names cannot be built:\n{_short(error)}") from error

    def refuse_odd_names(self, arguments: dict[Any, Any]) -> None:
        if not all(isinstance(name, str) for name in arguments):
            raise self.refused("arguments whose names are no strings")

    def refused(self, what: str) -> Refused:
        return Refused(f"{self.source} holds {what}: not built.")


def fitted(value: Any, wanted: Any) -> Any:
    """A value as an argument of that type, lists as tuples where it takes these; else a TypeError."""
    kind, parts = get_origin(wanted) or wanted, get_args(wanted)
    if kind in (Union, UnionType):
        for part in parts:
            with suppress(TypeError):
                return fitted(value, part)
    elif kind is Literal:
        if any(value == part and type(value) is type(part) for part in parts):
            return value
    elif kind in (tuple, list, Sequence, Iterable):
        if isinstance(value, list):
            return _sequence(value, tuple if kind is tuple else list, parts)
    elif kind is Callable:
        returned = object if not parts or parts[-1] is Any else parts[-1]
        if isinstance(value, partial) and issubclass(cast(type, value.func), returned):
            return value
    elif kind in (int, float) and isinstance(value, bool):
        pass
    elif kind is float and isinstance(value, int):
        return float(value)
    elif kind is Any or not isinstance(kind, type) or isinstance(value, kind):
        return value
    raise TypeError


def _takes_factory(wanted: Any) -> bool:
    """Whether it is not an instance that is taken, but what makes one."""
    return get_origin(wanted) is Callable or any(map(_takes_factory, get_args(wanted)))


def _sequence(values: list[Any], form: type, parts: tuple[Any, ...]) -> Any:
    if form is tuple and parts and parts[-1] is not ...:
        if len(values) != len(parts):
            raise TypeError
        return tuple(map(fitted, values, parts))
    return form(fitted(each, parts[0] if parts else Any) for each in values)


def _short(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
