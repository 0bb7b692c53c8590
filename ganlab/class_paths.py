"""How to build something, as plain data that can be called."""

import inspect
from importlib import import_module
from typing import Any


class Configured(dict[str, Any]):
    """A class path with arguments; the command line lets each of them be changed alone."""

    # Without slots jsonargparse would copy the instance's __dict__ instead of the items.
    __slots__ = ()

    def __call__(self, *arguments: Any) -> Any:
        return imported(self["class_path"])(*arguments, **self["init_args"])


def configured(build: type, **arguments: Any) -> Configured:
    return Configured(class_path=f"{build.__module__}.{build.__qualname__}", init_args=arguments)


def imported(class_path: str) -> Any:
    module, _, name = class_path.rpartition(".")
    return getattr(import_module(module), name)


def accepted(class_path: str) -> list[str]:
    """The keyword arguments of a class, its parents' included where it passes them on."""
    names: list[str] = []
    for parent in inspect.getmro(imported(class_path)):
        parameters = inspect.signature(parent.__init__).parameters.values()  # type: ignore[misc]
        named_ones = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
        names += [name for name in named_ones if name != "self"]
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            break
    return names
