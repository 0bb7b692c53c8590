"""The networks of a finished run, a checkpoint or an export, as `networks.Pretrained` takes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from ganlab.checkpoints.export import Absent, read_config
from ganlab.checkpoints.rebuild import with_present_names
from ganlab.errors import Refused
from ganlab.networks.pretrained import Part
from ganlab.runs import user_code
from ganlab.runs.folder import run_of
from ganlab.runs.load import checkpoint_or_export, load, read_checkpoint
from ganlab.runs.own import is_own_checkpoint
from ganlab.system.untrusted import whole_number


class FinishedGame:
    """A game of which single networks are taken. Whose files are read is decided by `ganlab.load`.

    Args:
        path: A run's folder, a checkpoint or an exported folder.
        trust_code: Import and build whatever it names.

    Attributes:
        source: The checkpoint, or the exported folder.
        step: At which it was written.
        code: The copy of the user's modules that its classes come from; None if there is none.
    """

    def __init__(self, path: str, *, trust_code: bool) -> None:
        self.source = checkpoint_or_export(Path(path))
        self._game = load(self.source, trust_code=trust_code)
        run, self._trusted = run_of(self.source), trust_code
        if self.source.is_dir():
            self._arguments = config = read_config(self.source)
            self.step = whole_number(config.get("step")) or 0
        else:
            content = read_checkpoint(self.source)
            self._arguments, self.step = content["hyper_parameters"], content["global_step"]
            self._trusted = trust_code or is_own_checkpoint(run, content)
        copy = run / user_code.FOLDER if run and self._trusted else None
        self.code = copy if copy and copy.is_dir() else None

    def network(self, part: Part) -> nn.Module:
        networks: dict[str, nn.Module] = {
            "generator": self._game.ema.network,
            "raw": self._game.generator,
            "discriminator": self._game.discriminator,
        }
        if isinstance(network := networks[part], Absent):
            raise Refused(f"Pretrained cannot take the part {part}: {network.message}")
        return network

    def made_of(self, part: Part) -> dict[str, Any]:
        """The class path of a part with its arguments, from which the command line builds it."""
        self.network(part)
        player = "discriminator" if part == "discriminator" else "generator"
        config = with_present_names(self._arguments[player])
        if not self._trusted and any(map(_is_nested, _texts(config))):
            raise Refused(
                f"{self.source} holds a text that the command line would read as more than a text, and that\n"
                "may name code. If you trust the file: --trust_code."
            )
        return config


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    if isinstance(content, (dict, list, tuple)):
        for below in content.values() if isinstance(content, dict) else content:
            yield from _texts(below)


def _is_nested(text: str) -> bool:
    """Whether YAML reads a text as a list or a mapping, which may name classes."""
    try:
        return isinstance(yaml.safe_load(text), (dict, list))
    except yaml.YAMLError:
        return False
