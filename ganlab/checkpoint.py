"""From a checkpoint to the game that wrote it: no flags to repeat, no pickled code."""

import sys
from pathlib import Path
from typing import Any

import torch

from ganlab import networks, sealed, variants  # noqa: F401  (the classes that a checkpoint may name)
from ganlab.callbacks.checkpoints import stored
from ganlab.gan import GAN
from ganlab.refused import Refused


def read(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, left on disk until it is used."""
    if not path.is_file():
        raise Refused(f"There is no checkpoint {path}.")
    if reason := sealed.damage(path):
        raise Refused(f"The checkpoint {path} is damaged: {reason}.\nTake another one beside it.")
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def step(path: Path) -> int:
    return read(path)["global_step"]


def begin_with(game: GAN, path: Path) -> None:
    """Take over the weights of a run (its newest) or of a checkpoint, and nothing else."""
    folder = path / "checkpoints"
    found = [each for each in stored(folder) if not sealed.damage(each)][:1] if path.is_dir() else [path]
    if not found:
        raise Refused(f"{path} has no whole checkpoint to begin with (init_from).")
    weights, own = read(found[0])["state_dict"], game.state_dict()
    taken = {name: value for name, value in weights.items() if name != "skipped_steps"}
    wrong = [n for n in own if n in taken and own[n].shape != taken[n].shape]
    wrong += sorted((taken.keys() ^ own.keys()) - {"skipped_steps"})
    if wrong:
        raise Refused(
            f"The weights of {found[0]} do not fit this game (init_from): {', '.join(wrong[:3])}"
            f"{f' and {len(wrong) - 3} more' if len(wrong) > 3 else ''}\nhave another shape or are not there."
        )
    game.load_state_dict(taken, strict=False)


def load(path: str | Path) -> GAN:
    """Rebuild the game on the CPU.

    Its variant and networks must be ganlab's or imported already: nothing else is run.
    """
    told = read(Path(path)).get("hyper_parameters", {})
    module, _, name = told.get("_class_path", "").rpartition(".")
    variant = getattr(sys.modules.get(module), name, None) if module else None
    if not (isinstance(variant, type) and issubclass(variant, GAN)):
        raise Refused(
            f"{path} holds {told.get('_class_path', 'a game built in Python')}, which is not imported here.\n"
            "Import its module first; a game that was built in Python is rebuilt in Python:\n"
            "MyGAN.load_from_checkpoint(path, generator=…, discriminator=…)."
        )
    return variant.load_from_checkpoint(path, map_location="cpu", weights_only=True)
