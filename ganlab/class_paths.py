"""Class paths: from a class to its public path, and back to the class and its arguments."""

import inspect
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from importlib import import_module
from typing import Any, get_type_hints


class Configured(dict[str, Any]):
    """A class path with arguments, callable as a factory; the command line can change each argument alone."""

    # Without slots jsonargparse would copy the instance's __dict__ instead of the items.
    __slots__ = ()

    def __call__(self, *arguments: Any) -> Any:
        return imported(self["class_path"])(*arguments, **self["init_args"])


def configured(build: type, **arguments: Any) -> Configured:
    """A factory of the class with these arguments, as a default that a configuration can show and change."""
    return Configured(class_path=public_path(build), init_args=arguments)


def public_path(kind: type) -> str:
    """The shortest path to import the class by: `torch.optim.Adam`, not `torch.optim.adam.Adam`."""
    parts = kind.__module__.split(".")
    for count in range(1, len(parts)):
        package = ".".join(parts[:count])
        if getattr(sys.modules.get(package), kind.__name__, None) is kind:
            return f"{package}.{kind.__name__}"
    return f"{kind.__module__}.{kind.__qualname__}"


def name_publicly(settings: Any) -> None:
    """Replace each class path within a configuration by the public one, in place."""
    if isinstance(settings, (dict, Namespace)):
        settings = settings if isinstance(settings, dict) else vars(settings)
        if isinstance(path := settings.get("class_path"), str):
            with suppress(ImportError, AttributeError):  # A class within a class has no shorter path.
                settings["class_path"] = public_path(imported(path))
    if isinstance(settings, (dict, list)):
        for below in settings.values() if isinstance(settings, dict) else settings:
            name_publicly(below)


def imported(class_path: str) -> Any:
    """The class at that path; its module is imported."""
    module, _, name = class_path.rpartition(".")
    return getattr(import_module(module), name)


def accepted(class_path: str) -> list[str]:
    """The keyword arguments of a class, its parents' included where it passes them on."""
    return [*keyword_arguments(imported(class_path))]


def keyword_arguments(build: Callable[..., Any]) -> tuple[str, ...]:
    """The keyword arguments of a function, or of a class as above."""
    return _of_class(build) if isinstance(build, type) else tuple(_keywords(build))


# Of torch's classes it takes a millisecond, and a player can be hundreds of networks.
@lru_cache(maxsize=256)
def _of_class(kind: type) -> tuple[str, ...]:
    return tuple(name for constructor in _constructors(kind) for name in _keywords(constructor))


def _keywords(build: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(build).parameters.values()
    keywords = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [name for name in keywords if name != "self"]


def default_arguments(kind: type) -> dict[str, Any]:
    """The defaults of a class's keyword arguments, its parents' included where it passes them on."""
    defaults: dict[str, Any] = {}
    for constructor in _constructors(kind):
        parameters = inspect.signature(constructor).parameters.values()
        own = {each.name: each.default for each in parameters if each.default is not each.empty}
        defaults = {**own, **defaults}
    return defaults


def made_by(factory: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The class or function that a factory calls in the end, and the keyword arguments that it is given."""
    if not isinstance(factory, partial):
        return factory, {}
    # The command line's factories call a function of its own, and tell it the class.
    kind = next((argument for argument in factory.args if isinstance(argument, type)), factory.func)
    return kind, factory.keywords


def argument_types(kind: type) -> dict[str, Any]:
    """The declared types of a class's arguments by name, as far as they can be resolved at run time."""
    types: dict[str, Any] = {}
    for constructor in _constructors(kind):
        try:
            types = {**get_type_hints(constructor), **types}
        except (NameError, TypeError):  # A type that is imported for type checkers alone, or is none.
            continue
    return types


def _constructors(kind: type) -> Iterator[Callable[..., None]]:
    """The class's constructor, and its parents' as far as keyword arguments are passed on to them."""
    for parent in inspect.getmro(kind):
        constructor: Callable[..., None] = parent.__init__  # type: ignore[misc]
        yield constructor
        parameters = inspect.signature(constructor).parameters.values()
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            return
