"""How to build something, as plain data that can be called."""

import inspect
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any, get_type_hints


class Configured(dict[str, Any]):
    """A class path with arguments; the command line lets each of them be changed alone."""

    # Without slots jsonargparse would copy the instance's __dict__ instead of the items.
    __slots__ = ()

    def __call__(self, *arguments: Any) -> Any:
        return imported(self["class_path"])(*arguments, **self["init_args"])


def configured(build: type, **arguments: Any) -> Configured:
    return Configured(class_path=public_path(build), init_args=arguments)


def public_path(kind: type) -> str:
    """The shortest path at which the class is found: `torch.optim.Adam`, however its files are laid out."""
    parts = kind.__module__.split(".")
    for count in range(1, len(parts)):
        package = ".".join(parts[:count])
        if getattr(sys.modules.get(package), kind.__name__, None) is kind:
            return f"{package}.{kind.__name__}"
    return f"{kind.__module__}.{kind.__qualname__}"


def name_publicly(settings: Any) -> None:
    """Put the public path in the place of each class path within a configuration."""
    if isinstance(settings, (dict, Namespace)):
        settings = settings if isinstance(settings, dict) else vars(settings)
        if isinstance(path := settings.get("class_path"), str):
            with suppress(ImportError, AttributeError):  # A class within a class: it has no shorter name.
                settings["class_path"] = public_path(imported(path))
    if isinstance(settings, (dict, list)):
        for below in settings.values() if isinstance(settings, dict) else settings:
            name_publicly(below)


def imported(class_path: str) -> Any:
    module, _, name = class_path.rpartition(".")
    return getattr(import_module(module), name)


def accepted(class_path: str) -> list[str]:
    """The keyword arguments of a class, its parents' included where it passes them on."""
    names: list[str] = []
    for constructor in _constructors(imported(class_path)):
        parameters = inspect.signature(constructor).parameters.values()
        named_ones = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
        names += [name for name in named_ones if name != "self"]
    return names


def argument_types(kind: type) -> dict[str, Any]:
    """Of those arguments whose types are declared, and can be known while it runs, the types."""
    types: dict[str, Any] = {}
    for constructor in _constructors(kind):
        try:
            types = {**get_type_hints(constructor), **types}
        except (NameError, TypeError):  # What was imported for type checkers alone, or is no type.
            continue
    return types


def _constructors(kind: type) -> Iterator[Callable[..., None]]:
    for parent in inspect.getmro(kind):
        constructor: Callable[..., None] = parent.__init__  # type: ignore[misc]
        yield constructor
        parameters = inspect.signature(constructor).parameters.values()
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            return
