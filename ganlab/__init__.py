"""A PyTorch Lightning research framework for generative adversarial networks."""

from importlib import import_module
from typing import Any

# Names are imported on first use: `ganlab --help` must not wait for torch.
_HOME = {
    "GAN": "ganlab.gan",
    "Terms": "ganlab.record",
    "Trainer": "ganlab.trainer",
    "load": "ganlab.checkpoint",
    "Turn": "ganlab.turn",
    "recipe": "ganlab.recipe",
}
_MODULES = ("data", "losses", "networks", "penalties", "testing", "variants")

__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"ganlab.{name}")
    raise AttributeError(f"module 'ganlab' has no attribute '{name}'")
