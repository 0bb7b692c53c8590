"""How to build something, as plain data that can be called."""

from collections.abc import Callable
from pydoc import locate
from typing import Any, cast


class Recipe(dict[str, Any]):
    """A class path with arguments. The command line reads it as a default whose parts can be changed one by one."""

    # Without slots jsonargparse would copy the instance's __dict__ instead of the items.
    __slots__ = ()

    def __call__(self, *arguments: Any) -> Any:
        return cast(Callable[..., Any], locate(self["class_path"]))(*arguments, **self["init_args"])


def recipe(build: type, **arguments: Any) -> Recipe:
    return Recipe(class_path=f"{build.__module__}.{build.__qualname__}", init_args=arguments)
