"""The game that a file names, built without trusting the file.

Plain values can do what pickled code can, once somebody builds what they name: `class_path: my_module.Net`
imports my_module, and `class_path: subprocess.Popen` starts a program. So a name is looked up among what is
imported already, and is built only if it is a class of a kind that a game consists of.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganlab import networks, variants  # noqa: F401
from ganlab.class_paths import imported
from ganlab.errors import Refused
from ganlab.game.gan import GAN
from ganlab.losses import Loss

KINDS = (nn.Module, Optimizer, LRScheduler, Loss)
# Imported with ganlab and by nobody's choice. Some of their modules fetch files or call what they are given.
BROUGHT = {"lightning", "pytorch_lightning", "torch", "torch_fidelity", "torchmetrics", "torchvision"}
DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
DEEPEST = 50
HOW_TO_TRUST = "ganlab.load(path, trust_code=True), or --trust_code"


def rebuild(told: dict[str, Any], source: Path, *, trusted: bool = False) -> GAN:
    """The game of a checkpoint's hyperparameters, which are in Lightning's form.

    Args:
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
    if trusted:
        for each in [path, *_class_paths(arguments)]:
            with suppress(ImportError, AttributeError, ValueError):  # What is missing is told below.
                imported(each)
    variant = allowed_class(path, source)
    if not issubclass(variant, GAN):
        raise Refused(f"{source} names {path} as its variant, but that is no GAN.")
    if not trusted:
        refuse_foreign(arguments, source)
    try:
        return _built(variant, arguments)
    # Anything may go wrong in a constructor that is given another's arguments.
    except Exception as error:
        raise Refused(f"The game that {source} names cannot be built:\n{_short(error)}") from error


def _built(variant: type[GAN], arguments: dict[str, Any]) -> GAN:
    """As Lightning's instantiate_module does it, which besides reads any file that an argument names."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(variant, "game", fail_untyped=False, sub_configs=False)
    return parser.instantiate_classes(parser.parse_object({"game": arguments})).game


def allowed_class(path: str, source: Path) -> type:
    """The class of that name, of a kind that is built; nothing is imported."""
    module, _, name = path.rpartition(".")
    # Not getattr: a package may import its modules when it is asked for their names.
    if module not in sys.modules or name not in vars(sys.modules[module]):
        raise Refused(
            f"{source} names {path!r}, which is not imported here, and a file's words import nothing.\n"
            f"Import its module first; if you trust the file and the code beside it:\n{HOW_TO_TRUST}."
        )
    kind = vars(sys.modules[module])[name]
    if not isinstance(kind, type) or not issubclass(kind, KINDS):
        raise Refused(
            f"{source} names {path!r}, which is no network, optimizer, schedule or loss: not built."
        )
    home = kind.__module__
    if issubclass(kind, nn.Module) and home.split(".")[0] in BROUGHT and not home.startswith("torch.nn."):
        raise Refused(f"{source} names {path!r}, which is no network of a game: not built.")
    return kind


def refuse_foreign(value: Any, source: Path, *, nested: bool = True, levels: int = DEEPEST) -> None:
    """Refuse what is not plain data, and names of what is not imported or is of no game's kind.

    Args:
        nested: Classes may be named among the arguments.
    """
    below: list[Any] = []
    if not levels:
        raise Refused(f"{source} holds arguments within arguments without end: not built.")
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise Refused(f"{source} holds arguments whose names are no strings: not built.")
        if "class_path" in value:
            if not nested or not isinstance(value["class_path"], str):
                raise Refused(
                    f"{source} holds arguments that are no plain data: {str(value)[:60]}: not built."
                )
            allowed_class(value["class_path"], source)
        below = [each for name, each in value.items() if name != "class_path"]
    elif isinstance(value, (list, tuple)):
        below = list(value)
    elif isinstance(value, str):
        below = _reread(value, source)
    elif value is not None and not isinstance(value, (bool, int, float)):
        raise Refused(
            f"{source} holds an argument that is a {type(value).__name__}, no plain data: not built."
        )
    for each in below:
        refuse_foreign(each, source, nested=nested, levels=levels - 1)


def _reread(text: str, source: Path) -> list[Any]:
    """Whoever builds a game reads a text as YAML once more, and imports what shall be a function or class."""
    for name in DOTTED.findall(text):
        known = name in sys.modules or name.rpartition(".")[0] in sys.modules
        if not known and (name.split(".")[0] in sys.modules or _findable(name.split(".")[0])):
            raise Refused(
                f"{source} names {name!r}, which is not imported here, and a file's words import nothing.\n"
                f"If you trust the file: {HOW_TO_TRUST}."
            )
    with suppress(yaml.YAMLError, ValueError, RecursionError):
        if (read := yaml.safe_load(text)) != text and isinstance(read, (dict, list, str)):
            return [read]
    return []


def _findable(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _class_paths(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(path := value.get("class_path"), str):
            yield path
        for below in value.values():
            yield from _class_paths(below)
    elif isinstance(value, list):
        for below in value:
            yield from _class_paths(below)


def _short(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
