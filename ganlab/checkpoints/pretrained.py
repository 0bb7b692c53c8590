"""`networks.Pretrained` within nested settings: where one stands, and what it is made of."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from ganlab.class_paths import public_path
from ganlab.networks import Pretrained
from ganlab.networks.pretrained import Part

PRETRAINED = public_path(Pretrained)


def pretrained_in(settings: Any) -> Iterator[Any]:
    """The arguments of each `Pretrained` in nested settings, but none within its own network."""
    if isinstance(settings, (dict, Namespace)):
        settings = settings if isinstance(settings, dict) else vars(settings)
        if settings.get("class_path") == PRETRAINED and settings.get("init_args"):
            yield settings["init_args"]
            return
        settings = [*settings.values()]
    if isinstance(settings, (list, tuple)):
        for below in settings:
            yield from pretrained_in(below)


def remember(settings: Any, earlier: Any) -> None:
    """Give each `Pretrained` without a network the one that it has in earlier settings, in place."""
    known = {_origin(arguments): arguments.get("network") for arguments in pretrained_in(earlier)}
    for arguments in pretrained_in(settings):
        if not arguments.get("network"):
            arguments["network"] = known.get(_origin(arguments))


def without_paths(settings: Any) -> Any:
    """Nested settings without the paths of its finished networks, which mean nothing elsewhere."""
    if isinstance(settings, (list, tuple)):
        return [without_paths(below) for below in settings]
    if not isinstance(settings, dict):
        return settings
    settings = {name: without_paths(below) for name, below in settings.items()}
    if settings.get("class_path") == PRETRAINED and settings.get("init_args"):
        settings["init_args"].pop("path", None)
    return settings


def _origin(arguments: Any) -> tuple[str | None, Part]:
    return arguments.get("path"), arguments.get("part")
