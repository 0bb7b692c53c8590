"""The game that a file names, built without trusting the file.

Plain values can do what pickled code can, once somebody builds what they name: `class_path: my_module.Net`
imports my_module, and `class_path: subprocess.Popen` starts a program. So a file may name the classes in
ALLOWED, and those that its reader passes, at every level of nesting; all else in it must be plain data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import is_dataclass
from functools import partial
from inspect import signature
from itertools import islice
from pathlib import Path
from reprlib import repr as in_short
from types import UnionType
from typing import Any, Literal, NoReturn, Protocol, Union, cast, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganlab.checkpoints.allow_list import ALLOWED
from ganlab.checkpoints.estimate import Meter, TooLarge, refuse_too_large
from ganlab.class_paths import argument_types, imported, public_path
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.system.untrusted import readable

FORMER = {"image_shape": "shape"}  # what networks' arguments were called in older files
LATER = (Optimizer, LRScheduler)  # arguments of these types are factories
MOST_LEVELS, LONGEST = 50, 1000  # of nested arguments, and items of a list
MOST_VALUES, LARGEST = 100_000, 2**64  # of arguments
LONGEST_TEXT = 120  # in a message
COUNTS = ("blocks", "num_layers", "num_encoder_layers", "num_decoder_layers")  # layers made in a loop


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
    for player in ("generator", "discriminator"):
        with_present_names(arguments.get(player))
    if "compile" in arguments:  # Compiling takes longer than drawing samples.
        arguments["compile"] = False
    builder = _Builder(source, [*classes], [path, *class_paths(arguments)])
    variant = builder.imported(path) if trusted else builder.allowed(path)
    if not (isinstance(variant, type) and issubclass(variant, GAN)):
        raise Refused(f"{source} names {path[:80]!r} as its variant, but that is no GAN.")
    if trusted:
        return builder.attempt(_build_trusted, variant, arguments)
    # What cannot be sized up beforehand is stopped while it grows.
    with nullcontext() if builder.is_small(variant, arguments) else Meter(source):
        return builder.call(variant, arguments, MOST_LEVELS)


def with_present_names(network: Any) -> Any:
    """A network's configuration, in which arguments of ours have the names that they have now, in place."""
    ours = isinstance(network, dict) and str(network.get("class_path")).startswith("ganlab.networks.")
    if ours and isinstance(arguments := network.get("init_args"), dict):
        for former in FORMER.keys() & arguments.keys():
            arguments[FORMER[former]] = arguments.pop(former)
    return network


