"""How to build something, as plain data that can be called."""

from importlib import import_module
from typing import Any


class Recipe(dict[str, Any]):
    """A class path with arguments. The command line reads it as a default whose parts can be changed one by one."""

    # Without slots jsonargparse would copy the instance's __dict__ instead of the items.
    __slots__ = ()

    def __call__(self, *arguments: Any) -> Any:
        return named(self["class_path"])(*arguments, **self["init_args"])


def recipe(build: type, **arguments: Any) -> Recipe:
    return Recipe(class_path=f"{build.__module__}.{build.__qualname__}", init_args=arguments)


def named(class_path: str) -> Any:
    module, _, name = class_path.rpartition(".")
    return getattr(import_module(module), name)
