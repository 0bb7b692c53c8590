"""Weights into a module, where they fit to the last name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.errors import Refused
from ganlab.game.gan import GAN


def load_weights(
    module: nn.Module, weights: Mapping[str, Any], source: Path, *, owner: GAN | None = None
) -> None:
    """Load weights that fit to the last name, shape and kind of number."""
    floating = [
        value for value in weights.values() if isinstance(value, Tensor) and value.is_floating_point()
    ]
    if floating and all(value.dtype == torch.float64 for value in floating):
        # The whole game: latents are drawn in its precision.
        (owner or module).double()
    if wrong := mismatches(weights, module.state_dict()):
        raise Refused(
            f"The weights of {source} do not fit the game that is named beside them: {wrong}\n"
            "have another form or are not on both sides."
        )
    try:
        module.load_state_dict(weights)
    except (RuntimeError, TypeError) as error:
        raise Refused(
            f"The weights of {source} cannot be taken: {str(error).splitlines()[0][:100]}"
        ) from error


def mismatches(weights: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Names of those that are missing, not wanted, or of another shape or kind of number; at most three."""
    wrong = [name for name in own if name in weights and _form(own[name]) != _form(weights[name])]
    wrong += sorted(map(str, weights.keys() ^ own.keys()))
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return ", ".join(str(name)[:60] for name in wrong[:3]) + more


def _form(value: Any) -> Any:
    return (value.shape, value.is_floating_point()) if isinstance(value, Tensor) else type(value)
