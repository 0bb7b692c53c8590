"""A generator in a folder for others: what it is made of as JSON, its weights as safetensors, and no code.

DIR/
    config.json            the generator and how latents are drawn, as class paths and plain arguments
    generator.safetensors  the weights of its average, or its own
    contract.json          the score of these weights, if they have one, with its protocol
    samples.png            64 samples
    generator.onnx         the same for whoever has no torch, if it was asked for
    README.md              the model card
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialized
from torch import Tensor, nn

from ganlab.checkpoints.rebuild import allowed_class, rebuild, refuse_foreign
from ganlab.checkpoints.weights import load_weights
from ganlab.errors import Refused
from ganlab.game.ema import Average
from ganlab.game.gan import GAN

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "generator.safetensors"
FAKES = ("ema", "raw")
SAMPLING = ("latent_size", "latent_distribution", "channels_last")
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
    """In the place of a network that was not exported."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def forward(self, *inputs: Any) -> Any:
        raise Refused(self.what)


def is_export(folder: Path) -> bool:
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()


def describe(game: GAN, told: dict[str, Any], *, raw: bool, step: int) -> dict[str, Any]:
    """What rebuilds the generator: `told` are the hyperparameters of the checkpoint that it comes from."""
    generator = told["generator"]
    kind = _who_samples(type(game))
    if kind is GAN:
        path, names, players = "ganlab.game.gan.GAN", set(SAMPLING), {}
    else:
        path, names = told["_class_path"], {name for name in told if name[0] != "_"} - set(TRAINING)
        players = {"discriminator": told["discriminator"]}
    arguments = {name: told[name] for name in told if name in names and not _builds(told[name])}
    if any(_builds(each.get("init_args") or {}) for each in (generator, *players.values())):
        raise Refused(
            f"{generator['class_path']} is built from other classes, and an export holds plain arguments.\n"
            "Give the network a class of its own that builds them."
        )
    return {
        "format": FORMAT,
        "ganlab": metadata.version("ganlab"),
        "variant": told["_class_path"],
        "game": {"class_path": path, "init_args": arguments},
        "generator": {"class_path": generator["class_path"], "init_args": generator.get("init_args") or {}},
        **players,
        "weights": FAKES[raw],
        "step": step,
    }


def save_export(folder: Path, game: GAN, config: dict[str, Any]) -> None:
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    network = game.ema.network if config["weights"] == "ema" else game.generator
    state = network.state_dict()
    if odd := [name for name, value in state.items() if not isinstance(value, Tensor)]:
        raise Refused(f"The generator's state {odd[0]!r} is no tensor, and an export holds tensors alone.")
    # Tied weights would share their memory, which safetensors refuses.
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    # save_file would make a file that nobody else may read.
    (folder / WEIGHTS).write_bytes(serialized(plain, metadata={"format": "pt"}))


def read_config(folder: Path) -> dict[str, Any]:
    """What it says of itself, if that is whole."""
    source = folder / CONFIG
    try:
        config = json.loads(source.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise Refused(f"{source} cannot be read as JSON: {str(error)[:100]}") from error
    config = config if isinstance(config, dict) else {}
    parts = {"generator": None, "game": None, **config}.keys() & {"generator", "game", "discriminator"}
    if not all(_is_part(config.get(name)) for name in parts):
        raise Refused(f"{source} does not tell a generator and its game as class paths and arguments.")
    if config.get("format") != FORMAT:
        raise Refused(f"{source} has the format {config.get('format')!r}; this ganlab reads {FORMAT}.")
    if config.get("weights") not in FAKES:
        raise Refused(f"{source} says that its weights are {config.get('weights')!r}: neither ema nor raw.")
    return config


def load_export(folder: Path, *, trusted: bool = False) -> GAN:
    """A game that samples; it has no discriminator, and of generator and average what was exported."""
    source, config = folder / CONFIG, read_config(folder)
    players = {"generator": config["generator"], "discriminator": {"class_path": "torch.nn.Identity"}}
    if "discriminator" in config:
        players["discriminator"] = config["discriminator"]
    if not trusted:
        for each in players.values():
            _refuse_no_network(each["class_path"], source)
        for each in (*players.values(), config["game"]):
            refuse_foreign(each.get("init_args"), source, nested=False)
    told = {**config["game"]["init_args"], **players, "_class_path": config["game"]["class_path"]}
    game = rebuild(told, source, trusted=trusted)
    try:
        weights = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError, ValueError) as error:
        raise Refused(f"{folder / WEIGHTS} is no whole file of weights: {str(error)[:100]}") from error
    load_weights(game.generator, weights, folder / WEIGHTS, owner=game)
    game.ema = Average(game.generator)
    if config["weights"] == "ema":
        game.generator = Absent(f"{folder} holds the generator's average alone: leave out raw.")
    game.discriminator = Absent(f"{folder} holds no discriminator.")
    return game


def _is_part(part: Any) -> bool:
    return (
        isinstance(part, dict)
        and part.keys() <= {"class_path", "init_args"}
        and isinstance(part.get("class_path"), str)
        and isinstance(part.get("init_args") or {}, dict)
    )


def _refuse_no_network(path: str, source: Path) -> None:
    if not issubclass(allowed_class(path, source), nn.Module):
        raise Refused(f"{source} names {path!r} as a network, but it is no nn.Module: not built.")


def _who_samples(variant: type[GAN]) -> type[GAN]:
    """The game itself, if the variant draws its samples as all games do; then nobody needs the variant."""
    same = (
        variant.sample is GAN.sample
        and variant.latents is GAN.latents
        and variant.generate is GAN.generate
        and variant.fake is GAN.fake
        and variant.latent is GAN.latent
        and variant.condition is GAN.condition
    )
    return GAN if same else variant


def _builds(value: Any) -> bool:
    """Whether a class is named somewhere in it."""
    if isinstance(value, dict):
        return "class_path" in value or any(map(_builds, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_builds, value))