def class_paths(content: Any) -> list[str]:
    """The class paths in nested arguments, each once, in order; of arguments without end those of a part."""
    paths: dict[str, None] = {}
    rest = [content]
    for _ in range(MOST_VALUES):
        if not rest or len(rest) > MOST_VALUES:
            break
        value = rest.pop()
        if isinstance(value, dict):
            if isinstance(path := value.get("class_path"), str):
                paths[path] = None
            value = [*value.values()]
        if isinstance(value, (list, tuple)):
            rest += [*islice(value, LONGEST)][::-1]
    return [*paths]


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

    def __init__(self, source: Path, classes: Sequence[type], named: Sequence[str]) -> None:
        self.source, self.classes, self.named = source, classes, named
        self.values = 0
        self.known = dict(ALLOWED)
        for kind in classes:
            self.known |= {public_path(kind): kind, f"{kind.__module__}.{kind.__qualname__}": kind}

    def is_small(self, variant: type, arguments: dict[str, Any]) -> bool:
        """Whether the game needs little memory; if it needs too much, or draws no samples, it is refused.

        False where that is not known: a class of the reader's own need not work on the meta device.
        """
        try:
            refuse_too_large(lambda: self.call(variant, arguments, MOST_LEVELS), self.source)
        except TooLarge:
            raise
        except Exception as error:
            if all(path in ALLOWED for path in self.named):
                if isinstance(error, Refused):
                    raise
                raise Refused(
                    f"The game that {self.source} names draws no samples:\n{_short(error)}"
                ) from error
            return False
        finally:
            self.values = 0
        return True

    def allowed(self, path: str) -> type:
        """The class of that path, if the file may name it."""
        if path in self.known:
            return self.known[path]
        missing = [_class_name(named) for named in self.named if named not in self.known]
        names = ", ".join(dict.fromkeys([*(kind.__qualname__ for kind in self.classes), *missing]))
        raise Refused(
            f"{self.source} names {path[:80]!r}: none of ganlab's classes, and none of torch's layers,\n"
            f"optimizers and schedules. If it is yours: ganlab.load(path, classes=[{_cut(names)}]).\n"
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
        self.values += 1
        if not levels or self.values > MOST_VALUES:
            raise self.refused("arguments within arguments without end")
        if isinstance(content, dict):
            self.refuse_odd_names(content)
            if "class_path" in content:
                return self.instance(content, levels, factory=factory)
            return {name: self.value(below, levels - 1, factory=factory) for name, below in content.items()}
        if isinstance(content, (list, tuple)):
            if len(content) > LONGEST:
                raise self.refused(f"a list of {len(content):,} arguments")
            return [self.value(below, levels - 1, factory=factory) for below in content]
        if content is not None and not isinstance(content, (bool, int, float, str)):
            raise self.refused(f"an argument that is a {type(content).__name__}, no plain data")
        if isinstance(content, int) and abs(content) > LARGEST:
            raise self.refused("a number that is larger than any argument")
        return content

    def instance(self, config: dict[str, Any], levels: int, *, factory: bool) -> Any:
        path, arguments = config["class_path"], config.get("init_args") or {}
        valid = isinstance(path, str) and isinstance(arguments, dict)
        if not valid or config.keys() - {"class_path", "init_args"}:
            raise self.refused(f"{in_short(config)[:60]}, which is no class path with its arguments")
        kind = self.allowed(path)
        return self.call(kind, arguments, levels, factory=factory or issubclass(kind, LATER))

    def call(self, kind: type, arguments: dict[str, Any], levels: int, *, factory: bool = False) -> Any:
        """Build an instance of a class, or its factory, of arguments that fit its declared types."""
        self.refuse_odd_names(arguments)
        types, built = argument_types(kind), {}
        for name, content in arguments.items():
            declared = types.get(name, Any)
            value = self.value(content, levels - 1, factory=_takes_factory(declared))
            if name in COUNTS and isinstance(value, int) and value > LONGEST:
                raise self.refused(f"{value:,} as {name!r} of {kind.__name__}, more than {LONGEST:,}")
            try:
                built[name] = fitted(value, declared)
            except TypeError as error:
                what = f"{in_short(content)[:60]} as {name[:60]!r} of {kind.__name__}"
                raise self.refused(f"{what}, which does not take it") from error
        if factory:
            self.attempt(signature(kind).bind_partial, **built)
            return partial(kind, **built)
        return self.attempt(kind, **built)

    def attempt(self, build: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        try:
            return build(*arguments, **named)
        except TooLarge:
            raise
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
    elif kind is dict and parts and isinstance(value, dict):
        return {name: fitted(below, parts[1]) for name, below in value.items()}
    elif made := _made_by_factories(declared):
        if isinstance(value, partial) and issubclass(cast(type, value.func), made):
            return value
    elif is_dataclass(kind) and isinstance(value, dict):
        form = cast(type, kind)
        types = argument_types(form)
        return form(**{name: fitted(part, types.get(name, NoReturn)) for name, part in value.items()})
    elif kind in (int, float) and isinstance(value, bool):
        pass
    elif kind is float and isinstance(value, int):
        return float(value)
    elif kind is Any or not isinstance(kind, type) or isinstance(value, kind):
        return value
    raise TypeError


def _takes_factory(declared: Any) -> bool:
    """Whether an argument of that type is a factory, not an instance, or factories in a list or mapping."""
    return bool(_made_by_factories(declared)) or any(map(_takes_factory, get_args(declared)))


def _made_by_factories(declared: Any) -> type | None:
    """The class of what factories of the declared type make; None if that is no type of factories."""
    if (get_origin(declared) or declared) is Callable:
        made = [Any, *get_args(declared)][-1]
        return object if made is Any else made
    if isinstance(declared, type) and Protocol in declared.__bases__:
        return get_type_hints(declared.__call__)["return"]
    return None


def _sequence(values: list[Any], form: type, parts: tuple[Any, ...]) -> Any:
    if form is tuple and parts and parts[-1] is not ...:
        if len(values) != len(parts):
            raise TypeError
        return tuple(map(fitted, values, parts))
    return form(fitted(value, parts[0] if parts else Any) for value in values)


def _class_name(path: str) -> str:
    """How the class is written in Python: its name, behind those of the classes that it lies in."""
    *modules, name = path.split(".")
    outer = [part for part in modules if part[:1].isupper()]
    parts = [*outer, name] if modules[-len(outer) :] == outer else [name]
    return ".".join(parts) if all(part.isidentifier() for part in parts) else "…"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def _short(error: BaseException) -> str:
    return readable(" ".join(str(error).split()) or type(error).__name__)[:200]
