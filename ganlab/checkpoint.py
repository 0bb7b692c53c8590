"""From a checkpoint to the game that wrote it: no flags to repeat, no pickled code."""

import sys
from pathlib import Path

import torch

from ganlab import networks, variants  # noqa: F401  (the classes that a checkpoint may name)
from ganlab.gan import GAN
from ganlab.refused import Refused


def load(path: str | Path) -> GAN:
    """Rebuild the game on the CPU.

    Its variant and networks must be ganlab's or imported already: nothing else is run.
    """
    told = torch.load(path, map_location="cpu", weights_only=True).get("hyper_parameters", {})
    module, _, name = told.get("_class_path", "").rpartition(".")
    variant = getattr(sys.modules.get(module), name, None) if module else None
    if not (isinstance(variant, type) and issubclass(variant, GAN)):
        raise Refused(
            f"{path} holds {told.get('_class_path', 'a game built in Python')}, which is not imported here.\n"
            "Import its module first; a game that was built in Python is rebuilt in Python:\n"
            "MyGAN.load_from_checkpoint(path, generator=…, discriminator=…)."
        )
    return variant.load_from_checkpoint(path, map_location="cpu", weights_only=True)
