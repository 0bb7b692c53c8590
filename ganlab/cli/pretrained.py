"""Finished networks that a configuration names by a path: read when a run begins."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from torch import nn

from ganlab.checkpoints.pretrained import PRETRAINED, pretrained_in
from ganlab.checkpoints.weights import mismatches
from ganlab.cli.parser import parsed
from ganlab.errors import Refused
from ganlab.networks.pretrained import Part, Pretrained
from ganlab.runs.finished import FinishedGame
from ganlab.system.processes import is_first_process


def refuse_other_latents(model: Any) -> None:
    """Refuse latents of another size than those of a game's finished generator."""
    known, generator = model.init_args.latent_size, model.init_args.generator
    size = generator.get("init_args.network.init_args.latent_size", known)
    if generator.class_path == PRETRAINED and size != known:
        raise Refused(
            f"model.latent_size is {known}, but the finished generator of {generator.init_args.path}\n"
            f"takes latents of {size}: --model.latent_size {size}"
        )


class FinishedGames:
    """The games that a configuration takes networks from, each read once."""

    def __init__(self) -> None:
        self._games: dict[str, FinishedGame] = {}

    def fill_in(self, settings: Any, *, begins: bool, trust_code: bool) -> list[Path]:
        """Tell each `Pretrained` in the settings what it is made of, in place.

        Returns the copies of users' modules that these networks' classes come from.

        Args:
            begins: Whether weights are taken from the paths, and not from a checkpoint of the new game.
            trust_code: Whether to import and build whatever the paths name.
        """
        for arguments in pretrained_in(settings):
            path, part, network = (arguments.get(name) for name in ("path", "part", "network"))
            if path is not None and (begins or not network):
                game = self._game(path, part, trust_code)
                network = network or game.made_of(part)
            arguments["network"] = network and parsed("network", nn.Module, network)
        code = [game.code for game in self._games.values() if game.code]
        if not begins:
            self.clear()
        return code

    def clear(self) -> None:
        """Forget the games, which fill memory."""
        self._games.clear()

    def _game(self, path: str, part: Part, trust_code: bool) -> FinishedGame:
        if path not in self._games:
            try:
                self._games[path] = FinishedGame(path, trust_code=trust_code)
            except Refused as refusal:
                raise Refused(f"Pretrained has nothing to take: {refusal}") from refusal
        game = self._games[path]
        if is_first_process():
            print(f"ganlab: taking the {part} of {game.source} (step {game.step:,})", file=sys.stderr)
        return game

    def build(self, kind: type[Pretrained], **arguments: Any) -> Pretrained:
        """Build a `Pretrained`, with the weights at its path if they were read."""
        built = kind(**arguments)
        if game := self._games.get(built.path or ""):
            weights = game.network(built.part).state_dict()
            if wrong := mismatches(weights, built.network.state_dict()):
                raise Refused(
                    f"The {built.part} of {game.source} does not fit the network that Pretrained is told:\n"
                    f"{wrong} have another form or are not on both sides. Leave network out."
                )
            built.network.load_state_dict(weights)
        return built
