"""A generator in a folder for others: what it is made of as JSON, its weights as safetensors, and no code.

DIR/
    config.json            the generator and how latents are drawn, as class paths and plain arguments
    generator.safetensors  the weights of its average, or its own
    contract.json          the score of these weights, if they have one, with its protocol
    samples.png            64 samples
    sources.safetensors    what the first samples are made from, if it was asked for
    generator.onnx         the generator for ONNX Runtime, if it was asked for
    README.md              the model card
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from reprlib import repr as in_short
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialized
from torch import Tensor, nn

from ganlab.checkpoints.allow_list import ALLOWED
from ganlab.checkpoints.pretrained import without_paths
from ganlab.checkpoints.rebuild import class_paths, outdated, rebuild
from ganlab.checkpoints.sources import load_sources
from ganlab.checkpoints.weights import load_weights
from ganlab.class_paths import public_path
from ganlab.errors import Refused
from ganlab.game.conditions import LabelFrequencies
from ganlab.game.ema import Average
from ganlab.game.gan import GAN
from ganlab.system.untrusted import MOST_TEXT, read_bytes, readable
from ganlab.version import VERSION

FORMAT = 2
MOST_HEADER = 2**24  # bytes
CONFIG, WEIGHTS = "config.json", "generator.safetensors"
FAKES = ("ema", "raw")
# Of a game's arguments, those that sampling needs, and those that only training needs.
SAMPLING = ("latent_size", "latent_distribution", "channels_last", "conditional", "media")
TRAINING = (
    "generator",
    "discriminator",
    "generator_optimizer",
    "discriminator_optimizer",
    "generator_scheduler",
    "discriminator_scheduler",
    "compile",
)


class Absent(nn.Module):
    """Stands in for a network that was not exported; a call is refused with the message."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self.message = message

    def forward(self, *inputs: Any) -> Any:
        raise Refused(self.message)


def is_export(folder: Path) -> bool:
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()


def describe(game: GAN, hyperparameters: dict[str, Any], *, raw: bool, step: int) -> dict[str, Any]:
    """The content of config.json, which rebuilds the generator, from its checkpoint's hyperparameters."""
    if _samples_like_gan(type(game)):
        path, names, players = public_path(GAN), set(SAMPLING), ["generator"]
    else:
        path = hyperparameters["_class_path"]
        names = {name for name in hyperparameters if name[0] != "_"} - set(TRAINING)
        players = ["generator", "discriminator"]
    hyperparameters = without_paths(hyperparameters)
    return {
        "format": FORMAT,
        "ganlab": VERSION,
        "variant": hyperparameters["_class_path"],
        "game": {
            "class_path": path,
            "init_args": {name: value for name, value in hyperparameters.items() if name in names},
        },
        **{player: _part(hyperparameters[player]) for player in players},
        "weights": FAKES[raw],
        "step": step,
        **({"conditions": told} if (told := game.conditions and game.conditions.plain()) else {}),
    }


def save_export(folder: Path, game: GAN, config: dict[str, Any]) -> None:
    """Write config.json and generator.safetensors."""
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    network = game.ema.network if config["weights"] == "ema" else game.generator
    state = network.state_dict()
    if others := [name for name, value in state.items() if not isinstance(value, Tensor)]:
        raise Refused(f"The generator's state {others[0]!r} is no tensor, and an export holds tensors alone.")
    # Tied weights would share their memory, which safetensors refuses.
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    # save_file would write a file that no other user may read.
    (folder / WEIGHTS).write_bytes(serialized(plain, metadata={"format": "pt"}))


def read_config(folder: Path) -> dict[str, Any]:
    """The content of an export's config.json; a damaged, outdated or unknown one is refused."""
    source = folder / CONFIG
    try:
        # Links are followed: the Hub's cache holds nothing but links.
        config = json.loads(read_bytes(source, folder=Path("/"), most=MOST_TEXT))
    except (OSError, ValueError, RecursionError) as error:
        raise Refused(f"{source} cannot be read as JSON: {readable(str(error)[:100])}") from error
    config = config if isinstance(config, dict) else {}
    if config.get("format") == 1:
        raise outdated(source)
    parts = {"generator": None, "game": None, **config}.keys() & {"generator", "game", "discriminator"}
    if not all(_is_part(config.get(name)) for name in parts):
        raise Refused(f"{source} does not tell a generator and its game as class paths and arguments.")
    if more := sorted((config["game"].get("init_args") or {}).keys() & set(TRAINING)):
        raise Refused(f"{source} tells the game its {more[0]}, which no game that only samples has.")
    if config.get("format") != FORMAT:
        raise Refused(
            f"{source} has the format {in_short(config.get('format'))}; this ganlab reads {FORMAT}."
        )
    if config.get("weights") not in FAKES:
        raise Refused(
            f"{source} says that its weights are {in_short(config.get('weights'))}: neither ema nor raw."
        )
    return config


def load_export(folder: Path, *, classes: Iterable[type] = (), trusted: bool = False) -> GAN:
    """A game that samples, without a discriminator, and with a generator or its average, as exported.

    Args:
        classes: The user's own classes that the file may name.
        trusted: Import whatever the file names.
    """
    source, config = folder / CONFIG, read_config(folder)
    hyperparameters = {
        **(config["game"].get("init_args") or {}),
        "generator": config["generator"],
        "discriminator": config.get("discriminator", {"class_path": public_path(nn.Identity)}),
        "_class_path": config["game"]["class_path"],
    }
    game = rebuild(hyperparameters, source, classes=classes, trusted=trusted)
    load_weights(game.generator, _read_weights(folder / WEIGHTS, game), folder / WEIGHTS, owner=game)
    labels = LabelFrequencies.rebuilt(config.get("conditions"))
    game.conditions = labels or load_sources(folder, game, config.get("sources"))
    game.ema = Average(game.generator)
    if config["weights"] == "ema":
        game.generator = Absent(f"{folder} holds the generator's average alone: leave out raw.")
    game.discriminator = Absent(f"{folder} holds no discriminator.")
    return game


def _read_weights(path: Path, game: GAN) -> dict[str, Tensor]:
    """The tensors in a file that is not far larger than the generator's own."""
    try:
        most = sum(2 * value.nbytes for value in game.generator.state_dict().values()) + MOST_HEADER
        if (size := path.stat().st_size) > most:
            raise Refused(f"{path} has {size:,} bytes, far more than the weights of the game beside it.")
        return load_file(path)
    # Garbled names and sizes are found in many ways.
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise Refused(f"{path} is no whole file of weights: {readable(str(error)[:100])}") from error


def foreign_classes(config: Any) -> list[str]:
    """The class paths that whoever loads the export must pass or trust, in order."""
    return [path for path in class_paths(config) if path not in ALLOWED]


def _part(network: dict[str, Any]) -> dict[str, Any]:
    return {"class_path": network["class_path"], "init_args": network.get("init_args") or {}}


def _is_part(part: Any) -> bool:
    return (
        isinstance(part, dict)
        and part.keys() <= {"class_path", "init_args"}
        and isinstance(part.get("class_path"), str)
        and isinstance(part.get("init_args") or {}, dict)
    )


def _samples_like_gan(variant: type[GAN]) -> bool:
    """Whether GAN itself draws the same samples, so that the export need not name the variant."""
    return (
        variant.sample is GAN.sample
        and variant.latents is GAN.latents
        and variant.generate is GAN.generate
        and variant.fake is GAN.fake
        and variant.latent is GAN.latent
        and variant.condition is GAN.condition
    )
