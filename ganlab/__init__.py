"""A PyTorch Lightning research framework for generative adversarial networks."""

from importlib import import_module
from typing import Any

# Names are imported on first use: `ganlab --help` must not wait for torch.
_NAMES = {
    "GAN": "ganlab.game.gan",
    "Judged": "ganlab.judgements",
    "Stage": "ganlab.game.stages",
    "Terms": "ganlab.game.terms",
    "Trainer": "ganlab.training.trainer",
    "Turn": "ganlab.game.turn",
    "configured": "ganlab.class_paths",
    "invert": "ganlab.tasks.inversion",
    "load": "ganlab.runs.load",
}
_MODULES = (
    "augment",
    "callbacks",
    "data",
    "diffusion",
    "errors",
    "losses",
    "media",
    "metrics",
    "networks",
    "penalties",
    "regularisers",
    "seeds",
    "testing",
    "variants",
)

__all__ = ["__version__", *_NAMES, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    if name in _MODULES:
        return import_module(f"ganlab.{name}")
    if name == "__version__":
        return import_module("ganlab.version").VERSION
    raise AttributeError(f"module 'ganlab' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
