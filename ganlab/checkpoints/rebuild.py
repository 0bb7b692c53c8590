"""The game that a file names, built without trusting the file.

Plain values can do what pickled code can, once somebody builds what they name: `class_path: my_module.Net`
imports my_module, and `class_path: subprocess.Popen` starts a program. So a file may name the classes in
ALLOWED, and those that its reader passes, at every level of nesting; all else in it must be plain data.
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
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganlab.checkpoints.allow_list import ALLOWED
from ganlab.class_paths import argument_types, imported, public_path
from ganlab.errors import Refused
from ganlab.game.gan import GAN

LATER = (Optimizer, LRScheduler)  # arguments of these types are factories
MOST_LEVELS, LONGEST = 50, 1000  # of nested arguments, and items of a list


def rebuild(
    hyperparameters: dict[str, Any], source: Path, *, classes: Iterable[type] = (), trusted: bool = False
) -> GAN:
    """The game of a checkpoint's hyperparameters, which are in Lightning's form.

    Args:
        source: The file that they come from, for messages.
        classes: Classes that may be named besides those in ALLOWED.
        trusted: Import and build whatever is named.
    """
    path = hyperparameters.get("_class_path")
    if not isinstance(path, str):
        raise Refused(
            f"{source} holds a game built in Python, which is rebuilt in Python:\n"
            "MyGAN.load_from_checkpoint(path, generator=…, discriminator=…)."
        )
    arguments = {name: value for name, value in hyperparameters.items() if not str(name).startswith("_")}
    if "compile" in arguments:  # Compiling takes longer than drawing samples.
        arguments["compile"] = False
    builder = _Builder(source, classes)
    variant = builder.imported(path) if trusted else builder.allowed(path)
    if not (isinstance(variant, type) and issubclass(variant, GAN)):
        raise Refused(f"{source} names {path[:80]!r} as its variant, but that is no GAN.")
    if trusted:
        return builder.attempt(_build_trusted, variant, arguments)
    return builder.call(variant, arguments, MOST_LEVELS)


def _build_trusted(variant: type[GAN], arguments: dict[str, Any]) -> GAN:
    """Build a game as the command line does: it imports what the arguments name, and reads texts as YAML."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(variant, "game", fail_untyped=False, sub_configs=False)
    return parser.instantiate_classes(parser.parse_object({"game": arguments})).game


def outdated(source: Path) -> Refused:
    """The refusal of a file that an older version wrote."""
    return Refused(
        f"{source} was written by ganlab 0.1, and this ganlab does not go on with it:\n"
        'pip install "ganlab<0.2" for that, or train anew. `ganlab compare` still reads the run\'s records.'
    )


class _Builder:
    """Builds instances of the classes that a file may name, with the file's arguments."""

    def __init__(self, source: Path, classes: Iterable[type]) -> None:
        self.source = source
        self.known = dict(ALLOWED)
        for kind in classes:
            self.known |= {public_path(kind): kind, f"{kind.__module__}.{kind.__qualname__}": kind}

    def allowed(self, path: str) -> type:
        """The class of that path, if the file may name it."""
        if path in self.known:
            return self.known[path]
        name = path.rpartition(".")[2][:40]
        class_name = name if name.isidentifier() else "…"
        raise Refused(
            f"{self.source} names {path[:80]!r}: none of ganlab's classes, and none of torch's layers,\n"
            f"optimizers and schedules. If it is yours, pass it: ganlab.load(path, classes=[{class_name}]).\n"
            "If you trust the file and the code beside it: trust_code=True, or --trust_code."
        )

    def imported(self, path: str) -> Any:
        try:
            return imported(path)
        except (ImportError, AttributeError, ValueError) as error:
            raise Refused(
                f"{self.source} names {path[:80]!r}, which is not found: {_short(error)}"
            ) from error

    def value(self, content: Any, levels: int, *, factory: bool = False) -> Any:
        """A value of the file with the classes in it built; all else must be plain data.

        Args:
            levels: How many more levels it may be nested.
            factory: Return factories of the classes instead of instances.
        """
        if not levels:
            raise self.refused("arguments within arguments without end")
        if isinstance(content, dict):
            self.refuse_odd_names(content)
            if "class_path" in content:
                return self.instance(content, levels, factory=factory)
            return {name: self.value(below, levels - 1) for name, below in content.items()}
        if isinstance(content, (list, tuple)):
            if len(content) > LONGEST:
                raise self.refused(f"a list of {len(content):,} arguments")
            return [self.value(below, levels - 1, factory=factory) for below in content]
        if content is not None and not isinstance(content, (bool, int, float, str)):
            raise self.refused(f"an argument that is a {type(content).__name__}, no plain data")
        return content

    def instance(self, config: dict[str, Any], levels: int, *, factory: bool) -> Any:
        path, arguments = config["class_path"], config.get("init_args") or {}
        valid = isinstance(path, str) and isinstance(arguments, dict)
        if not valid or config.keys() - {"class_path", "init_args"}:
            raise self.refused(f"{repr(config)[:60]}, which is no class path with its arguments")
        kind = self.allowed(path)
        return self.call(kind, arguments, levels, factory=factory or issubclass(kind, LATER))

    def call(self, kind: type, arguments: dict[str, Any], levels: int, *, factory: bool = False) -> Any:
        """Build an instance of a class, or its factory, of arguments that fit its declared types."""
        self.refuse_odd_names(arguments)
        types, built = argument_types(kind), {}
        for name, content in arguments.items():
            declared = types.get(name, Any)
            value = self.value(content, levels - 1, factory=_takes_factory(declared))
            try:
                built[name] = fitted(value, declared)
            except TypeError as error:
                what = f"{repr(content)[:60]} as {name[:60]!r} of {kind.__name__}"
                raise self.refused(f"{what}, which does not take it") from error
        if factory:
            self.attempt(signature(kind).bind_partial, **built)
            return partial(kind, **built)
        return self.attempt(kind, **built)

    def attempt(self, build: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        try:
            return build(*arguments, **named)
        # A constructor that is given wrong arguments may raise anything.
        except Exception as error:
            raise Refused(f"The game that {self.source} names cannot be built:\n{_short(error)}") from error

    def refuse_odd_names(self, arguments: dict[Any, Any]) -> None:
        if not all(isinstance(name, str) for name in arguments):
            raise self.refused("arguments whose names are no strings")

    def refused(self, what: str) -> Refused:
        return Refused(f"{self.source} holds {what}: not built.")


def fitted(value: Any, declared: Any) -> Any:
    """The value as an argument of the declared type (a list may become a tuple), or a TypeError."""
    kind, parts = get_origin(declared) or declared, get_args(declared)
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


def _takes_factory(declared: Any) -> bool:
    """Whether an argument of that type is a factory, not an instance."""
    return get_origin(declared) is Callable or any(map(_takes_factory, get_args(declared)))


def _sequence(values: list[Any], form: type, parts: tuple[Any, ...]) -> Any:
    if form is tuple and parts and parts[-1] is not ...:
        if len(values) != len(parts):
            raise TypeError
        return tuple(map(fitted, values, parts))
    return form(fitted(value, parts[0] if parts else Any) for value in values)


def _short(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
